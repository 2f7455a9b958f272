// Package access decides who gets in to a fake host, and how long a refusal takes.
package access

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/netip"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

// Credential is one user and password; the password "*" matches any.
type Credential struct{ User, Password string }

// Token is a planted credential: nobody can know it who has not been where it
// lies. Unless it admits, who uses it is refused, whatever else the Policy says.
type Token struct {
	Credential
	ID    string
	Admit bool
}

// Policy is who gets in.
type Policy struct {
	Accept []Credential
	Tokens []Token
	After  int  // a source gets in at its n-th try, 0 = never
	None   bool // nobody gets in
	// Override, where it is not nil, knows accounts that were changed since: the one
	// password that lets them in, "" for none, whatever the rest says.
	Override func(user string) (password string, known bool)
}

// Door applies a Policy. Once a source got in as a user with one password,
// another is refused, as on a real host; the source's view remembers which.
type Door struct {
	p    Policy
	sums [][sha256.Size]byte // of the tokens
	rand *kernel.Rand
	now  func() time.Time

	mu    sync.Mutex
	known map[string]*visitor
}

type visitor struct {
	tries int
	seen  time.Time
}

const (
	maxVisitors = 10_000
	remember    = 24 * time.Hour
)

// New makes a Door.
func New(p Policy, r *kernel.Rand, now func() time.Time) *Door {
	d := &Door{p: p, rand: r, now: now, known: map[string]*visitor{}}
	for _, t := range p.Tokens {
		d.sums = append(d.sums, t.sum())
	}
	return d
}

// Answer is what a Door says to one try.
type Answer struct {
	OK    bool
	Delay time.Duration // to wait before saying no: 1.6 to 3.2 seconds, as PAM does with yescrypt
	Token string        // ID of the planted credential that was tried, or ""
}

// Check answers source, who tries to get in as user with password. A token
// takes as long as any other password.
func (d *Door) Check(source netip.Addr, v *host.Visit, user, password string) Answer {
	t := d.token(Credential{user, password})
	a := Answer{Token: t.ID}
	if t.ID == "" {
		a.OK = d.allowed(source, v, user, password)
	} else {
		d.count(host.Key(source))
		_, changed := d.changed(user)
		a.OK = t.Admit && !d.p.None && !changed
		if a.OK && v != nil {
			admitFirst(v, user, password)
		}
	}
	if !a.OK {
		a.Delay = 1600*time.Millisecond + time.Duration(d.rand.IntN(1600))*time.Millisecond
	}
	return a
}

// admitFirst leaves a password that source got in with before as it is.
func admitFirst(v *host.Visit, user, password string) {
	if before, _ := v.Admitted(user, password); !before {
		v.Admit(user, password)
	}
}

// sum stands for user and password; no token has a NUL in either.
func (c Credential) sum() [sha256.Size]byte {
	return sha256.Sum256([]byte(c.User + "\x00" + c.Password))
}

// token finds a planted credential, comparing all of them in constant time.
func (d *Door) token(c Credential) Token {
	var found Token
	sum := c.sum()
	for i := range d.sums {
		if subtle.ConstantTimeCompare(d.sums[i][:], sum[:]) == 1 {
			found = d.p.Tokens[i]
		}
	}
	return found
}

func (d *Door) allowed(source netip.Addr, v *host.Visit, user, password string) bool {
	if d.p.None || password == "" {
		return false
	}
	if now, ok := d.changed(user); ok {
		return subtle.ConstantTimeCompare([]byte(now), []byte(password)) == 1
	}
	if v != nil && v.Password(user, password) {
		return true
	}
	tries := d.count(host.Key(source))
	if v != nil {
		if before, same := v.Admitted(user, password); before {
			return same
		}
	}
	ok := d.p.After > 0 && tries >= d.p.After
	if ok && v != nil {
		_, ok = v.M.Account(user)
	}
	for _, c := range d.p.Accept {
		ok = ok || c.User == user && (c.Password == "*" || c.Password == password)
	}
	if ok && v != nil {
		v.Admit(user, password)
	}
	return ok
}

func (d *Door) changed(user string) (string, bool) {
	if d.p.Override == nil {
		return "", false
	}
	return d.p.Override(user)
}

// count adds a try of a source.
func (d *Door) count(key string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	k := d.visitor(key)
	k.tries++
	return k.tries
}

func (d *Door) visitor(key string) *visitor {
	now := d.now()
	k := d.known[key]
	if k == nil || now.Sub(k.seen) > remember {
		if len(d.known) >= maxVisitors {
			for old := range d.known { // any one: the table is bounded, not fair
				delete(d.known, old)
				break
			}
		}
		k = &visitor{}
		d.known[key] = k
	}
	k.seen = now
	return k
}
