package casebook

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/alert"
)

// Position implements Judged.
func (b *SQLite) Position(ctx context.Context) (string, error) {
	var p string
	err := b.r.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = 'position'").Scan(&p)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return p, b.wrap("read how far the journal is judged", err)
}

const (
	findRule   = `SELECT rule FROM rules WHERE rule_id = ? AND rule_name = ? AND techniques = ? AND tactics = ? AND description = ?`
	putRule    = `INSERT INTO rules (rule_id, rule_name, techniques, tactics, description) VALUES (?,?,?,?,?) RETURNING rule`
	putCapture = `INSERT INTO captures (sha256, source, path, ip, size, host, session, count, first, last) VALUES (?,?,?,?,?,?,?,?,?,?)
ON CONFLICT (sha256, source, path) DO UPDATE SET ip = excluded.ip, host = excluded.host, session = excluded.session, count = count + excluded.count, last = max(last, excluded.last)`
	putFinding = `INSERT OR REPLACE INTO findings (sha256, rule, level, category, description)
SELECT ?1, ?2, ?3, ?4, ?5 WHERE EXISTS (SELECT 1 FROM captures WHERE sha256 = ?1)`
	putPosition = `INSERT OR REPLACE INTO meta (key, value) VALUES ('position', ?)`
)

// Apply implements Judged.
func (b *SQLite) Apply(ctx context.Context, t *Batch) error {
	return b.write(ctx, "write into the casebook", func(tx *sql.Tx) error {
		ctx := context.WithoutCancel(ctx) // else each row costs a goroutine that waits for the end of ctx
		a := applier{tx: tx, st: map[string]*sql.Stmt{}, rules: map[ruleText]int64{}}
		defer a.close()
		all, err := b.writable(ctx, tx)
		if err != nil {
			return err
		}
		chunks := a.store(&b.packer)
		if err := a.alerts(ctx, &all.alerts, chunks, t); err != nil {
			return err
		}
		if err := a.captures(ctx, t); err != nil {
			return err
		}
		if err := all.sessions.put(ctx, chunks, sessionRecords(t.sessions)); err != nil {
			return err
		}
		if err := all.states.put(ctx, chunks, stateRecords(t.states)); err != nil {
			return err
		}
		return a.exec(ctx, putPosition, t.Position)
	})
}

// alerts writes alerts with their evidence, and those that belong to another
// campaign now.
func (a *applier) alerts(ctx context.Context, shelf *shelf, t *store, b *Batch) error {
	moved, err := b.moved(ctx, shelf, t)
	if err != nil {
		return err
	}
	s := stower{a: a, p: t.p, dead: map[int64]int64{}}
	// Lines of one source lie together: they are alike.
	order := slices.SortedFunc(slices.Values(b.order), func(x, y *change) int {
		return cmp.Or(x.alert.Source.Compare(y.alert.Source), strings.Compare(x.alert.ID, y.alert.ID))
	})
	records := make([]record, 0, len(order)+len(moved))
	for _, c := range order {
		r, err := a.alert(ctx, c, &s)
		if err != nil {
			return err
		}
		records = append(records, r)
	}
	for key, campaign := range moved {
		records = append(records, record{key: []byte(key), value: campaignRow(campaign)})
	}
	slices.SortFunc(records, func(x, y record) int { return bytes.Compare(x.key, y.key) })
	merging := *t
	merging.lost = func(r reference) { s.dead[r.pack]++ }
	if err := shelf.put(ctx, &merging, records); err != nil {
		return err
	}
	return s.flush(ctx)
}

// alert makes the record of one alert, and puts its evidence away.
func (a *applier) alert(ctx context.Context, c *change, s *stower) (record, error) {
	x := &c.alert
	rule, err := a.rule(ctx, &x.Rule)
	if err != nil {
		return record{}, err
	}
	row := rowOf(x, rule)
	row.refs = make([]reference, 0, len(c.evidence))
	for i := range c.evidence {
		v := &c.evidence[i]
		if !keeps(v.seq, x.Count) {
			continue
		}
		r, err := s.add(ctx, v.seq, v.id, v.text())
		if err != nil {
			return record{}, err
		}
		row.refs = append(row.refs, r)
	}
	return record{key: alertKey(x.First, x.ID), value: row.encode(nano(x.First))}, nil
}

// moved gives the alerts that are in the casebook already, and in no row of b,
// and belong to another campaign now, by key; those that b has are put right.
func (b *Batch) moved(ctx context.Context, shelf *shelf, t *store) (map[string]string, error) {
	out := map[string]string{}
	for _, m := range b.moves {
		if m.Alerts == nil {
			if err := b.search(ctx, shelf, t, m, out); err != nil {
				return nil, err
			}
		}
		for id, first := range m.Alerts {
			if c := b.alerts[id]; c == nil {
				out[string(alertKey(first, id))] = m.To
			} else if c.alert.Campaign == m.From {
				c.alert.Campaign = m.To
			}
		}
	}
	return out, nil
}

// search finds the alerts of a campaign of which nobody says what they are.
func (b *Batch) search(ctx context.Context, shelf *shelf, t *store, m Move, out map[string]string) error {
	is := func(a netip.Addr, campaign string) bool {
		return campaign == m.From && (!m.Source.IsValid() || SourceOf(m.Source).Has(a))
	}
	for _, c := range b.order {
		if is(c.alert.Source, c.alert.Campaign) {
			c.alert.Campaign = m.To
		}
	}
	return eachAlert(ctx, shelf, t, func(key []byte, id string, r *alertRow) error {
		campaign := r.campaign.String()
		if to, ok := out[string(key)]; ok {
			campaign = to
		}
		if b.alerts[id] == nil && is(r.source, campaign) {
			out[string(key)] = m.To
		}
		return nil
	})
}

// eachAlert calls fn with each alert of a shelf.
func eachAlert(ctx context.Context, s *shelf, t *store, fn func(key []byte, id string, r *alertRow) error) error {
	return s.each(ctx, t, s.runs, span{}, func(key, value []byte) error {
		_, id, r, err := readAlert(key, value)
		if err != nil || r == nil {
			return err
		}
		return fn(key, id, r)
	})
}

// ruleText is what a row of rules holds.
type ruleText struct{ id, name, techniques, tactics, description string }

// rule gives the number of a rule as it is worded now.
func (a *applier) rule(ctx context.Context, r *alert.Rule) (int64, error) {
	k := ruleText{r.ID, r.Name, strings.Join(r.Techniques, " "), strings.Join(r.Tactics, " "), r.Description}
	if n, ok := a.rules[k]; ok {
		return n, nil
	}
	var n int64
	err := a.tx.QueryRowContext(ctx, findRule, k.id, k.name, k.techniques, k.tactics, k.description).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		err = a.tx.QueryRowContext(ctx, putRule, k.id, k.name, k.techniques, k.tactics, k.description).Scan(&n)
	}
	if err == nil {
		a.rules[k] = n
	}
	return n, err
}

func (a *applier) captures(ctx context.Context, t *Batch) error {
	for k, c := range t.captures {
		err := a.exec(ctx, putCapture, k.sum, k.source, k.path, c.Source.String(), c.Size, c.Host, c.Session, c.Count, nano(c.First), nano(c.Last))
		if err != nil {
			return err
		}
	}
	for k, f := range t.findings {
		if err := a.exec(ctx, putFinding, k.sum, f.Rule, f.Level, f.Category, f.Description); err != nil {
			return err
		}
	}
	return nil
}

// applier prepares each statement once in a transaction.
type applier struct {
	tx    *sql.Tx
	st    map[string]*sql.Stmt
	rules map[ruleText]int64
}

func (a *applier) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	s := a.st[query]
	if s == nil {
		var err error
		if s, err = a.tx.PrepareContext(ctx, query); err != nil {
			return nil, err
		}
		a.st[query] = s
	}
	return s, nil
}

func (a *applier) close() {
	for _, s := range a.st {
		s.Close() //nolint:errcheck // the transaction tells
	}
}

func (a *applier) exec(ctx context.Context, query string, args ...any) error {
	_, err := a.run(ctx, query, args...)
	return err
}

func (a *applier) run(ctx context.Context, query string, args ...any) (sql.Result, error) {
	s, err := a.stmt(ctx, query) //nolint:sqlclosecheck // kept for the transaction
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx, args...)
}
