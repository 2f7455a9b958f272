package casebook

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/alert"
)

// readRules gives the rules that alerts name, by their rows.
func readRules(ctx context.Context, q querier) (map[int64]alert.Rule, error) {
	rows, err := q.QueryContext(ctx, "SELECT rule, rule_id, rule_name, techniques, tactics, description FROM rules")
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // Err tells
	out := map[int64]alert.Rule{}
	for rows.Next() {
		var n int64
		var r alert.Rule
		var techniques, tactics string
		if err := rows.Scan(&n, &r.ID, &r.Name, &techniques, &tactics, &r.Description); err != nil {
			return nil, err
		}
		r.Techniques, r.Tactics = strings.Fields(techniques), strings.Fields(tactics)
		out[n] = r
	}
	return out, rows.Err()
}

// alerts calls fn with the alerts that q asks for, in order.
func (v *view) alerts(ctx context.Context, q *Query, fn func(*alert.Alert, []reference) error) error {
	rules, err := readRules(ctx, v.tx)
	if err != nil {
		return err
	}
	tell := func(key, value []byte) error {
		first, id, r, err := readAlert(key, value)
		if err != nil || r == nil || !q.askedAlert(r, id) {
			return err
		}
		return fn(r.alert(id, first, rules), r.refs)
	}
	if q.Last == 0 {
		return v.scan(ctx, &v.all.alerts, []span{q.alertSpan()}, tell)
	}
	last, err := v.lastAlerts(ctx, q)
	if err != nil {
		return err
	}
	return last.each(tell)
}

// lastAlerts gives the last ones that q asks for. It looks for them from the
// end: among the newest chunks, then among more.
func (v *view) lastAlerts(ctx context.Context, q *Query) (*ring, error) {
	for chunks := 8; ; chunks *= 8 {
		in, last := q.alertSpan(), &ring{}
		in.low = v.all.alerts.tail(chunks)
		err := v.scan(ctx, &v.all.alerts, []span{in}, func(key, value []byte) error {
			_, id, r, err := readAlert(key, value)
			if err == nil && r != nil && q.askedAlert(r, id) {
				last.put(q.Last, key, value)
			}
			return err
		})
		if err != nil || in.low == nil || len(last.records) == q.Last {
			return last, err
		}
	}
}

// ring keeps the last records.
type ring struct {
	records []record
	next    int
}

// put takes a record; n are kept.
func (r *ring) put(n int, key, value []byte) {
	if len(r.records) < n {
		r.records = append(r.records, record{key: bytes.Clone(key), value: bytes.Clone(value)})
		return
	}
	o := &r.records[r.next]
	o.key, o.value = append(o.key[:0], key...), append(o.value[:0], value...)
	r.next = (r.next + 1) % n
}

// each calls fn with the records that are kept, the oldest first.
func (r *ring) each(fn func(key, value []byte) error) error {
	for i := range r.records {
		x := &r.records[(r.next+i)%len(r.records)]
		if err := fn(x.key, x.value); err != nil {
			return err
		}
	}
	return nil
}

// Alerts implements Reader.
func (b *SQLite) Alerts(ctx context.Context, q Query, fn func(*alert.Alert) error) error {
	return b.view(ctx, "read the alerts", func(v *view) error {
		return v.alerts(ctx, &q, func(a *alert.Alert, _ []reference) error { return fn(a) })
	})
}

// Alert implements Reader.
func (b *SQLite) Alert(ctx context.Context, id string) (*alert.Alert, error) {
	var hit *alert.Alert
	var refs []reference
	if id == "" {
		return nil, fmt.Errorf("alert %.80q: %w", id, ErrNotFound)
	}
	err := b.view(ctx, "read an alert", func(v *view) error {
		return v.alerts(ctx, &Query{ID: id}, func(a *alert.Alert, r []reference) error {
			if hit != nil {
				return ErrAmbiguous
			}
			hit, refs = a, r
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	if hit == nil {
		return nil, fmt.Errorf("alert %.80q: %w", id, ErrNotFound)
	}
	hit.Evidence, err = b.evidence(ctx, refs)
	return hit, err
}

// shortKey is the key of an alert as it is stored: those of the judge are
// rule, source and a time, of which the second is enough. Others are text.
func shortKey(a *alert.Alert) (isText bool, text string, second int64) {
	at := strings.LastIndexByte(a.Key, ' ')
	t, err := time.Parse(time.RFC3339, a.Key[at+1:])
	if err == nil && wholeKey(t.Unix(), a) == a.Key {
		return false, "", t.Unix()
	}
	return true, a.Key, 0
}

func wholeKey(second int64, a *alert.Alert) string {
	return a.Rule.ID + " " + SourceOf(a.Source).Net().String() + " " + time.Unix(second, 0).UTC().Format(time.RFC3339)
}
