//go:build unix

package app

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/config"
	"github.com/lapwing-defence/lapwing/internal/confine"
)

// UpOptions is what Up takes.
type UpOptions struct {
	Dir              Dir
	Config           *config.Config
	Expose           string // address that implied decoys listen on instead of loopback
	AcceptUnconfined bool
	Out              io.Writer // where to say what is going on
	Err              io.Writer // of our processes
	Log              *slog.Logger
	Ready            func(*Instance) // called once everything serves
}

// Instance is a running lapwing.
type Instance struct {
	Dir     Dir
	Listens []Listen
	Report  confine.Report
	// Sources are the listeners of sources; ReaderReport is how the process that
	// reads logs is confined.
	Sources      []Listen
	ReaderReport confine.Report
	PIDs         map[string]int
}

// Listen is one decoy that is being served.
type Listen struct {
	Host, Type, Address, User, Password string
}

// Up runs a whole lapwing until ctx ends.
func Up(ctx context.Context, o UpOptions) error {
	if err := o.Dir.Create(); err != nil {
		return err
	}
	unlock, err := o.Dir.lock(ctx, "up.lock", 0)
	if err != nil {
		return err
	}
	defer unlock()
	name := o.Config.Name
	if name == "" {
		if name, err = os.Hostname(); err != nil {
			name = "lapwing"
		}
	}
	if err := confine.HideCapabilities(); err != nil {
		return fmt.Errorf("keep capabilities from our processes: %w", err)
	}
	inst := &Instance{Dir: o.Dir, PIDs: map[string]int{}}
	orders := &WorkerOrders{Observer: name, Limits: o.Config.Limits, Visitors: o.Config.Visitors, ParentUID: os.Geteuid()}
	var seed [8]byte
	rand.Read(seed[:])
	orders.Seed = binary.LittleEndian.Uint64(seed[:])
	if orders.ParentNS, err = confine.NetNS(); err != nil {
		orders.ParentNS = ""
	}
	files, err := bind(o, orders, inst)
	if err != nil {
		return err
	}
	defer func() {
		for _, f := range files {
			f.Close() //nolint:errcheck // the worker has its own copies
		}
	}()
	if err := o.Dir.saveDoors(inst.Listens, orders); err != nil {
		return err
	}
	outer := []*child{newWorker(o, orders, inst, files)}
	reader, closeReader, err := newReader(o, orders, inst)
	if err != nil {
		return err
	}
	defer closeReader()
	if reader != nil {
		outer = append(outer, reader)
	}
	return supervise(ctx, o, orders, inst, outer)
}

// newWorker makes the child that serves the decoys.
func newWorker(o UpOptions, orders *WorkerOrders, inst *Instance, files []*os.File) *child {
	worker := &child{
		name: "worker", args: []string{"worker"}, files: files, orders: orders, stderr: o.Err, log: o.Log, grace: 8 * time.Second,
		prepare: confine.Prepare, levels: confine.Levels, dial: o.Dir.journalSocket(), ready: make(chan struct{}),
	}
	worker.line = func(l string) {
		if rest, ok := strings.CutPrefix(l, "report "); ok {
			json.Unmarshal([]byte(rest), &inst.Report) //nolint:errcheck // our own text
		}
	}
	return worker
}

// runAll runs children. ready is closed when all of them are, done gives how each ended.
func runAll(ctx context.Context, wg *sync.WaitGroup, children []*child) (ready <-chan struct{}, done <-chan error) {
	all, ends := make(chan struct{}), make(chan error, len(children))
	for _, c := range children {
		wg.Go(func() { ends <- c.run(ctx) })
	}
	wg.Go(func() {
		for _, c := range children {
			select {
			case <-c.ready:
			case <-ctx.Done():
				return
			}
		}
		close(all)
	})
	return all, ends
}

// supervise starts the store and the hub, then those who talk to the hub, and
// stops them in the other order.
func supervise(ctx context.Context, o UpOptions, orders *WorkerOrders, inst *Instance, outer []*child) error {
	hub := &child{
		name: "hub", args: []string{"hub"}, orders: HubOrders{o.Dir, orders.Observer, o.Config}, stderr: o.Err, log: o.Log,
		grace: 10 * time.Second, ready: make(chan struct{}),
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stopStore := startStore(ctx, o)
	defer stopStore()
	stopEnforcer, err := startEnforcer(ctx, o)
	if err != nil {
		return err
	}
	defer stopEnforcer()
	hubCtx, stopHub := context.WithCancel(context.WithoutCancel(ctx))
	defer stopHub()
	hubDone := make(chan error, 1)
	go func() { hubDone <- hub.run(hubCtx) }()
	stop := func() { stopHub(); <-hubDone } //nolint:errcheck // it was told to end
	select {
	case <-hub.ready:
	case err := <-hubDone:
		return err
	case <-ctx.Done():
		stop()
		return nil
	}
	var wg sync.WaitGroup
	ready, ended := runAll(ctx, &wg, outer)
	select {
	case <-ready:
		for _, c := range append([]*child{hub}, outer...) {
			inst.PIDs[c.name] = int(c.pid.Load())
		}
		if o.Ready != nil {
			o.Ready(inst)
		}
	case err := <-ended:
		cancel()
		wg.Wait()
		stop()
		return err
	case err := <-hubDone:
		cancel()
		wg.Wait()
		return err
	case <-ctx.Done():
	}
	select {
	case <-ctx.Done():
	case err = <-ended:
	case err = <-hubDone:
		cancel()
		wg.Wait()
		return err
	}
	cancel()
	wg.Wait()
	stop()
	return err
}

// bind opens the listeners of every decoy. A configured port in use is an
// error, an implied one is skipped with a warning.
func bind(o UpOptions, orders *WorkerOrders, inst *Instance) ([]*os.File, error) {
	var files []*os.File
	for _, h := range o.Config.Hosts {
		id, err := o.Dir.identity(h, time.Now())
		if err != nil {
			return files, err
		}
		if o.Config.Implied {
			h.Login.Accept = []config.Credential{{User: "root", Password: config.Secret(id.Password)}}
		}
		wh := WorkerHost{Config: h, Identity: id}
		for _, d := range h.Decoys {
			f, addr, err := bindOne(o, d)
			if err != nil && (!o.Config.Implied || !errors.Is(err, errInUse)) {
				return files, err
			}
			if err != nil {
				o.Log.Warn("a decoy is skipped", "decoy", d.Type, "error", err)
				wh.Decoys = append(wh.Decoys, -1)
				continue
			}
			if !addr.Addr().IsLoopback() && !o.AcceptUnconfined {
				orders.MustBeHeld = true
			}
			wh.Decoys = append(wh.Decoys, len(files))
			files = append(files, f)
			l := Listen{Host: h.Name, Type: d.Type, Address: addr.String()}
			if len(h.Login.Accept) > 0 {
				l.User, l.Password = h.Login.Accept[0].User, string(h.Login.Accept[0].Password)
			}
			inst.Listens = append(inst.Listens, l)
		}
		orders.Hosts = append(orders.Hosts, wh)
	}
	if len(files) == 0 {
		return nil, errors.New("no decoy could be opened: every port is in use; name free ones in a configuration (--config FILE)")
	}
	return files, nil
}

var errInUse = errors.New("in use")

func bindOne(o UpOptions, d config.Decoy) (*os.File, netip.AddrPort, error) {
	addr, err := netip.ParseAddrPort(d.Listen)
	if err != nil {
		return nil, addr, fmt.Errorf("listen on %q: %w", d.Listen, err)
	}
	if o.Expose != "" && o.Config.Implied {
		ip, err := netip.ParseAddr(o.Expose)
		if err != nil {
			return nil, addr, fmt.Errorf("--expose %q: write an address of this machine, such as 0.0.0.0", o.Expose)
		}
		addr = netip.AddrPortFrom(ip, addr.Port())
	}
	return bindTCP(addr)
}

// unbound says why an address cannot be listened on.
func unbound(addr netip.AddrPort, err error) error {
	switch {
	case strings.Contains(err.Error(), "address already in use"):
		return fmt.Errorf("listen on %s: the port is %w by another program; stop it, or choose another port", addr, errInUse)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("listen on %s: permission denied; ports below 1024 need root, or choose another port", addr)
	}
	return fmt.Errorf("listen on %s: %w", addr, err)
}

func bindTCP(addr netip.AddrPort) (*os.File, netip.AddrPort, error) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	ln, err := lc.Listen(context.Background(), "tcp", addr.String()) //nolint:forbidigo // binding does not wait
	if err != nil {
		return nil, addr, unbound(addr, err)
	}
	defer ln.Close() //nolint:errcheck // the file is a copy
	if t, ok := ln.Addr().(*net.TCPAddr); ok {
		addr = t.AddrPort()
	}
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		return nil, addr, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return f, addr, nil
}
