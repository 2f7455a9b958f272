package enforce

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/enforce/nft"
	"github.com/lapwing-defence/lapwing/internal/respond/action"
)

// ClientConfig is what NewClient takes.
type ClientConfig struct {
	// Dial connects to the process.
	Dial func(context.Context) (net.Conn, error)
	Now  func() time.Time
}

// Client asks the process. It connects when it has something to ask, and again
// after either side was started again.
type Client struct {
	c ClientConfig

	mu    sync.Mutex
	conn  net.Conn
	id    uint32
	allow []netip.Prefix // that was handed over last
}

var (
	_ action.Backend = (*Client)(nil)
	_ action.Guard   = (*Client)(nil)
)

// NewClient makes one; it does not connect yet.
func NewClient(c ClientConfig) *Client { return &Client{c: c} }

// Name is "nftables".
func (c *Client) Name() string { return "nftables" }

// Handles blocks only.
func (c *Client) Handles(k action.Kind) bool { return k == action.Block }

// Plan says which element of which set Apply would make.
func (c *Client) Plan(_ context.Context, a action.Action) (action.Plan, error) {
	if a.Kind != action.Block {
		return action.Plan{}, action.ErrUnsupported
	}
	p := action.Unmap(a.Prefix)
	if err := nft.Check(p); err != nil {
		return action.Plan{}, fmt.Errorf("%s: %w: %w", a.Prefix, action.ErrUnsupported, err)
	}
	ttl := a.Until.Sub(c.c.Now()).Round(time.Second)
	set := nft.SetName(p)
	plan := action.Plan{
		Text: []string{fmt.Sprintf("nft add element inet %s %s { %s timeout %s }", nft.Name, set, p.Addr(), ttl)},
		Undo: []string{fmt.Sprintf("nft delete element inet %s %s { %s }", nft.Name, set, p.Addr())},
		Noop: ttl <= 0,
	}
	if !p.IsSingleIP() {
		plan.Risky = fmt.Sprintf("it drops what %s sends, not one address alone", p)
	}
	return plan, nil
}

// Apply blocks. What ended already is left out.
func (c *Client) Apply(ctx context.Context, list []action.Action) error {
	var errs []error
	var send []action.Action
	now := c.c.Now()
	for _, a := range list {
		switch {
		case a.Kind != action.Block:
			errs = append(errs, &action.Error{Action: a, Err: action.ErrUnsupported})
		case !a.Prefix.IsValid():
			errs = append(errs, &action.Error{Action: a, Err: fmt.Errorf("%w: %w", action.ErrUnsupported, nft.ErrPrefix)})
		case a.Until.Sub(now) >= time.Millisecond:
			send = append(send, a)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for part := range slices.Chunk(send, perFrame) {
		errs = append(errs, c.block(ctx, part, now)...)
	}
	return errors.Join(errs...)
}

func (c *Client) block(ctx context.Context, list []action.Action, now time.Time) []error {
	body := make([]byte, 0, len(list)*blockSize)
	for _, a := range list {
		body = appendBlock(body, nft.Element{Prefix: action.Unmap(a.Prefix), TTL: a.Until.Sub(now)})
	}
	got, err := c.ask(ctx, wordBlock, body)
	if err != nil {
		return all(list, err)
	}
	if got.status != statusSome {
		return nil
	}
	faults, text, err := takeFaults(got.body, len(list))
	if err != nil {
		return all(list, c.lost(err))
	}
	errs := make([]error, 0, len(faults))
	for _, f := range faults {
		errs = append(errs, &action.Error{Action: list[f.index], Err: f.err(text)})
	}
	return errs
}

func (f fault) err(text string) error {
	switch f.code {
	case faultAllowed:
		return action.ErrAllowed
	case faultFull:
		return action.ErrFull
	case faultPrefix:
		return fmt.Errorf("%w: %w", action.ErrUnsupported, nft.ErrPrefix)
	case faultTTL:
		return fmt.Errorf("%w: %w", action.ErrUnsupported, nft.ErrTTL)
	}
	return fmt.Errorf("%w: %s", action.ErrDegraded, text)
}

// all gives each action the same error.
func all(list []action.Action, err error) []error {
	errs := make([]error, len(list))
	for i, a := range list {
		errs[i] = &action.Error{Action: a, Err: err}
	}
	return errs
}

// Revert ends blocks.
func (c *Client) Revert(ctx context.Context, list []action.Action) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for part := range slices.Chunk(list, perFrame) {
		var body []byte
		for _, a := range part {
			if a.Kind == action.Block && a.Prefix.IsValid() {
				body = appendPrefix(body, action.Unmap(a.Prefix))
			}
		}
		if _, err := c.ask(ctx, wordUnblock, body); err != nil {
			errs = append(errs, all(part, err)...)
		}
	}
	return errors.Join(errs...)
}

// Allow hands the allow list over. It is given again to a process that was
// started again, before anything else.
func (c *Client) Allow(ctx context.Context, list action.AllowList) error {
	prefixes := []netip.Prefix{}
	for _, a := range list {
		if p := action.Unmap(a.Prefix); p.IsValid() && !p.Addr().Is4In6() {
			prefixes = append(prefixes, p)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.allow = prefixes
	_, err := c.ask(ctx, wordAllow, appendPrefixes(prefixes))
	return err
}

func appendPrefixes(list []netip.Prefix) []byte {
	body := make([]byte, 0, len(list)*entrySize)
	for _, p := range list {
		body = appendPrefix(body, p)
	}
	return body
}

// List gives what stands in the kernel. It has a connection of its own, so
// that a long list holds no block up.
func (c *Client) List(ctx context.Context) ([]action.Standing, error) {
	conn, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close() //nolint:errcheck // it has said what it had to
	var list []action.Standing
	stop, err := bind(ctx, conn)
	if err != nil {
		return nil, degraded(err)
	}
	defer stop()
	if err := (frame{word: wordList}).write(conn); err != nil {
		return nil, degraded(err)
	}
	for {
		f, err := readFrame(conn, func() error { return nil })
		if err != nil {
			return nil, degraded(err)
		}
		if f.status != statusOK && f.status != statusMore {
			return nil, degraded(errors.New(string(f.body)))
		}
		now := c.c.Now()
		held, err := entries(f.body, heldSize, perAnswer, takeHeld)
		if err != nil {
			return nil, degraded(err)
		}
		for _, h := range held {
			until := now.Add(h.TTL)
			list = append(list, action.Standing{
				Action:  action.Action{Kind: action.Block, Prefix: h.Prefix, Until: until},
				Expires: until, Packets: h.Packets,
			})
		}
		if f.status == statusOK {
			return list, nil
		}
	}
}

// Health is nil while the process answers and its table is whole.
func (c *Client) Health(ctx context.Context) error {
	h, err := c.Stats(ctx)
	if err == nil && h.Err != "" {
		err = fmt.Errorf("%w: %s", action.ErrDegraded, h.Err)
	}
	return err
}

// Stats is what the process says of itself.
func (c *Client) Stats(ctx context.Context) (Health, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, err := c.ask(ctx, wordHealth, nil)
	if err != nil {
		return Health{}, err
	}
	h, err := takeHealth(f.body)
	if err != nil {
		return h, c.lost(err)
	}
	return h, nil
}

// Panic takes the whole table away: every block ends at once.
func (c *Client) Panic(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.ask(ctx, wordPanic, nil)
	return err
}

// Close ends the connection.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		return nil
	}
	conn := c.conn
	c.conn = nil
	return conn.Close()
}

// ask sends a request and waits for its answer.
func (c *Client) ask(ctx context.Context, word byte, body []byte) (frame, error) {
	if err := c.ready(ctx); err != nil {
		return frame{}, err
	}
	stop, err := bind(ctx, c.conn)
	if err != nil {
		return frame{}, c.lost(err)
	}
	defer stop()
	c.id++
	if err := (frame{word: word, id: c.id, body: body}).write(c.conn); err != nil {
		return frame{}, c.lost(err)
	}
	f, err := readFrame(c.conn, func() error { return nil })
	if err != nil {
		return frame{}, c.lost(cmp.Or(ctx.Err(), err))
	}
	switch {
	case f.status == statusBad:
		return f, c.lost(errors.New(string(f.body)))
	case f.word != word|answer || f.id != c.id:
		return f, c.lost(fmt.Errorf("%w: an answer to something else", errFrame))
	case f.status == statusFailed:
		return f, fmt.Errorf("%w: %s", action.ErrDegraded, f.body)
	}
	return f, nil
}

// ready connects where needed, and then hands over the allow list first: the
// process may be another one. Whoever lost the connection got an error, and
// compares what stands.
func (c *Client) ready(ctx context.Context) error {
	if c.conn != nil {
		return nil
	}
	conn, err := c.connect(ctx)
	if err != nil {
		return err
	}
	c.conn = conn
	if c.allow != nil {
		_, err = c.ask(ctx, wordAllow, appendPrefixes(c.allow))
	}
	return err
}

// connect reaches the process and reads its greeting.
func (c *Client) connect(ctx context.Context) (net.Conn, error) {
	conn, err := c.c.Dial(ctx)
	if err != nil {
		return nil, degraded(err)
	}
	stop, err := bind(ctx, conn)
	if err != nil {
		return nil, errors.Join(degraded(err), conn.Close())
	}
	defer stop()
	f, err := readFrame(conn, func() error { return nil })
	if err == nil && f.word != wordHello|answer {
		err = errFrame
	}
	if err != nil {
		return nil, errors.Join(degraded(err), conn.Close())
	}
	return conn, nil
}

// bind makes the connection's deadline the context's.
func bind(ctx context.Context, conn net.Conn) (stop func() bool, err error) {
	end, _ := ctx.Deadline()
	if err := conn.SetDeadline(end); err != nil {
		return nil, err
	}
	return context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) }), nil //nolint:errcheck // a closed connection has ended too
}

// lost gives the connection up.
func (c *Client) lost(err error) error {
	if c.conn != nil {
		err = errors.Join(err, c.conn.Close())
		c.conn = nil
	}
	return degraded(err)
}

func degraded(err error) error { return fmt.Errorf("%w: %w", action.ErrDegraded, err) }
