package confine

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"github.com/landlock-lsm/go-landlock/landlock"
	lsys "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// WorkerUID is the uid and gid that the worker runs under when its parent is
// root. It lies in the range that systemd leaves to dynamic users, and owns nothing.
const WorkerUID = 61977

// Prepare sets up cmd so that the child starts in an empty network namespace
// and, when the parent is root, under WorkerUID. level 0 asks for everything
// that may work; a Start that fails is to be tried again with the next level,
// down to Levels-1, which asks for nothing.
func Prepare(cmd *exec.Cmd, level int) { prepare(cmd, level, WorkerUID) }

func prepare(cmd *exec.Cmd, level int, uid uint32) {
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	root := os.Geteuid() == 0
	switch {
	case level == 0 && root:
		attr.Cloneflags = syscall.CLONE_NEWNET
		attr.Credential = &syscall.Credential{Uid: uid, Gid: uid}
	case level == 0:
		attr.Cloneflags = syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Geteuid(), HostID: os.Geteuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getegid(), HostID: os.Getegid(), Size: 1}}
	case level == 1 && root:
		attr.Cloneflags = syscall.CLONE_NEWNET
	case level == 2 && root:
		attr.Credential = &syscall.Credential{Uid: uid, Gid: uid}
	}
	cmd.SysProcAttr = attr
}

// Levels is the number of levels that Prepare knows.
const Levels = 4

// Enter confines the calling process for good. parentNetNS is the parent's
// network namespace as NetNS gave it. It fails only when a layer that the
// kernel has could not be entered.
func Enter(parentNetNS string, parentUID int) (Report, error) {
	return enter(parentNetNS, parentUID, allowed)
}

// enter confines to the system calls and to what rules open; without rules no
// path can be opened.
func enter(parentNetNS string, parentUID int, calls string, rules ...landlock.Rule) (Report, error) {
	r := Report{UID: os.Geteuid(), OwnUID: os.Geteuid() != parentUID}
	ns, err := NetNS()
	r.Namespace = err == nil && ns != parentNetNS
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return r, fmt.Errorf("forbid core dumps: %w", err)
	}
	if abi, err := lsys.LandlockGetABIVersion(); err == nil && abi > 0 {
		if err := landlock.V6.BestEffort().Restrict(rules...); err != nil {
			return r, fmt.Errorf("enter Landlock: %w", err)
		}
		r.Landlock = abi
	} else {
		r.Missing = "Landlock is not enabled in this kernel"
	}
	if !seccomp.Supported() {
		r.Missing = "seccomp filters are not enabled in this kernel"
		return r, nil
	}
	if err := loadFilter(calls); err != nil {
		return r, err
	}
	r.Seccomp = true
	return r, nil
}

// NetNS names the network namespace of this process.
func NetNS() (string, error) { return os.Readlink("/proc/self/ns/net") }

// allowed is what the Go runtime and a server on inherited sockets need:
// no openat (Landlock would refuse it too), no socket, connect, bind, execve,
// fork without threads, ptrace, io_uring, mount, keyctl, bpf, memfd.
const allowed = `read write readv writev pread64 pwrite64 close fstat lseek fcntl dup dup3
mmap munmap mprotect madvise mremap brk mincore membarrier
rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack tgkill tkill getpid gettid getppid
futex futex_waitv sched_yield sched_getaffinity nanosleep clock_nanosleep clock_gettime clock_getres gettimeofday
epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 poll ppoll eventfd2 pipe2
accept accept4 recvfrom recvmsg recvmmsg sendto sendmsg sendmmsg shutdown getsockname getpeername getsockopt setsockopt
clone clone3 exit exit_group set_robust_list get_robust_list rseq arch_prctl
getrandom uname getrlimit prlimit64 getrusage sysinfo restart_syscall
timer_create timer_settime timer_delete setitimer getitimer
getuid geteuid getgid getegid`

func loadFilter(calls string) error {
	info, err := arch.GetInfo("")
	if err != nil {
		return fmt.Errorf("load the seccomp filter: %w", err)
	}
	var names []string
	for n := range strings.FieldsSeq(calls) {
		if _, ok := info.SyscallNames[n]; ok && !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	f := seccomp.Filter{
		NoNewPrivs: true,
		Flag:       seccomp.FilterFlagTSync,
		Policy: seccomp.Policy{
			DefaultAction: seccomp.ActionErrno,
			Syscalls:      []seccomp.SyscallGroup{{Action: seccomp.ActionAllow, Names: names}},
		},
	}
	if err := seccomp.LoadFilter(f); err != nil {
		return fmt.Errorf("load the seccomp filter: %w", err)
	}
	return nil
}
