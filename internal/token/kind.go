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
	// All says that it leads to one of each of Services.
	All  bool
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
	web := []string{"http", "https"}
	return []Kind{
		{"ssh", "SSH key with an entry in ~/.ssh/config and known_hosts", []string{"ssh"}, false, (*maker).ssh},
		{"pgpass", "line of ~/.pgpass", []string{"postgres"}, false, (*maker).pgpass},
		{"mycnf", "option file of MySQL's clients", []string{"mysql"}, false, (*maker).mycnf},
		{"ldap", "configuration of nslcd, set aside, with a name and password to bind with", []string{"ldap"}, false, (*maker).ldap},
		{"env", "settings of an application, with the URLs of its stores", []string{"postgres", "mysql", "redis", "mongo"}, true, (*maker).env},
		{"kubeconfig", "configuration of kubectl with a client certificate", []string{"https"}, false, (*maker).kube},
		{"aws", "profile in ~/.aws with an endpoint of its own", web, false, (*maker).aws},
		{"git", "clone with a remote, and its password in ~/.git-credentials", web, false, (*maker).git},
		{"netrc", "entry of ~/.netrc", web, false, (*maker).netrc},
		{"npmrc", "registry of one scope in ~/.npmrc", web, false, (*maker).npmrc},
		{"pip", "pip.conf with an index of its own", web, false, (*maker).pip},
		{"docker", "login to a registry in ~/.docker", web, false, (*maker).docker},
		{"bookmark", "bookmarks of a browser", web, false, (*maker).bookmark},
		{"url", "link for a wiki or a page", web, false, (*maker).url},
		{"dns", "name below a zone whose queries you see", nil, false, (*maker).dns},
		{"html", "page with a linked image", web, false, (*maker).page},
		{"docx", "text document with a linked image", web, false, (*maker).docx},
		{"xlsx", "table with a linked image", web, false, (*maker).xlsx},
		{"pdf", "document that opens a link", web, false, (*maker).pdf},
		{"sql", "part of a dump of a database", []string{"mysql"}, false, (*maker).dump},
		{"mail", "mail address that was given to nobody", nil, false, (*maker).mail},
		{"rows", "row for a table of people, with such an address", nil, false, (*maker).rows},
		{"account", "account of the directory that nobody uses; the directory's logs tell", nil, false, (*maker).account},
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
	HostKeys    []string // public keys of the SSH decoy, as in known_hosts
	Certificate string   // of the web server, PEM
	Name        string   // that it is for
}

// Made is what a token consists of.
type Made struct {
	Files  []File
	Values map[string]string // what is to be put somewhere by hand: url, name, mail, user, password
}

// Make gives the files of a token. t.Names is filled in with what was drawn,
// where it is not there; given them, the same files come out but for what
// formats hold of random bytes.
func (m *Master) Make(t *Token, s Surroundings) (Made, error) {
	k, err := FindKind(t.Kind)
	if err != nil {
		return Made{}, err
	}
	var seed [32]byte
	copy(seed[:], m.derive(t.ID, "choice/1", len(seed)))
	if t.Names == nil {
		t.Names = map[string]string{}
	}
	mk := &maker{m: m, t: t, s: s, rand: rand.New(rand.NewChaCha8(seed))}
	if t.Door.Address != "" {
		if mk.host, mk.port, err = net.SplitHostPort(t.Door.Address); err != nil {
			return Made{}, fmt.Errorf("the address %.100q that the token leads to: %w", t.Door.Address, err)
		}
	}
	files, err := k.make(mk)
	if err != nil {
		return Made{}, fmt.Errorf("make a token of kind %s: %w", t.Kind, err)
	}
	return Made{files, mk.values}, nil
}

// maker makes the files of one token.
type maker struct {
	m          *Master
	t          *Token
	s          Surroundings
	rand       *rand.Rand
	host, port string // of the door
	values     map[string]string
}

func (k *maker) value(name, v string) {
	if k.values == nil {
		k.values = map[string]string{}
	}
	k.values[name] = v
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
