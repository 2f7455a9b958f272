package vnet

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// CaptureConfig says what a Capture sees.
type CaptureConfig struct {
	// Segment is the name of the segment whose packets are taken as they travel
	// on it, so that a packet that crosses routers is seen on each. "": every
	// packet once, where it begins its life.
	Segment string
	MaxSize int64 // bytes of the file; more is counted and left out (4 GiB)
}

// Capture writes packets as pcapng (draft-ietf-opsawg-pcapng): link type RAW,
// stamps in nanoseconds of the network's clock, and the ground-truth label of a
// packet as its comment, so that a reader filters on frame.comment.
type Capture struct {
	net     *Network
	segment *Segment
	limit   int64

	mu      sync.Mutex
	w       *bufio.Writer
	size    int64
	packets uint64
	over    uint64
	err     error
	closed  bool
}

// The blocks of pcapng, and options.
const (
	blockSection   = 0x0a0d0d0a
	blockInterface = 1
	blockPacket    = 6
	byteOrder      = 0x1a2b3c4d
	linkRaw        = 101
	snapLength     = 1 << 17
	optEnd         = 0
	optComment     = 1
	optName        = 2
	optResolution  = 9
	maxComment     = 1 << 10 // bytes of a label
	captureSize    = 4 << 30
)

// errNoSegment says that there is nothing of that name.
var errNoSegment = errors.New("there is no such segment")

// Capture writes what the network carries to w until Close. w is written to by
// one goroutine at a time.
func (n *Network) Capture(w io.Writer, cfg CaptureConfig) (*Capture, error) {
	c := &Capture{net: n, w: bufio.NewWriterSize(w, 1<<18), limit: cfg.MaxSize}
	if c.limit <= 0 {
		c.limit = captureSize
	}
	name := "everywhere"
	if cfg.Segment != "" {
		name = cfg.Segment
		for _, s := range n.Segments() {
			if s.Name() == cfg.Segment {
				c.segment = s
			}
		}
		if c.segment == nil {
			return nil, fmt.Errorf("capture on %q: %w", cfg.Segment, errNoSegment)
		}
	}
	if err := c.head(name); err != nil {
		return nil, fmt.Errorf("capture: %w", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []*Capture
	if p := n.taps.Load(); p != nil {
		all = append(all, *p...)
	}
	all = append(all, c)
	n.taps.Store(&all)
	return c, nil
}

// Packets is how many were written, and how many were left out because the file
// was full.
func (c *Capture) Packets() (written, left uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.packets, c.over
}

// Close ends the capture and gives the first error of writing. It does not close
// the writer.
func (c *Capture) Close() error {
	n := c.net
	n.mu.Lock()
	if p := n.taps.Load(); p != nil {
		var rest []*Capture
		for _, o := range *p {
			if o != c {
				rest = append(rest, o)
			}
		}
		n.taps.Store(&rest)
	}
	n.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return c.err
	}
	c.closed = true
	if err := c.w.Flush(); err != nil && c.err == nil {
		c.err = err
	}
	return c.err
}

// tap hands a packet to every capture of the point where it is: seg is nil where
// its life begins.
func (n *Network) tap(f *frame, seg *Segment, now time.Time) {
	p := n.taps.Load()
	if p == nil {
		return
	}
	for _, c := range *p {
		if c.segment == seg {
			c.write(f.bytes(), f.label, now)
		}
	}
}

func (c *Capture) head(name string) error {
	var b []byte
	b = binary.LittleEndian.AppendUint32(b, byteOrder)
	b = binary.LittleEndian.AppendUint16(b, 1) // version 1.0
	b = binary.LittleEndian.AppendUint16(b, 0)
	b = binary.LittleEndian.AppendUint64(b, ^uint64(0)) // length of the section: not known
	if err := c.block(blockSection, b); err != nil {
		return err
	}
	b = b[:0]
	b = binary.LittleEndian.AppendUint16(b, linkRaw)
	b = binary.LittleEndian.AppendUint16(b, 0)
	b = binary.LittleEndian.AppendUint32(b, snapLength)
	b = option(b, optName, []byte(name))
	b = option(b, optResolution, []byte{9}) // nanoseconds
	b = option(b, optEnd, nil)
	return c.block(blockInterface, b)
}

func (c *Capture) write(packet []byte, label string, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.err != nil {
		return
	}
	if c.size+int64(len(packet)+len(label)+64) > c.limit {
		c.over++
		return
	}
	at := uint64(now.UnixNano())
	b := make([]byte, 0, 64+len(packet)+len(label))
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(at>>32))
	b = binary.LittleEndian.AppendUint32(b, uint32(at))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(packet)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(packet)))
	b = pad(append(b, packet...), len(packet))
	if label != "" {
		b = option(b, optComment, []byte(label[:min(len(label), maxComment)]))
		b = option(b, optEnd, nil)
	}
	if c.err = c.block(blockPacket, b); c.err == nil {
		c.packets++
	}
}

// block writes one block: type, length, body, length.
func (c *Capture) block(kind uint32, body []byte) error {
	n := uint32(len(body) + 12)
	var head [8]byte
	binary.LittleEndian.PutUint32(head[:4], kind)
	binary.LittleEndian.PutUint32(head[4:], n)
	for _, b := range [][]byte{head[:], body, head[4:]} {
		if _, err := c.w.Write(b); err != nil {
			return err
		}
	}
	c.size += int64(n)
	return nil
}

func option(b []byte, code uint16, value []byte) []byte {
	b = binary.LittleEndian.AppendUint16(b, code)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
	return pad(append(b, value...), len(value))
}

// pad fills up to a multiple of four bytes.
func pad(b []byte, n int) []byte {
	for ; n%4 != 0; n++ {
		b = append(b, 0)
	}
	return b
}
