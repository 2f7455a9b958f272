package casebook

import (
	"context"
	"database/sql"
	"errors"
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
	putAlert  = `INSERT INTO alerts (id, key, rule, level, source, ip, host, session, user, title, campaign, count, first, last, retrospective, refs) VALUES `
	growAlert = ` ON CONFLICT (id) DO UPDATE SET level = excluded.level, host = excluded.host, session = excluded.session, user = excluded.user, title = excluded.title,
  campaign = excluded.campaign, count = excluded.count, last = excluded.last, refs = excluded.refs`
	findRule   = `SELECT rule FROM rules WHERE rule_id = ? AND rule_name = ? AND techniques = ? AND tactics = ? AND description = ?`
	putRule    = `INSERT INTO rules (rule_id, rule_name, techniques, tactics, description) VALUES (?,?,?,?,?) RETURNING rule`
	putCapture = `INSERT INTO captures (sha256, source, path, ip, size, host, session, count, first, last) VALUES (?,?,?,?,?,?,?,?,?,?)
ON CONFLICT (sha256, source, path) DO UPDATE SET ip = excluded.ip, host = excluded.host, session = excluded.session, count = count + excluded.count, last = max(last, excluded.last)`
	putFinding = `INSERT OR REPLACE INTO findings (sha256, rule, level, category, description)
SELECT ?1, ?2, ?3, ?4, ?5 WHERE EXISTS (SELECT 1 FROM captures WHERE sha256 = ?1)`
	putMove     = `UPDATE alerts SET campaign = ? WHERE campaign = ?`
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
		for _, put := range []func(context.Context, *Batch) error{a.alerts(&b.packer), a.captures, a.moves} {
			if err := put(ctx, t); err != nil {
				return err
			}
		}
		chunks := a.store(&b.packer)
		if err := all.sessions.put(ctx, chunks, sessionRecords(t.sessions)); err != nil {
			return err
		}
		if err := all.states.put(ctx, chunks, stateRecords(t.states)); err != nil {
			return err
		}
		return a.exec(ctx, putPosition, t.Position)
	})
}

// alerts writes alerts and their evidence.
func (a *applier) alerts(p *packer) func(context.Context, *Batch) error {
	return func(ctx context.Context, t *Batch) error {
		s := stower{a: a, p: p, dead: map[int64]int64{}}
		order := slices.SortedFunc(slices.Values(t.order), func(x, y *change) int { return strings.Compare(x.alert.ID, y.alert.ID) })
		rows := a.bulk(putAlert, 16, growAlert)
		for part := range slices.Chunk(order, bulkRows) {
			old, err := a.refs(ctx, part)
			if err != nil {
				return err
			}
			for _, c := range part {
				if err := a.alert(ctx, c, old[c.alert.ID], &s, rows); err != nil {
					return err
				}
			}
		}
		if err := rows.flush(ctx); err != nil {
			return err
		}
		return s.flush(ctx)
	}
}

// alert adds the row of one alert, and puts its evidence away.
func (a *applier) alert(ctx context.Context, c *change, old []reference, s *stower, rows *bulk) error {
	fresh := make([]reference, 0, len(c.evidence))
	for i := range c.evidence {
		v := &c.evidence[i]
		if !keeps(v.seq, c.alert.Count) {
			continue
		}
		r, err := s.add(ctx, v.seq, v.id, v.text())
		if err != nil {
			return err
		}
		fresh = append(fresh, r)
	}
	keep, gone := kept(old, fresh, c.alert.Count)
	for _, r := range gone {
		s.dead[r.pack]++
	}
	x := &c.alert
	rule, err := a.rule(ctx, &x.Rule)
	if err != nil {
		return err
	}
	source, ip := ofSource(x.Source)
	return rows.add(ctx, eventBytes(x.ID), shortKey(x), rule, int(x.Rule.Level), source, ip, cut(x.Host, maxText), eventBytes(x.Session), cut(x.User, maxText),
		cut(x.Title, maxText), eventBytes(x.Campaign), x.Count, nano(x.First), nano(x.Last), x.Retrospective, appendRefs(make([]byte, 0, 24*len(keep)), keep))
}

// refs gives what alerts that are there already refer to, by id.
func (a *applier) refs(ctx context.Context, cs []*change) (map[string][]reference, error) {
	ids := make([]any, len(cs))
	for i, c := range cs {
		ids[i] = eventBytes(c.alert.ID)
	}
	s, err := a.stmt(ctx, "SELECT id, refs FROM alerts WHERE id IN ("+strings.Repeat("?,", len(ids)-1)+"?)") //nolint:sqlclosecheck // kept for the transaction
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(ctx, ids...)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // Err tells
	out := make(map[string][]reference, len(cs))
	for rows.Next() {
		var id storedID
		var data sql.RawBytes
		if err := rows.Scan(&id, &data); err != nil {
			return nil, err
		}
		if out[string(id)], err = parseRefs(data); err != nil {
			return nil, err
		}
	}
	return out, rows.Err()
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

func (a *applier) moves(ctx context.Context, t *Batch) error {
	for _, m := range t.moves {
		query, args := putMove, []any{eventBytes(m.To), eventBytes(m.From)}
		if m.Source.IsValid() {
			query, args = putMove+" AND source = ?", append(args, SourceOf(m.Source).String())
		}
		if err := a.exec(ctx, query, args...); err != nil {
			return err
		}
	}
	return nil
}

// bulk inserts rows many at a time, in their order: a statement costs more
// than a small row.
type bulk struct {
	a           *applier
	begin, end  string
	row         string
	width, size int
	args        []any
}

// bulkRows are inserted by one statement; what is left at the end, one by one.
const bulkRows = 32

func (a *applier) bulk(begin string, width int, end string) *bulk {
	row := "(" + strings.Repeat("?,", width-1) + "?)"
	return &bulk{a: a, begin: begin, end: end, row: row, width: width, size: bulkRows * width}
}

func (b *bulk) add(ctx context.Context, args ...any) error {
	if b.args = append(b.args, args...); len(b.args) < b.size {
		return nil
	}
	err := b.a.exec(ctx, b.begin+strings.Repeat(b.row+",", bulkRows-1)+b.row+b.end, b.args...)
	b.args = b.args[:0]
	return err
}

func (b *bulk) flush(ctx context.Context) error {
	for ; len(b.args) > 0; b.args = b.args[b.width:] {
		if err := b.a.exec(ctx, b.begin+b.row+b.end, b.args[:b.width]...); err != nil {
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
