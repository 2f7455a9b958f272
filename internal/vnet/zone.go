package vnet

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// Zone holds all names of the network. There is no other place that names
// are looked up in.
type Zone struct {
	mu    sync.RWMutex
	names map[string][]netip.Addr
}

func newZone() *Zone { return &Zone{names: map[string][]netip.Addr{}} }

// canonical is name without the last dot, in lower case.
func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// Add gives name further addresses.
func (z *Zone) Add(name string, addrs ...netip.Addr) {
	z.mu.Lock()
	defer z.mu.Unlock()
	name = canonical(name)
	for _, a := range addrs {
		if !slices.Contains(z.names[name], a) {
			z.names[name] = append(z.names[name], a)
		}
	}
}

// Remove forgets name.
func (z *Zone) Remove(name string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	delete(z.names, canonical(name))
}

// Lookup gives the addresses of name, none if it is not known. A name that
// begins with "*." answers for everything below it that has no name itself.
func (z *Zone) Lookup(name string) []netip.Addr {
	z.mu.RLock()
	defer z.mu.RUnlock()
	name = canonical(name)
	if a := z.names[name]; a != nil {
		return slices.Clone(a)
	}
	for rest := name; ; {
		_, up, ok := strings.Cut(rest, ".")
		if !ok {
			return nil
		}
		if a := z.names["*."+up]; a != nil {
			return slices.Clone(a)
		}
		rest = up
	}
}

// Names lists all names in order.
func (z *Zone) Names() []string {
	z.mu.RLock()
	defer z.mu.RUnlock()
	out := make([]string, 0, len(z.names))
	for n := range z.names {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}
