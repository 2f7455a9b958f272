// Package trait holds how the TCP/IP of different systems looks from outside.
package trait

// Traits is what a scanner can tell a system by. The zero value is the
// network's own stack, unchanged.
type Traits struct {
	Name string
	TTL  uint8   // initial TTL and hop limit; 0: 64
	OUI  [3]byte // maker of the network card; zero: locally administered
}

// table is our own: initial TTLs are what each system documents or shows.
var table = map[string]Traits{
	"linux-5":        {TTL: 64},
	"linux-6":        {TTL: 64},
	"windows-10":     {TTL: 128},
	"windows-11":     {TTL: 128},
	"windows-server": {TTL: 128},
	"freebsd":        {TTL: 64},
	"switch":         {TTL: 255},
	"printer":        {TTL: 64},
	"plc":            {TTL: 64},
	"camera":         {TTL: 64},
}

// ByName finds the traits of a kind of system.
func ByName(name string) (Traits, bool) {
	t, ok := table[name]
	t.Name = name
	return t, ok
}
