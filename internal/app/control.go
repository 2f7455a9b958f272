//go:build unix

package app

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// The control socket joins the supervisor and a child. Down it goes one JSON
// object (the child's orders); up come lines: "ready", "dial", "report {…}".
// A "dial" is answered with one byte that carries a descriptor: a fresh
// connection to the hub, so that the confined worker need not connect itself.
// The end of the stream means that the other side is gone.

const maxOrders = 64 << 20 // bytes of one child's orders

// socketPair makes both ends of a control socket.
func socketPair() (parent *net.UnixConn, child *os.File, err error) {
	syscall.ForkLock.RLock() // no child starts between both calls; darwin knows no SOCK_CLOEXEC
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, fmt.Errorf("make a control socket: %w", err)
	}
	child = os.NewFile(uintptr(fds[1]), "control")
	parent, err = unixConn(os.NewFile(uintptr(fds[0]), "control"))
	if err != nil {
		child.Close() //nolint:errcheck // the other error is told
		return nil, nil, err
	}
	return parent, child, nil
}

// unixConn makes a connection of f and closes f.
func unixConn(f *os.File) (*net.UnixConn, error) {
	defer f.Close() //nolint:errcheck // FileConn has its own copy
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("open the control socket: %w", err)
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		c.Close() //nolint:errcheck // the other error is told
		return nil, errors.New("open the control socket: not a Unix socket")
	}
	return u, nil
}

// control is the child's end.
type control struct {
	mu   sync.Mutex // one dial at a time
	conn *net.UnixConn
}

// openControl takes descriptor 3 and reads the orders into v.
func openControl(v any) (*control, error) {
	c, err := unixConn(os.NewFile(3, "control"))
	if err != nil {
		return nil, fmt.Errorf("%w; this command is started by lapwing up, not by hand", err)
	}
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return nil, fmt.Errorf("read the orders: %w", err)
	}
	n := int(size[0])<<24 | int(size[1])<<16 | int(size[2])<<8 | int(size[3])
	if n > maxOrders {
		return nil, fmt.Errorf("read the orders: %d bytes", n)
	}
	data := make([]byte, n)
	if _, err := io.ReadFull(c, data); err != nil {
		return nil, fmt.Errorf("read the orders: %w", err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return nil, fmt.Errorf("read the orders: %w", err)
	}
	return &control{conn: c}, nil
}

// sendOrders is openControl's other side.
func sendOrders(c *net.UnixConn, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write the orders: %w", err)
	}
	n := len(data)
	if _, err := c.Write(append([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, data...)); err != nil {
		return fmt.Errorf("write the orders: %w", err)
	}
	return nil
}

// tell sends a line up.
func (c *control) tell(line string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := io.WriteString(c.conn, line+"\n")
	return err
}

// dial asks for a connection to the hub.
func (c *control) dial() (net.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := io.WriteString(c.conn, "dial\n"); err != nil {
		return nil, fmt.Errorf("ask for a connection: %w", err)
	}
	var b [1]byte
	oob := make([]byte, syscall.CmsgSpace(4))
	_, n, _, _, err := c.conn.ReadMsgUnix(b[:], oob)
	if err != nil {
		return nil, fmt.Errorf("ask for a connection: %w", err)
	}
	msgs, err := syscall.ParseSocketControlMessage(oob[:n])
	if err != nil || len(msgs) != 1 {
		return nil, errors.New("the hub does not answer")
	}
	fds, err := syscall.ParseUnixRights(&msgs[0])
	if err != nil || len(fds) != 1 {
		return nil, errors.New("the hub does not answer")
	}
	syscall.CloseOnExec(fds[0])
	return unixConn(os.NewFile(uintptr(fds[0]), "hub"))
}

// answerDial gives the child a connection to socket, or none.
func answerDial(c *net.UnixConn, socket string) error {
	var rights []byte
	hub, err := net.Dial("unix", socket) //nolint:noctx // a local socket answers or fails at once
	if err == nil {
		defer hub.Close() //nolint:errcheck // the child has its own copy
		if f, err := hub.(*net.UnixConn).File(); err == nil {
			defer f.Close() //nolint:errcheck // as above
			rights = syscall.UnixRights(int(f.Fd()))
		}
	}
	_, _, err = c.WriteMsgUnix([]byte{0}, rights, nil)
	return err
}

// lines calls fn for each line that the child sends, until the stream ends.
func lines(c *net.UnixConn, fn func(string)) {
	sc := bufio.NewScanner(c)
	sc.Buffer(make([]byte, 4096), 64<<10)
	for sc.Scan() {
		fn(sc.Text())
	}
}
