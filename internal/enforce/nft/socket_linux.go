package nft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// socket is one of netlink's netfilter family.
type socket struct {
	f   *os.File
	rc  rawConn
	id  uint32 // its port, by which the kernel names who did a change
	buf []byte
}

// rawConn is the part of syscall.RawConn that is used.
type rawConn interface {
	Write(f func(fd uintptr) bool) error
}

const (
	sendBuffer = 4 << 20
	readBuffer = 4 << 20 // the kernel's queue for us
	readSize   = 64 << 10
	patience   = 10 * time.Second // for an answer of the kernel
)

func openSocket() (*socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, fmt.Errorf("open a netfilter socket: %w", err)
	}
	s := &socket{f: os.NewFile(uintptr(fd), "netfilter"), buf: make([]byte, readSize)}
	if err := s.setUp(fd); err != nil {
		return nil, errors.Join(fmt.Errorf("open a netfilter socket: %w", err), s.f.Close())
	}
	return s, nil
}

func (s *socket) setUp(fd int) error {
	for _, o := range []struct{ forced, plain, size int }{{unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, sendBuffer}, {unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, readBuffer}} {
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, o.forced, o.size) == nil {
			continue
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, o.plain, o.size); err != nil {
			return err
		}
	}
	unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1) //nolint:errcheck // answers are only shorter with it
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return err
	}
	a, ok := sa.(*unix.SockaddrNetlink)
	if !ok {
		return unix.EAFNOSUPPORT
	}
	s.id = a.Pid
	s.rc, err = s.f.SyscallConn()
	return err
}

func (s *socket) close() error { return s.f.Close() }

// send gives the kernel what w holds.
func (s *socket) send(w *writer) error {
	var sent error
	err := s.rc.Write(func(fd uintptr) bool {
		sent = unix.Sendto(int(fd), w.b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
		return !errors.Is(sent, unix.EAGAIN)
	})
	return errors.Join(err, sent)
}

// receive reads one datagram. ENOBUFS says that some were lost.
func (s *socket) receive() ([]byte, error) {
	n, err := s.f.Read(s.buf)
	return s.buf[:n], err
}

// transact sends a transaction and waits until it is done or refused.
func (s *socket) transact(w *writer) error {
	first, last := w.first(), w.seq-1 // the end of the batch is not answered
	if err := s.f.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if err := s.send(w); err != nil {
		return err
	}
	var failed error
	for done := false; !done; {
		b, err := s.receive()
		if err != nil {
			return err
		}
		replies(b, func(r reply) {
			if r.kind != unix.NLMSG_ERROR || int32(r.seq-first) < 0 || int32(r.seq-w.seq) > 0 {
				return // of a transaction given up before
			}
			err := r.failure()
			if failed == nil {
				failed = err
			}
			done = done || r.seq == last || r.seq == first && err != nil
		})
	}
	return failed
}

// ask sends one request whose answer is an acknowledgement.
func (s *socket) ask(w *writer) error {
	err := s.dump(w, func(reply) {})
	return err
}

// first is the sequence number of the first message in w.
func (w *writer) first() uint32 {
	var seq uint32
	found := false
	replies(w.b, func(r reply) {
		if !found {
			seq, found = r.seq, true
		}
	})
	return seq
}

// errInterrupted says that what was listed changed meanwhile.
var errInterrupted = errors.New("changed while it was listed")

// dump sends a request for a list and calls f for each part of the answer.
func (s *socket) dump(w *writer, f func(reply)) error {
	seq := w.seq
	if err := s.f.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if err := s.send(w); err != nil {
		return err
	}
	var failed error
	for done := false; !done; {
		b, err := s.receive()
		if err != nil {
			return err
		}
		replies(b, func(r reply) {
			if r.seq != seq {
				return
			}
			if r.flags&unix.NLM_F_DUMP_INTR != 0 {
				failed = errInterrupted
			}
			switch r.kind {
			case unix.NLMSG_DONE:
				done = true
			case unix.NLMSG_ERROR:
				failed, done = r.failure(), true
			default:
				f(r)
			}
		})
	}
	return failed
}

// listen makes s hear of the changes that other sockets than own make.
func (s *socket) listen(own uint32) error {
	// The kernel runs this on each notification: the requester's port is the
	// fourth word. BPF loads big-endian.
	want := binary.BigEndian.Uint32(binary.NativeEndian.AppendUint32(nil, own))
	prog := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 12},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: want, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
		{Code: unix.BPF_RET | unix.BPF_K, K: 1 << 18},
	}
	rc, err := s.f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = rc.Control(func(fd uintptr) {
		failed = errors.Join(
			unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}),
			unix.SetsockoptInt(int(fd), unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, unix.NFNLGRP_NFTABLES))
	})
	return errors.Join(err, failed)
}
