// Package trait holds how the TCP/IP of different systems looks from outside,
// and makes the packets of one stack look so. The table is our own, from the
// RFCs, from what the makers document and from what such systems show; none of
// it comes from a scanner's database.
package trait

import (
	"maps"
	"slices"
)

// IDs is how a system numbers its IPv4 packets.
type IDs int

// Ways to number packets.
const (
	Stack      IDs = iota // as the stack does
	ZeroIfDF              // 0 where a packet may not be cut (RFC 6864 allows it)
	OneByOne              // one counter for everything
	Scrambled             // no order to be seen
	OneByOneLE            // one counter, sent in the wrong order of bytes
)

// Odd is the answer to segments with flags that make no sense.
type Odd int

// Answers to odd segments.
const (
	StackOdd Odd = iota // the stack's
	Silent              // none
	Reset               // RST
)

// Order is the order of TCP options.
type Order int

// Orders.
const (
	SackFirst  Order = iota // MSS, SACK permitted, time stamps, NOP, scale
	ScaleFirst              // MSS, NOP, scale, SACK permitted, time stamps
	StampFirst              // MSS, NOP, scale, NOP, NOP, time stamps
)

// Traits is what a scanner can tell a system by. The zero value is the
// network's own stack, unchanged.
type Traits struct {
	Name string
	TTL  uint8   // initial TTL and hop limit; 0: 64
	OUI  [3]byte // maker of the network card; zero: locally administered

	Window  uint16 // of SYN and SYN-ACK; 0: the stack's
	Scale   int8   // of the window; -1: the option is not known
	NoSack  bool
	NoStamp bool
	Order   Order
	EndPad  bool // options are filled up with end-of-list, not NOPs before

	DF       bool // on TCP
	ResetDF  bool // on RST
	IDs      IDs
	ECN      bool // agrees to explicit congestion notification
	Null     Odd  // to segments without flags
	SynFin   Odd  // to SYN with FIN
	EchoDF   bool // an echo reply has DF where the request had it
	EchoZero bool // an echo reply has code 0 whatever the request had
	Quote    int  // octets of the transport part that ICMP errors quote; 0: up to 576 in all
	ErrorTOS uint8
}

// table is by the names of personas' kinds.
var table = map[string]Traits{
	"linux-5":        {TTL: 64, Window: 65160, Scale: 7, DF: true, ResetDF: true, IDs: ZeroIfDF, ECN: true, Null: Silent, SynFin: Silent, ErrorTOS: 0xc0},
	"linux-6":        {TTL: 64, Window: 65160, Scale: 7, DF: true, ResetDF: true, IDs: ZeroIfDF, ECN: true, Null: Silent, SynFin: Silent, ErrorTOS: 0xc0},
	"windows-10":     {TTL: 128, Window: 65535, Scale: 8, Order: ScaleFirst, DF: true, ResetDF: true, IDs: OneByOne, Null: Reset, SynFin: Reset, EchoZero: true},
	"windows-11":     {TTL: 128, Window: 65535, Scale: 8, Order: ScaleFirst, DF: true, ResetDF: true, IDs: OneByOne, Null: Reset, SynFin: Reset, EchoZero: true},
	"windows-server": {TTL: 128, Window: 65535, Scale: 8, Order: ScaleFirst, DF: true, ResetDF: true, IDs: OneByOne, ECN: true, Null: Reset, SynFin: Reset, EchoZero: true},
	"freebsd":        {TTL: 64, Window: 65535, Scale: 6, Order: ScaleFirst, EndPad: true, DF: true, ResetDF: true, IDs: Scrambled, ECN: true, Null: Silent, EchoDF: true, Quote: 8},
	"switch":         {TTL: 255, Window: 4128, Scale: -1, NoSack: true, NoStamp: true, IDs: Scrambled, Null: Silent, Quote: 8, EchoDF: true, OUI: [3]byte{0x00, 0x1b, 0x54}},
	"printer":        {TTL: 64, Window: 11680, Scale: 0, NoSack: true, Order: StampFirst, IDs: OneByOne, Null: Silent, SynFin: Silent, Quote: 8, EchoDF: true, OUI: [3]byte{0x00, 0x1f, 0x29}},
	"plc":            {TTL: 64, Window: 65535, Scale: -1, NoSack: true, NoStamp: true, Order: ScaleFirst, DF: true, ResetDF: true, IDs: OneByOne, SynFin: Silent, Quote: 8, OUI: [3]byte{0x00, 0x1c, 0x06}},
	"camera":         {TTL: 64, Window: 14480, Scale: 4, DF: true, ResetDF: true, IDs: ZeroIfDF, ECN: true, Null: Silent, SynFin: Silent, ErrorTOS: 0xc0, OUI: [3]byte{0x44, 0x19, 0xb6}},
}

// ByName finds the traits of a kind of system.
func ByName(name string) (Traits, bool) {
	t, ok := table[name]
	t.Name = name
	return t, ok
}

// Names lists the kinds of systems that ByName knows, in order.
func Names() []string { return slices.Sorted(maps.Keys(table)) }

// Plain says whether packets stay as the stack makes them.
func (t Traits) Plain() bool { return t.Window == 0 }
