package enforce

import (
	"errors"
	"fmt"
	"net"
	"slices"

	"golang.org/x/sys/unix"
)

// allowedPeer asks the kernel who is at the other end.
func allowedPeer(conn net.Conn, uids []int) error {
	u, ok := conn.(*net.UnixConn)
	if !ok {
		return errors.New("not a Unix socket")
	}
	rc, err := u.SyscallConn()
	if err != nil {
		return err
	}
	var cred *unix.Ucred
	var failed error
	if err := rc.Control(func(fd uintptr) { cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return err
	}
	if failed != nil {
		return failed
	}
	if !slices.Contains(uids, int(cred.Uid)) {
		return fmt.Errorf("process %d of user %d", cred.Pid, cred.Uid)
	}
	return nil
}
