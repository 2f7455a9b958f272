//go:build unix

package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/config"
	"github.com/lapwing-defence/lapwing/internal/confine"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/journal/uplink"
)

// ReaderOrders is what the supervisor tells the process that reads logs.
type ReaderOrders struct {
	Observer  string         `json:"observer"`
	Sources   []ReaderSource `json:"sources"`
	Dir       string         `json:"dir"`  // of positions and counts
	Read      []string       `json:"read"` // what may be opened beside
	Rules     config.Rules   `json:"rules"`
	Access    config.Access  `json:"access"`
	ParentNS  string         `json:"parent_ns"`
	ParentUID int            `json:"parent_uid"`
}

// ReaderSource is one source and its listeners among the inherited ones, -1 = none.
type ReaderSource struct {
	Config config.Source `json:"config"`
	TCP    int           `json:"tcp"`
	UDP    int           `json:"udp"`
}

// newReader makes the child that reads logs, with its listeners bound; nil where
// there is nothing to read. stop closes what it was handed.
func newReader(o UpOptions, w *WorkerOrders, inst *Instance) (reader *child, stop func(), err error) {
	if len(o.Config.Sources) == 0 {
		return nil, func() {}, nil
	}
	orders := &ReaderOrders{Observer: w.Observer, Dir: o.Dir.sources(), ParentNS: w.ParentNS, ParentUID: w.ParentUID, Rules: o.Config.Rules, Access: o.Config.Access}
	orders.Read = append(append(orders.Read, o.Config.Rules.Dirs...), o.Config.Access.Geo...)
	if p := o.Config.Rules.Placeholders; p != "" {
		orders.Read = append(orders.Read, p)
	}
	var files []*os.File
	stop = func() {
		for _, f := range files {
			f.Close() //nolint:errcheck // the reader has its own copies
		}
	}
	for _, s := range o.Config.Sources {
		rs := ReaderSource{Config: s, TCP: -1, UDP: -1}
		for _, proto := range s.Protocols() {
			f, addr, err := bindSource(proto, s.Listen)
			if err != nil {
				stop()
				return nil, nil, fmt.Errorf("source %s: %w", s.Name, err)
			}
			if proto == "udp" {
				rs.UDP = len(files)
			} else {
				rs.TCP = len(files)
			}
			files = append(files, f)
			inst.Sources = append(inst.Sources, Listen{Host: s.Name, Type: s.Type + "/" + proto, Address: addr.String()})
		}
		orders.Read = append(orders.Read, opened(&s)...)
		orders.Sources = append(orders.Sources, rs)
	}
	if err := confine.Own(o.Dir.sources()); err != nil {
		stop()
		return nil, nil, fmt.Errorf("hand the reader its directory: %w", err)
	}
	reader = &child{
		name: "reader", args: []string{"reader"}, files: files, orders: orders, stderr: o.Err, log: o.Log, grace: 8 * time.Second,
		prepare: confine.PrepareReader, levels: confine.Levels, dial: o.Dir.readerSocket(), ready: make(chan struct{}),
	}
	reader.line = func(l string) {
		if rest, ok := strings.CutPrefix(l, "report "); ok {
			json.Unmarshal([]byte(rest), &inst.ReaderReport) //nolint:errcheck // our own text
		}
	}
	return reader, stop, nil
}

// bindSource opens a listener of a source: a stream's, or a socket for datagrams.
func bindSource(proto, listen string) (*os.File, netip.AddrPort, error) {
	addr, err := netip.ParseAddrPort(listen)
	if err != nil {
		return nil, addr, fmt.Errorf("listen on %q: %w", listen, err)
	}
	if proto == "tcp" {
		return bindTCP(addr)
	}
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return nil, addr, unbound(addr, err)
	}
	defer conn.Close()            //nolint:errcheck // the file is a copy
	conn.SetReadBuffer(udpBuffer) //nolint:errcheck // a smaller one works, too
	if a, ok := conn.LocalAddr().(*net.UDPAddr); ok {
		addr = a.AddrPort()
	}
	f, err := conn.File()
	if err != nil {
		return nil, addr, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return f, addr, nil
}

// udpBuffer is what the kernel keeps of datagrams that are not read yet, in bytes,
// as far as net.core.rmem_max lets it.
const udpBuffer = 8 << 20

// opened are the directories and files that a source reads.
func opened(s *config.Source) (out []string) {
	for _, pattern := range s.Files() {
		dir := filepath.Dir(pattern)
		for strings.ContainsAny(dir, `*?[\`) {
			dir = filepath.Dir(dir)
		}
		out = append(out, present(dir))
		if to, err := filepath.EvalSymlinks(pattern); err == nil {
			out = append(out, filepath.Dir(to))
		}
	}
	if s.Type == "journald" {
		if s.Dir != "" {
			return append(out, present(s.Dir))
		}
		out = append(out, present("/var/log/journal"), present("/run/log/journal"))
	}
	return out
}

// present is dir, or the directory nearest above it that is there, but not the root.
func present(dir string) string {
	for d := dir; d != filepath.Dir(d); d = filepath.Dir(d) {
		if _, err := os.Stat(d); err == nil {
			return d
		}
	}
	return dir
}

// serveReader serves the socket that the process that reads logs alone is handed.
func (o *HubOrders) serveReader(ctx context.Context, keep uplink.Handler, in *intake, log *slog.Logger) (stop func(), err error) {
	if len(o.Config.Sources) == 0 {
		return func() {}, nil
	}
	ln, err := listenUnix(o.Dir.readerSocket())
	if err != nil {
		return nil, err
	}
	srv := uplink.NewServer(uplink.ServerConfig{
		Handler: noBlobs{keep}, Clock: clock.System(), Log: log, MaxCapture: 1,
		Stamp: func(_ string, e *event.Event) { in.stampSource(e, in.now()) },
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := srv.ServeListener(ctx, ln); err != nil {
			log.Error("the reader of logs is not listened to any more", "error", err)
		}
	})
	return func() { ln.Close(); wg.Wait() }, nil //nolint:errcheck // it ends with ctx
}

// noBlobs takes events alone.
type noBlobs struct{ uplink.Handler }

var errEvents = errors.New("who reads logs sends events alone")

// Cast refuses.
func (noBlobs) Cast(context.Context, string, int64, []byte) error { return errEvents }

// State refuses.
func (noBlobs) State(context.Context, string, uint64, []byte) error { return errEvents }
