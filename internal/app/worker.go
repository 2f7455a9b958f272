//go:build unix

package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/config"
	"github.com/lapwing-defence/lapwing/internal/confine"
	"github.com/lapwing-defence/lapwing/internal/decoy"
	"github.com/lapwing-defence/lapwing/internal/decoy/access"
	"github.com/lapwing-defence/lapwing/internal/decoy/httpd"
	"github.com/lapwing-defence/lapwing/internal/decoy/ldap"
	"github.com/lapwing-defence/lapwing/internal/decoy/mysql"
	"github.com/lapwing-defence/lapwing/internal/decoy/postgres"
	"github.com/lapwing-defence/lapwing/internal/decoy/redis"
	"github.com/lapwing-defence/lapwing/internal/decoy/sshd"
	"github.com/lapwing-defence/lapwing/internal/decoy/telnetd"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/host"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/netcmd"
	"github.com/lapwing-defence/lapwing/internal/host/programs"
	"github.com/lapwing-defence/lapwing/internal/journal/uplink"
)

// WorkerOrders is what the supervisor tells the decoy worker: everything it
// will ever know.
type WorkerOrders struct {
	Observer   string          `json:"observer"`
	Hosts      []WorkerHost    `json:"hosts"`
	Limits     config.Limits   `json:"limits"`
	Visitors   config.Visitors `json:"visitors"`
	Seed       uint64          `json:"seed"`
	ParentNS   string          `json:"parent_ns"`
	ParentUID  int             `json:"parent_uid"`
	MustBeHeld bool            `json:"must_be_held"` // end rather than serve unconfined
}

// WorkerHost is one fake host and the decoys on it.
type WorkerHost struct {
	Config   config.Host `json:"config"`
	Identity *identity   `json:"identity"`
	Decoys   []int       `json:"decoys"` // index into the inherited listeners by decoy, -1 = skipped
}

const firstListener = 4 // descriptor of the first inherited listener

// RunWorker is the decoy worker process.
func RunWorker(ctx context.Context, log *slog.Logger) error {
	var o WorkerOrders
	ctl, err := openControl(&o)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go tend(ctx, false)
	lns, err := inherit(&o)
	if err != nil {
		return fatal(ctl, err)
	}
	report, err := confine.Enter(o.ParentNS, o.ParentUID)
	if err != nil {
		return fatal(ctl, err)
	}
	if data, err := json.Marshal(report); err == nil {
		ctl.tell("report " + string(data)) //nolint:errcheck // a gone supervisor is seen below
	}
	if err := o.unheld(report); err != nil {
		return fatal(ctl, err)
	}
	rec, err := uplink.NewClient(uplink.ClientConfig{Name: o.Observer, Log: log, Dial: func(context.Context) (net.Conn, error) { return ctl.dial() }})
	if err != nil {
		return fatal(ctl, err)
	}
	upCtx, upCancel := context.WithCancel(context.WithoutCancel(ctx))
	upDone := make(chan struct{})
	go func() { rec.Run(upCtx); close(upDone) }() //nolint:errcheck // ends with upCtx
	defer func() { upCancel(); <-upDone }()
	var wg sync.WaitGroup
	if err := serve(ctx, &o, lns, rec, log, &wg); err != nil {
		return fatal(ctl, err)
	}
	if err := ctl.tell("ready"); err != nil {
		cancel()
	}
	wg.Wait()
	return nil
}

// unheld says why a decoy beyond loopback must not be served.
func (o *WorkerOrders) unheld(r confine.Report) error {
	if !o.MustBeHeld || r.Whole() {
		return nil
	}
	return fmt.Errorf("a decoy listens beyond loopback, and the process that serves it cannot be confined (it has: %s%s): use a kernel with Landlock and user namespaces, start as root, or accept the risk with --accept-unconfined", r, strings.TrimSuffix("; "+r.Missing, "; "))
}

// inherit takes the listeners that the supervisor bound.
func inherit(o *WorkerOrders) (map[int]net.Listener, error) {
	lns := map[int]net.Listener{}
	for _, h := range o.Hosts {
		for _, i := range h.Decoys {
			if i < 0 {
				continue
			}
			f := os.NewFile(uintptr(firstListener+i), "listener")
			ln, err := net.FileListener(f)
			f.Close() //nolint:errcheck // FileListener has its own copy
			if err != nil {
				return nil, fmt.Errorf("take a listener: %w", err)
			}
			lns[i] = ln
		}
	}
	return lns, nil
}

// serve starts every decoy.
func serve(ctx context.Context, o *WorkerOrders, lns map[int]net.Listener, rec *uplink.Client, log *slog.Logger, wg *sync.WaitGroup) error {
	clk := clock.System()
	all := programs.All()
	gate := decoy.NewGate(decoy.Limits{
		PerSource: o.Limits.Connections.PerSource, Total: o.Limits.Connections.Total, Session: o.Limits.Session, Idle: o.Limits.Idle,
	})
	ids := event.NewIDs(nil, clk.Now)
	store := stateStore{rec}
	for n, h := range o.Hosts {
		var files []host.Planted
		if h.Identity.Persona.Family != "busybox" {
			var err error
			if files, err = sshd.HostKeyFiles(h.Identity.HostKeys, h.Identity.Persona.Hostname); err != nil {
				return fmt.Errorf("make the key files of %s: %w", h.Config.Name, err)
			}
		}
		fake := host.New(host.Config{
			Name: h.Config.Name, Persona: h.Identity.Persona, Programs: all, Clock: clk, Seed: o.Seed + uint64(n),
			Net: netcmd.World{Downloads: h.Config.Downloads}, Keep: o.Visitors.Keep, Visitors: o.Visitors.Max, Store: store, Log: log,
			Limits: kernel.Limits{Wall: o.Limits.Session}, Planted: files,
		})
		wg.Go(func() { fake.Run(ctx) }) //nolint:errcheck // it ends with ctx
		door := access.New(policy(h), kernel.NewRand(o.Seed, uint64(n)), clk.Now)
		for i, d := range h.Config.Decoys {
			if h.Decoys[i] < 0 {
				continue
			}
			srv, logType, err := newDecoy(d, h, door)
			if err != nil {
				return err
			}
			c := decoy.ServerConfig{Name: d.Type, Proto: d.Type, LogType: logType, Host: fake, Decoy: srv, Gate: gate, Clock: clk, IDs: ids, Rec: rec, Log: log}
			ln := lns[h.Decoys[i]]
			wg.Go(func() {
				if err := decoy.Serve(ctx, ln, c, 2*time.Second); err != nil && !errors.Is(err, net.ErrClosed) {
					log.Error("a decoy stopped", "decoy", d.Type, "error", err)
				}
			})
		}
	}
	return nil
}

// newDecoy makes the decoy of a type, with OpenCanary's number of a connection to it.
func newDecoy(c config.Decoy, h WorkerHost, door *access.Door) (decoy.Decoy, int, error) {
	switch c.Type {
	case "ssh":
		d, err := sshd.New(sshConfig(h, c, door))
		return d, sshd.LogConnection, err
	case "http", "https":
		d, err := web(h, c.Type == "https", door)
		return d, httpd.LogConnection, err
	case "ldap":
		return ldap.New(ldap.Config{Door: door, Persona: h.Identity.Persona}), ldap.LogConnection, nil
	case "mysql":
		p := h.Identity.Persona
		return mysql.New(mysql.Config{Door: door, Domain: p.Domain, Seed: p.Seed}), mysql.LogConnection, nil
	case "postgres":
		p := h.Identity.Persona
		cert, err := httpd.Certificate(h.Identity.TLS)
		return postgres.New(postgres.Config{Door: door, Domain: p.Domain, Certificate: cert, Seed: p.Seed}), postgres.LogConnection, err
	case "redis":
		return redis.New(redis.Config{Door: door, Password: c.Password, Seed: h.Identity.Persona.Seed}), redis.LogConnection, nil
	case "telnet":
		return telnetd.New(telnetd.Config{Issue: h.Identity.Persona.Issue, Door: door}), telnetd.LogConnection, nil
	}
	return nil, 0, fmt.Errorf("decoy type %q does not exist yet", c.Type)
}

func web(h WorkerHost, secure bool, door *access.Door) (decoy.Decoy, error) {
	p := h.Identity.Persona
	c := httpd.Config{Door: door, Name: p.FQDN(), Changed: p.Boot}
	if secure {
		var err error
		if c.Certificate, err = httpd.Certificate(h.Identity.TLS); err != nil {
			return nil, err
		}
	}
	return httpd.New(c), nil
}

func sshConfig(h WorkerHost, d config.Decoy, door *access.Door) sshd.Config {
	c := sshd.Config{
		Banner: h.Identity.Persona.SSH.Banner, HostKeys: h.Identity.HostKeys, Door: door, Tunnels: h.Config.Tunnels,
		MaxTries: d.MaxTries, Grace: d.Grace, KeyboardInteractive: h.Config.Login.KeyboardInteractive,
	}
	if b, r, f, err := d.Startups(); err == nil {
		c.Startups = sshd.Startups{Begin: b, Rate: r, Full: f}
	}
	return c
}

func policy(h WorkerHost) access.Policy {
	p := access.Policy{After: h.Config.Login.After, None: h.Config.Login.None}
	for _, a := range h.Config.Login.Accept {
		p.Accept = append(p.Accept, access.Credential{User: a.User, Password: string(a.Password)})
	}
	for _, t := range h.Config.Login.Tokens {
		c := access.Credential{User: t.User, Password: string(t.Password)}
		p.Tokens = append(p.Tokens, access.Token{Credential: c, ID: t.ID, Admit: t.Admit})
	}
	return p
}
