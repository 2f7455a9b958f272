// Package access decides who gets in to a fake host, and how long a refusal takes.
package access

import (
	"net/netip"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

// Credential is one user and password; the password "*" matches any.
type Credential struct{ User, Password string }

// Policy is who gets in.
type Policy struct {
	Accept []Credential
	After  int  // a source gets in at its n-th try, 0 = never
	None   bool // nobody gets in
}

// Door applies a Policy. Once a source got in as a user with one password,
// another is refused, as on a real host; the source's view remembers which.
type Door struct {
	p    Policy
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
	return &Door{p: p, rand: r, now: now, known: map[string]*visitor{}}
}

// Check reports whether source gets in as user with password, and how long to
// wait before saying no: 1.6 to 3.2 seconds, as PAM does with yescrypt.
func (d *Door) Check(source netip.Addr, v *host.Visit, user, password string) (ok bool, delay time.Duration) {
	if d.allowed(source, v, user, password) {
		return true, 0
	}
	return false, 1600*time.Millisecond + time.Duration(d.rand.IntN(1600))*time.Millisecond
}

func (d *Door) allowed(source netip.Addr, v *host.Visit, user, password string) bool {
	if d.p.None || password == "" {
		return false
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
