//go:build unix

package app

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/config"
	"github.com/lapwing-defence/lapwing/internal/respond"
	"github.com/lapwing-defence/lapwing/internal/respond/audit"
)

// BlockFunc is called with each line of an answer about blocks.
type BlockFunc func(line []byte, b *Block) error

// act posts an order about blocks in the name of the operator.
func (d Dir) act(ctx context.Context, path string, args url.Values, fn BlockFunc) error {
	args.Set("who", operator())
	return d.each(ctx, call{method: http.MethodPost, path: path, args: args}, blockFunc(fn))
}

func blockFunc(fn BlockFunc) func([]byte) error {
	return func(line []byte) error {
		b := new(Block)
		if err := json.Unmarshal(line, b); err != nil {
			return err
		}
		return fn(line, b)
	}
}

// Blocks calls fn with each decision made at or after since; ended also with those
// that are over.
func (d Dir) Blocks(ctx context.Context, ended bool, since time.Time, fn BlockFunc) error {
	args := url.Values{}
	if ended {
		args.Set("ended", "1")
	}
	if !since.IsZero() {
		args.Set("since", since.UTC().Format(time.RFC3339Nano))
	}
	return d.each(ctx, call{method: http.MethodGet, path: "/blocks", args: args}, blockFunc(fn))
}

// Block blocks an address or a network; period 0: as long as the policy would.
func (d Dir) Block(ctx context.Context, prefix string, period time.Duration, why string, fn BlockFunc) error {
	args := url.Values{"prefix": {prefix}, "why": {why}}
	if period != 0 {
		args.Set("for", period.String())
	}
	return d.act(ctx, "/block", args, fn)
}

// Unblock lifts what blocks an address or a network.
func (d Dir) Unblock(ctx context.Context, prefix, why string, fn BlockFunc) error {
	return d.act(ctx, "/unblock", url.Values{"prefix": {prefix}, "why": {why}}, fn)
}

// Undo ends a decision.
func (d Dir) Undo(ctx context.Context, id, why string, fn BlockFunc) error {
	return d.act(ctx, "/undo", url.Values{"id": {id}, "why": {why}}, fn)
}

// UndoSince ends what was decided since t.
func (d Dir) UndoSince(ctx context.Context, t time.Time, why string, fn BlockFunc) error {
	return d.act(ctx, "/undo", url.Values{"since": {t.UTC().Format(time.RFC3339Nano)}, "why": {why}}, fn)
}

// Panic lifts every block and only observes from then on.
func (d Dir) Panic(ctx context.Context, why string, fn BlockFunc) error {
	return d.act(ctx, "/panic", url.Values{"why": {why}}, fn)
}

// Approve makes a proposal stand.
func (d Dir) Approve(ctx context.Context, id string, fn BlockFunc) error {
	return d.act(ctx, "/approve", url.Values{"id": {id}}, fn)
}

// Refuse turns a proposal down.
func (d Dir) Refuse(ctx context.Context, id, why string, fn BlockFunc) error {
	return d.act(ctx, "/refuse", url.Values{"id": {id}, "why": {why}}, fn)
}

// Respond is how deciding stands.
func (d Dir) Respond(ctx context.Context) (line []byte, st *RespondStatus, err error) {
	err = d.each(ctx, call{method: http.MethodGet, path: "/respond"}, func(l []byte) error {
		line, st = append([]byte(nil), l...), new(RespondStatus)
		return json.Unmarshal(l, st)
	})
	return line, st, err
}

// SetPolicy decides by the respond: block of c, nil: by that of the running
// configuration, until it is confirmed or taken back. It gives the time of that.
func (d Dir) SetPolicy(ctx context.Context, c *config.Respond) (o respond.Override, err error) {
	args := url.Values{"who": {operator()}}
	if c != nil {
		data, err := json.Marshal(policyOf(c))
		if err != nil {
			return o, err
		}
		args.Set("policy", string(data))
	}
	err = d.each(ctx, call{method: http.MethodPost, path: "/policy", args: args}, func(l []byte) error { return json.Unmarshal(l, &o) })
	return o, err
}

// ConfirmPolicy makes the last SetPolicy last; with revert it takes it back.
func (d Dir) ConfirmPolicy(ctx context.Context, revert bool) error {
	path := "/policy/confirm"
	if revert {
		path = "/policy/revert"
	}
	return d.each(ctx, call{method: http.MethodPost, path: path, args: url.Values{"who": {operator()}}}, func([]byte) error { return nil })
}

// Note writes an entry into the audit log, in the name of the operator unless it
// names an actor.
func (d Dir) Note(ctx context.Context, e audit.Entry) error {
	args := url.Values{"who": {operator()}, "act": {e.Act}, "target": {e.Target}, "id": {e.ID}, "rule": {e.Rule}, "why": {e.Why}, "event": e.Events}
	if e.Actor != "" {
		args.Set("who", e.Actor)
	}
	return d.each(ctx, call{method: http.MethodPost, path: "/audit", args: args}, func([]byte) error { return nil })
}

// AuditEntries calls fn with each entry of the audit log, the oldest first.
func (d Dir) AuditEntries(fn func(audit.Entry) error) error { return audit.Read(d.audit(), fn) }

const (
	verifyTries = 5 // where entries come while it is read
	verifyPause = 300 * time.Millisecond
)

// AuditVerify verifies the audit log, against checkpoints kept elsewhere, too.
func (d Dir) AuditVerify(ctx context.Context, checkpoints ...string) (*audit.Report, error) {
	key, err := d.auditKey()
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		rep, err := audit.Verify(d.audit(), key, checkpoints...)
		var f *audit.FaultError
		if try == verifyTries || !errors.As(err, &f) || !f.Unsigned {
			return rep, err
		}
		select { // what was appended meanwhile is about to be signed
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(verifyPause):
		}
	}
}

// AuditCheckpoint is the signed head of the audit log, and the key that verifies
// it; empty while there is no entry.
func (d Dir) AuditCheckpoint() (text, public string, err error) {
	key, err := d.auditKey()
	if err != nil {
		return "", "", err
	}
	text, err = audit.HeadText(d.audit())
	return strings.TrimSpace(text), key.Public(), err
}
