package confine

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// EnforcerUID is the uid and gid of the process that changes the firewall when
// its parent is root.
const EnforcerUID = 61979

// EnforcerLevels is the number of levels that PrepareEnforcer knows.
const EnforcerLevels = 2

// PrepareEnforcer sets up cmd for the process that changes the firewall: in the
// network namespace of its parent, under a uid of its own where the parent is
// root, with CAP_NET_ADMIN alone. Level 1 asks for nothing.
func PrepareEnforcer(cmd *exec.Cmd, level int) {
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.SysProcAttr = attr
	if level > 0 {
		return
	}
	attr.AmbientCaps = []uintptr{unix.CAP_NET_ADMIN}
	if os.Geteuid() == 0 {
		attr.Credential = &syscall.Credential{Uid: EnforcerUID, Gid: EnforcerUID}
	}
}

// EnterEnforcer confines the process that changes the firewall for good: it
// keeps CAP_NET_ADMIN and the sockets that it has, and loses what Enter takes.
func EnterEnforcer(parentUID int) (Report, error) {
	if err := keepCapability(unix.CAP_NET_ADMIN); err != nil {
		return Report{}, fmt.Errorf("drop capabilities: %w", err)
	}
	r, err := Enter("", parentUID)
	r.Namespace = false // it is the host's: there the packets are
	return r, err
}

// keepCapability drops all others, on every thread.
func keepCapability(c uint) error {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var have, want [2]unix.CapUserData
	if err := unix.Capget(&head, &have[0]); err != nil {
		return err
	}
	bit := uint32(1) << (c % 32)
	want[c/32] = unix.CapUserData{Effective: have[c/32].Permitted & bit, Permitted: have[c/32].Permitted & bit}
	head.Version, head.Pid = unix.LINUX_CAPABILITY_VERSION_3, 0
	return allThreads(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&head)), uintptr(unsafe.Pointer(&want[0])))
}

// HideCapabilities keeps what ambient capabilities this process was started
// with (as by systemd) from the processes that it starts, but for those that
// Prepare functions name.
func HideCapabilities() error {
	return allThreads(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL)
}

// allThreads does a system call on each thread of the process; on one where
// cgo is in the binary (tests with -race).
func allThreads(call, a, b uintptr) error {
	_, _, e := syscall.AllThreadsSyscall(call, a, b, 0)
	if errors.Is(e, syscall.ENOTSUP) {
		_, _, e = syscall.Syscall(call, a, b, 0)
	}
	if e != 0 {
		return e
	}
	return nil
}
