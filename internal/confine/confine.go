// Package confine takes from a process what it does not need. The decoy
// worker, which reads strangers' bytes, keeps: its inherited listeners, one
// socket to its parent, memory and time. It cannot open a file, make a socket,
// connect, execute, trace, or see a network.
//
// Three layers, each enough alone against most of it: an empty network
// namespace (no interface to send on; the inherited listeners belong to the
// namespace they were made in), Landlock (no path, no TCP) and a seccomp
// allow list (no socket, connect, execve, ptrace, io_uring).
package confine

import "strings"

// Paths are what a process may open.
type Paths struct {
	Read  []string // files, or directories with all that is below them
	Write []string // directories whose files it may also make, change and remove
}

// Report says which layers hold a process.
type Report struct {
	Namespace bool   `json:"namespace"` // own, empty network namespace
	UID       int    `json:"uid"`       // effective uid of the process
	OwnUID    bool   `json:"own_uid"`   // a uid of its own, different from the parent's
	Landlock  int    `json:"landlock"`  // ABI version in force, 0 = none
	Seccomp   bool   `json:"seccomp"`
	Missing   string `json:"missing,omitempty"` // why a layer is not there
}

// Whole reports whether every layer that a decoy off loopback needs is there.
// A uid of its own is needed only where the parent is root.
func (r Report) Whole() bool {
	return r.Namespace && r.Landlock > 0 && r.Seccomp && (r.OwnUID || r.UID != 0)
}

// String names the layers for the operator.
func (r Report) String() string {
	var have []string
	if r.Seccomp {
		have = append(have, "seccomp")
	}
	if r.Landlock > 0 {
		have = append(have, "Landlock")
	}
	if r.Namespace {
		have = append(have, "empty network namespace")
	}
	if r.OwnUID {
		have = append(have, "own uid")
	}
	if len(have) == 0 {
		return "none"
	}
	return strings.Join(have, ", ")
}
