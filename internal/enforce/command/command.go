// Package command carries blocks out by running a program that the operator
// wrote, for firewalls that lapwing does not know.
//
// What is run stands, word for word, in a file that belongs to root and that
// nobody else can write, and so does the program: who can change what lapwing
// knows cannot change what it runs. There is no shell. The program is told
// what to block on its standard input alone, as one line that lapwing made
// itself, such as
//
//	192.0.2.7/32 600
//
// the network and the seconds until its end. It ends blocks in the same way,
// when their time is over, also those of a run before: they are written down.
package command

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/durable"
	"github.com/lapwing-defence/lapwing/internal/respond/action"
	"github.com/lapwing-defence/lapwing/internal/yamldoc"
)

// Commands is the file that says what is run. The first word of each is an
// absolute path.
type Commands struct {
	Block   []string      `yaml:"block"`   // blocks the network of its input
	Unblock []string      `yaml:"unblock"` // ends that
	Check   []string      `yaml:"check"`   // empty input; exits with 0 where all is well; none: nothing is asked
	Timeout time.Duration `yaml:"timeout"` // of one run; 10s unless set
	Max     int           `yaml:"max"`     // blocks at once; 10000 unless set
}

// Config is what New takes.
type Config struct {
	File  string // Commands
	State string // what stands, kept over restarts
	Owner int    // whom File and programs must belong to: 0, but for tests
	Now   func() time.Time
}

// The bounds.
const (
	maxFile    = 64 << 10 // bytes of Commands
	maxState   = 16 << 20
	maxOutput  = 4 << 10 // bytes of what a program says that are kept
	maxBlocks  = 100_000
	maxTimeout = 5 * time.Minute
	tick       = time.Second
	again      = 10 * time.Second // after an unblock that failed
)

// Command is the back end. It is safe for concurrent use; one program runs at
// a time.
type Command struct {
	c    Config
	cmds Commands
	allow
	run  sync.Mutex // held while a program runs
	mu   sync.Mutex
	held map[netip.Prefix]time.Time // ends
	late map[netip.Prefix]time.Time // when an end that failed is tried again
	last error                      // of the last run
}

// allow is the list of what is never blocked.
type allow struct {
	mu   sync.Mutex
	list action.AllowList
}

var (
	_ action.Backend = (*Command)(nil)
	_ action.Guard   = (*Command)(nil)
)

// New reads what is to be run, and what stands from a run before.
func New(c Config) (*Command, error) {
	b := &Command{c: c, held: map[netip.Prefix]time.Time{}, late: map[netip.Prefix]time.Time{}}
	if err := b.load(); err != nil {
		return nil, fmt.Errorf("read the commands of the firewall: %w", err)
	}
	if err := b.recall(); err != nil {
		return nil, fmt.Errorf("read what the firewall's command blocks: %w", err)
	}
	return b, nil
}

func (b *Command) load() error {
	if err := trusted(b.c.File, b.c.Owner); err != nil {
		return err
	}
	data, err := durable.ReadFile(b.c.File, maxFile)
	if err != nil {
		return err
	}
	doc, err := yamldoc.Decode(b.c.File, data, &b.cmds)
	if err != nil {
		return err
	}
	b.cmds.Timeout = cmp.Or(b.cmds.Timeout, 10*time.Second)
	b.cmds.Max = cmp.Or(b.cmds.Max, 10_000)
	var faults yamldoc.Faults
	say := func(text, remedy string, path ...any) { faults = append(faults, doc.Fault(text, remedy, path...)) }
	for name, argv := range map[string][]string{"block": b.cmds.Block, "unblock": b.cmds.Unblock, "check": b.cmds.Check} {
		if len(argv) == 0 {
			if name != "check" {
				say("no command under "+name, "write "+name+": [/usr/local/sbin/edge, "+name+"]")
			}
			continue
		}
		if err := trusted(argv[0], b.c.Owner); err != nil {
			say(err.Error(), "", name)
		}
	}
	if b.cmds.Timeout < 100*time.Millisecond || b.cmds.Timeout > maxTimeout {
		say("timeout is outside 100ms to 5m", "10s is the default", "timeout")
	}
	if b.cmds.Max < 1 || b.cmds.Max > maxBlocks {
		say(fmt.Sprintf("max is outside 1 to %d", maxBlocks), "10000 is the default", "max")
	}
	if len(faults) > 0 {
		return faults
	}
	return nil
}

// line is one of the file of what stands.
type line struct {
	Prefix netip.Prefix `json:"prefix"`
	Until  time.Time    `json:"until"`
}

func (b *Command) recall() error {
	data, err := durable.ReadFile(b.c.State, maxState)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var lines []line
	if err := json.Unmarshal(data, &lines); err != nil {
		return fmt.Errorf("%s: %w; move it away to go on, and look at the firewall by hand", b.c.State, err)
	}
	for _, l := range lines {
		if l.Prefix.IsValid() {
			b.held[l.Prefix] = l.Until
		}
	}
	return nil
}

// save writes what stands. It is called before a program blocks, so that no
// block is without an end.
func (b *Command) save() error {
	lines := make([]line, 0, len(b.held))
	for p, until := range b.held {
		lines = append(lines, line{p, until})
	}
	slices.SortFunc(lines, func(x, y line) int { return x.Until.Compare(y.Until) })
	data, err := json.Marshal(lines)
	if err != nil {
		return err
	}
	return durable.WriteFile(b.c.State, data)
}

// Name is "command".
func (b *Command) Name() string { return "command" }

// Handles blocks only.
func (b *Command) Handles(k action.Kind) bool { return k == action.Block }

// Plan shows the commands with their input.
func (b *Command) Plan(_ context.Context, a action.Action) (action.Plan, error) {
	if err := b.admit(a); err != nil {
		return action.Plan{}, fmt.Errorf("%s: %w", a.Prefix, err)
	}
	show := func(argv []string, input string) string {
		return fmt.Sprintf("%s  with the input  %s", strings.Join(argv, " "), input)
	}
	p := action.Unmap(a.Prefix)
	b.mu.Lock()
	defer b.mu.Unlock()
	until, there := b.held[p]
	return action.Plan{
		Text: []string{show(b.cmds.Block, b.input(p, a.Until))}, Undo: []string{show(b.cmds.Unblock, p.String()+" 0")},
		Noop: there && same(until, a.Until) || !a.Until.After(b.c.Now()),
	}, nil
}

func same(a, b time.Time) bool { return a.Sub(b).Abs() < time.Second }

func (b *Command) input(p netip.Prefix, until time.Time) string {
	return fmt.Sprintf("%s %d", p, max(1, int64(until.Sub(b.c.Now()).Round(time.Second)/time.Second)))
}

func (b *Command) admit(a action.Action) error {
	p := action.Unmap(a.Prefix)
	if a.Kind != action.Block || !p.IsValid() || p.Bits() == 0 || p.Addr().Is4In6() || p.Addr().Zone() != "" {
		return action.ErrUnsupported
	}
	if _, hit := action.Never().Hit(p); hit {
		return action.ErrAllowed
	}
	b.allow.mu.Lock()
	defer b.allow.mu.Unlock()
	if _, hit := b.list.Hit(p); hit {
		return action.ErrAllowed
	}
	return nil
}

// Apply runs the command for one network after the other.
func (b *Command) Apply(ctx context.Context, list []action.Action) error {
	b.run.Lock()
	defer b.run.Unlock()
	var errs []error
	for _, a := range list {
		if err := b.block(ctx, a); err != nil {
			errs = append(errs, &action.Error{Action: a, Err: err})
		}
	}
	return errors.Join(errs...)
}

func (b *Command) block(ctx context.Context, a action.Action) error {
	if err := b.admit(a); err != nil {
		return err
	}
	p := action.Unmap(a.Prefix)
	b.mu.Lock()
	before, there := b.held[p]
	if there && same(before, a.Until) || !a.Until.After(b.c.Now()) {
		b.mu.Unlock()
		return nil
	}
	if !there && len(b.held) >= b.cmds.Max {
		b.mu.Unlock()
		return fmt.Errorf("%w: %d networks", action.ErrFull, b.cmds.Max)
	}
	b.held[p] = a.Until
	err := b.save()
	b.mu.Unlock()
	if err == nil {
		err = b.execute(ctx, b.cmds.Block, b.input(p, a.Until))
	}
	if err == nil {
		return nil
	}
	// Whether it is blocked nobody knows now. It stays written down with an end,
	// which Run brings about, and a new one is no block that List would show.
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held[p] = before; !there {
		b.held[p] = b.c.Now()
	}
	return fmt.Errorf("%w: %w", action.ErrDegraded, err)
}

// Revert runs the other command.
func (b *Command) Revert(ctx context.Context, list []action.Action) error {
	b.run.Lock()
	defer b.run.Unlock()
	var errs []error
	for _, a := range list {
		p := action.Unmap(a.Prefix)
		b.mu.Lock()
		_, there := b.held[p]
		b.mu.Unlock()
		if !there || a.Kind != action.Block {
			continue
		}
		if err := b.unblock(ctx, p); err != nil {
			errs = append(errs, &action.Error{Action: a, Err: fmt.Errorf("%w: %w", action.ErrDegraded, err)})
		}
	}
	return errors.Join(errs...)
}

func (b *Command) unblock(ctx context.Context, p netip.Prefix) error {
	err := b.execute(ctx, b.cmds.Unblock, p.String()+" 0")
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.late[p] = b.c.Now().Add(again)
		return err
	}
	delete(b.held, p)
	delete(b.late, p)
	return b.save()
}

// Allow sets what is never blocked, and ends what of it is.
func (b *Command) Allow(ctx context.Context, list action.AllowList) error {
	b.allow.mu.Lock()
	b.list = slices.Clone(list)
	b.allow.mu.Unlock()
	var end []action.Action
	b.mu.Lock()
	for p := range b.held {
		if _, hit := list.Hit(p); hit {
			end = append(end, action.Action{Kind: action.Block, Prefix: p})
		}
	}
	b.mu.Unlock()
	return b.Revert(ctx, end)
}

// List gives what was blocked and has not ended.
func (b *Command) List(context.Context) ([]action.Standing, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.c.Now()
	var out []action.Standing
	for p, until := range b.held {
		if until.After(now) {
			out = append(out, action.Standing{Action: action.Action{Kind: action.Block, Prefix: p, Until: until}, Expires: until})
		}
	}
	return out, nil
}

// Health runs the check, if there is one; else it tells how the last run ended.
func (b *Command) Health(ctx context.Context) error {
	if len(b.cmds.Check) > 0 {
		b.run.Lock()
		defer b.run.Unlock()
		b.execute(ctx, b.cmds.Check, "") //nolint:errcheck // it is told below
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.last != nil {
		return fmt.Errorf("%w: %w", action.ErrDegraded, b.last)
	}
	return nil
}

// Run ends blocks when their time is over, until ctx ends.
func (b *Command) Run(ctx context.Context) error {
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		b.expire(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

func (b *Command) expire(ctx context.Context) {
	b.run.Lock()
	defer b.run.Unlock()
	now := b.c.Now()
	var ended []netip.Prefix
	b.mu.Lock()
	for p, until := range b.held {
		if !until.After(now) && !b.late[p].After(now) {
			ended = append(ended, p)
		}
	}
	b.mu.Unlock()
	for _, p := range ended {
		if ctx.Err() != nil {
			return
		}
		b.unblock(ctx, p) //nolint:errcheck // Health tells it, and it is tried again
	}
}
