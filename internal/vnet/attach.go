package vnet

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sync"

	"github.com/lapwing-defence/lapwing/internal/vnet/packet"
)

// AttachedPort is a place on a segment where packets come in from and go out
// to something that is no host of the network: a tunnel that a person's own
// tools speak through. Read gives one IP packet for its addresses, Write takes
// one from them. It holds no socket; who reads and writes it may.
type AttachedPort struct {
	net  *Network
	port *port
	out  chan []byte
	done chan struct{}
	once sync.Once
}

var _ io.ReadWriteCloser = (*AttachedPort)(nil)

// attachedQueue is how many packets wait for Read; more are dropped and counted.
const attachedQueue = 1024

// ErrPacket is the answer to bytes that may not come in: no IP packet, a wrong
// checksum, or somebody else's source address. They are counted; nobody in the
// network answers them, as no machine would.
var ErrPacket = errors.New("packet refused")

// AttachPort joins a packet device to the segment under addrs. What it
// sends carries no label: it is not the scenario's.
func (n *Network) AttachPort(s *Segment, name string, addrs ...netip.Addr) (*AttachedPort, error) {
	if s == nil || s.net != n || len(addrs) == 0 {
		return nil, fmt.Errorf("attach %s: it needs a segment of this network and an address in it", name)
	}
	if n.closed.Load() {
		return nil, ErrClosed
	}
	a := &AttachedPort{net: n, out: make(chan []byte, attachedQueue), done: make(chan struct{})}
	p, err := s.join("attached/"+name, addrs, [3]byte{}, a)
	if err != nil {
		return nil, fmt.Errorf("attach %s: %w", name, err)
	}
	a.port = p
	return a, nil
}

// Addrs are the port's addresses.
func (a *AttachedPort) Addrs() []netip.Addr { return slices.Clone(a.port.addrs) }

// MTU is the size of the largest packet that Read gives and Write takes.
func (a *AttachedPort) MTU() int { return a.port.seg.cfg.MTU }

// Isolate cuts the port off, or joins it again.
func (a *AttachedPort) Isolate(cut bool) { a.port.cut.Store(cut) }

// Read waits for the next packet; io.EOF after Close. A buffer shorter than
// the packet gets io.ErrShortBuffer, and the packet is lost.
func (a *AttachedPort) Read(b []byte) (int, error) {
	select {
	case pkt := <-a.out:
		if len(b) < len(pkt) {
			return 0, io.ErrShortBuffer
		}
		return copy(b, pkt), nil
	case <-a.done:
		return 0, io.EOF
	}
}

// Write takes one IP packet and sends it on its way.
func (a *AttachedPort) Write(b []byte) (int, error) {
	select {
	case <-a.done:
		return 0, io.ErrClosedPipe
	default:
	}
	n := a.net
	in, err := packet.Parse(b, len(b))
	switch {
	case err != nil || len(b) > a.MTU():
		return 0, a.refuse(dropMalformed)
	case !slices.Contains(a.port.addrs, in.Src.Addr()):
		return 0, a.refuse(dropSpoofed)
	case !packet.ChecksumsRight(b, in):
		return 0, a.refuse(dropBadChecksum)
	}
	if n.closed.Load() {
		return 0, io.ErrClosedPipe
	}
	a.port.originate(&frame{info: in, raw: slices.Clone(b[:in.TotalLen])})
	return len(b), nil
}

func (a *AttachedPort) refuse(why dropReason) error {
	a.net.count.drops[why].Add(1)
	return ErrPacket
}

// receive puts a packet where Read finds it.
func (a *AttachedPort) receive(f *frame) {
	select {
	case <-a.done:
		f.release()
		return
	default:
	}
	b := f.bytes()
	select {
	case a.out <- b:
	default:
		a.net.drop(f, dropQueue)
	}
}

// unreachable tells the device that nobody answers, as its own system would.
func (a *AttachedPort) unreachable(f *frame) {
	e := f.local(packet.HostUnreachable)
	f.release()
	if e != nil {
		a.receive(e)
	}
}

// Close takes the port off the segment.
func (a *AttachedPort) Close() error {
	a.once.Do(func() {
		close(a.done)
		a.port.seg.leave(a.port)
	})
	return nil
}

func (a *AttachedPort) close() { _ = a.Close() }
