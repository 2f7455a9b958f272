// Package nft holds blocks in the kernel: one nftables table of ours, `inet
// lapwing`, that it writes itself over netlink. No nft program is needed.
//
//	chain input, forward (priority -10, before "established accept" of others)
//	  iif lo accept
//	  from @allow4, @allow6 accept             (leaves our chain only)
//	  from @b32, @b24, @b128, @b64, @b56, @b48 drop, with a named counter each
//
// One hash set for each length of prefix in use, looked up by the masked
// address: as fast with 100,000 elements as with one, where the kernel's
// interval sets take milliseconds an element. Every element has a timeout, so
// what we forget ends by itself.
//
// Where the kernel has them (6.9), the table has the flags owner and persist:
// no other program can flush or change it, and it stays with its elements when
// our process dies; the next one takes it over. Elsewhere Watch sees what
// others do to it, and puts it back.
package nft

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strconv"
	"time"

	"github.com/lapwing-defence/lapwing/internal/respond/action"
)

// Name is the table's, in the family inet.
const Name = "lapwing"

// Config is what Open takes.
type Config struct {
	Max    int  // blocks of each usual length of prefix; 0: 100,000; others have a tenth
	Shared bool // do without the flag owner, as on kernels that lack it
	Log    *slog.Logger
}

// The bounds.
const (
	DefaultMax = 100_000
	maxAllow   = 4096                 // prefixes of the allow list, after merging
	maxLengths = 16                   // lengths of prefix in use at once
	MaxTTL     = 366 * 24 * time.Hour // of an element
	minTTL     = time.Millisecond
)

// Element is one block.
type Element struct {
	Prefix netip.Prefix
	TTL    time.Duration // left of it
}

// Held is a block in the kernel.
type Held struct {
	Element
	Packets uint64 // dropped since it was last set, where the kernel counts
}

// Errors that callers tell apart.
var (
	// ErrPrefix says that a prefix cannot be blocked whatever the allow list says.
	ErrPrefix = errors.New("not a prefix that may be blocked")
	// ErrAllowed says that a prefix lies in the allow list.
	ErrAllowed = errors.New("on the allow list")
	// ErrFull says that a set holds as much as it may.
	ErrFull = errors.New("the set is full")
	// ErrOwned says that a living process holds the table.
	ErrOwned = errors.New("another process holds the table inet " + Name + ": stop the other lapwing")
	// ErrTTL says that a block would not end in time.
	ErrTTL = errors.New("a block must end, within a year")
)

// The shortest prefixes: what is wider hits more than an answer may, whoever
// asks for it.
const (
	widest4 = 16
	widest6 = 32
)

// Check says whether a prefix may be blocked at all: it is masked, not wider
// than /16 or /32, an IPv4 one is not written as IPv6, and none of
// action.Never, such as loopback and the link's own.
func Check(p netip.Prefix) error {
	a := p.Addr()
	if !p.IsValid() || p != p.Masked() || a.Is4In6() || a.Is4() && p.Bits() < widest4 || a.Is6() && p.Bits() < widest6 {
		return ErrPrefix
	}
	if n, hit := action.Never().Hit(p); hit {
		return fmt.Errorf("%w: %s", ErrPrefix, n.Why)
	}
	return nil
}

// SetName is that of the set in which a block of p is.
func SetName(p netip.Prefix) string { return lengthOf(p).name() }

// covered tells whether one of the prefixes holds the whole of p.
func covered(list []netip.Prefix, p netip.Prefix) bool {
	for _, q := range list {
		if q.Bits() <= p.Bits() && q.Contains(p.Addr()) {
			return true
		}
	}
	return false
}

// length is a length of prefix of one family: a set, a counter and a rule.
type length struct {
	bits int
	six  bool
}

func lengthOf(p netip.Prefix) length { return length{p.Bits(), p.Addr().Is6()} }

// name is that of the set and of the counter.
func (l length) name() string {
	return "b" + strconv.Itoa(l.bits) + map[bool]string{true: "v6"}[l.six && l.bits <= 32]
}

// compare puts the lengths in the order of the rules: what is hit most first.
func (l length) compare(m length) int {
	if l.six != m.six {
		if m.six {
			return -1
		}
		return 1
	}
	return cmp.Compare(m.bits, l.bits)
}

// usual are the lengths that decisions have; others come as they are asked for.
func usual() []length {
	return []length{{32, false}, {24, false}, {128, true}, {64, true}, {56, true}, {48, true}}
}

// Stats is what the table is doing.
type Stats struct {
	Blocks  int    // that stand
	Owned   bool   // the kernel keeps others off
	Repairs uint64 // times that it had to be put back
	Refused uint64 // blocks for which there was no room
	Err     error  // why it does not do what it should
}
