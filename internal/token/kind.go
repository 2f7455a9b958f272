package token

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"time"
)

// Kind is a kind of token.
type Kind struct {
	Name    string
	Summary string
	// Services are the types of decoys that it can lead to, the best first; nil
	// for one that fires from logs alone.
	Services []string
	// Home says that its files lie in somebody's home directory.
	Home bool
	make func(*maker) ([]File, error)
}

// File is a file of a token.
type File struct {
	Path    string      `json:"path"` // below the directory, with slashes
	Content []byte      `json:"content"`
	Mode    fs.FileMode `json:"mode"`
	Time    time.Time   `json:"time"` // plausible for its last change
	// Append says that Content may be added to a file that is there: it changes
	// nothing for whoever uses that. Only fields of Guard that the file has
	// already speak against it.
	Append bool     `json:"append,omitempty"`
	Guard  []string `json:"guard,omitempty"` // words that must not be in the file already
	Else   []string `json:"else,omitempty"`  // other paths, to be tried in order where Path exists and Append is not set
}

// Kinds are all that there are.
func Kinds() []Kind {
	return []Kind{
		{"ssh", "SSH key with an entry in ~/.ssh/config and known_hosts", []string{"ssh"}, true, (*maker).ssh},
	}
}

// FindKind gives a kind by its name.
func FindKind(name string) (Kind, error) {
	kinds := Kinds()
	i := slices.IndexFunc(kinds, func(k Kind) bool { return k.Name == name })
	if i < 0 {
		var names []string
		for _, k := range kinds {
			names = append(names, k.Name)
		}
		return Kind{}, fmt.Errorf("%.40q is no kind of token: use one of %s", name, strings.Join(names, ", "))
	}
	return kinds[i], nil
}

// Surroundings are what the content of a token takes from where it leads to.
type Surroundings struct {
	HostKeys []string // public keys of the SSH decoy, as in known_hosts
}

// Make gives the files of a token. t.Names is filled in with what was drawn,
// where it is not there; given them, the same files come out but for what
// formats hold of random bytes.
func (m *Master) Make(t *Token, s Surroundings) ([]File, error) {
	k, err := FindKind(t.Kind)
	if err != nil {
		return nil, err
	}
	var seed [32]byte
	copy(seed[:], m.derive(t.ID, "choice/1", len(seed)))
	if t.Names == nil {
		t.Names = map[string]string{}
	}
	mk := &maker{m: m, t: t, s: s, rand: rand.New(rand.NewChaCha8(seed))}
	if t.Door.Address != "" {
		if mk.host, mk.port, err = net.SplitHostPort(t.Door.Address); err != nil {
			return nil, fmt.Errorf("the address %.100q that the token leads to: %w", t.Door.Address, err)
		}
	}
	files, err := k.make(mk)
	if err != nil {
		return nil, fmt.Errorf("make a token of kind %s: %w", t.Kind, err)
	}
	return files, nil
}

// maker makes the files of one token.
type maker struct {
	m          *Master
	t          *Token
	s          Surroundings
	rand       *rand.Rand
	host, port string // of the door
}

// name gives what stands in the register under key, or draws it. Every kind
// draws in the same order, whether or not it is there.
func (k *maker) name(key string, draw func() string) string {
	drawn := draw()
	if v, ok := k.t.Names[key]; ok {
		return v
	}
	k.t.Names[key] = drawn
	return drawn
}

func (k *maker) pick(words ...string) string { return words[k.rand.IntN(len(words))] }

// suffix is five letters and digits that make a name one of a kind.
func (k *maker) suffix() string {
	n := binary.BigEndian.Uint64(k.m.derive(k.t.ID, "suffix/1", 8))
	const letters = "abcdefghijkmnpqrstuvwxyz23456789"
	var b [5]byte
	for i := range b {
		b[i] = letters[n%uint64(len(letters))]
		n /= uint64(len(letters))
	}
	return string(b[:])
}

// user is a name that belongs to nobody: one of the stems and a suffix.
func (k *maker) user(stems ...string) string {
	return k.name("user", func() string {
		stem, sep := k.pick(stems...), k.pick("-", "_", "")
		return stem + sep + k.suffix()
	})
}

// short is the machine's name without its domain.
func (k *maker) short() string {
	name, _, _ := strings.Cut(k.t.Host, ".")
	if name == "" {
		return "localhost"
	}
	return name
}

func (k *maker) owner() string {
	if k.t.Owner == "" {
		return "root"
	}
	return k.t.Owner
}

// changed is a time of a working day between one month and two years before
// the token was drawn.
func (k *maker) changed() time.Time {
	days := 30 + k.rand.IntN(700)
	at := k.t.Created.AddDate(0, 0, -days)
	for at.Weekday() == time.Saturday || at.Weekday() == time.Sunday {
		at = at.AddDate(0, 0, -1)
	}
	y, mo, d := at.Date()
	return time.Date(y, mo, d, 8+k.rand.IntN(10), k.rand.IntN(60), k.rand.IntN(60), k.rand.IntN(1e9), at.Location())
}

// bracketed is the address as known_hosts writes it.
func (k *maker) bracketed(standard string) string {
	if k.port == standard {
		return k.host
	}
	return "[" + k.host + "]:" + k.port
}
