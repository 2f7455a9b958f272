package casebook

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"strings"
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

// Recall implements Judged.
func (b *SQLite) Recall(ctx context.Context, key string) (State, bool, error) {
	s := State{Key: key}
	if maybe, err := b.maybe(ctx, key); !maybe || err != nil {
		return s, false, b.wrap("recall what the judge knows", err)
	}
	var source string
	var seen int64
	err := b.recall.QueryRowContext(ctx, key).Scan(&source, &seen, &s.Data)
	if errors.Is(err, sql.ErrNoRows) {
		return s, false, nil
	}
	s.Seen = fromNano(seen)
	if src, err := ParseSource(source); err == nil {
		s.Source = src.Net().Addr()
	}
	return s, err == nil, b.wrap("recall what the judge knows", err)
}

const (
	putAlert  = `INSERT INTO alerts (id, key, rule_id, rule_name, level, techniques, tactics, description, source, ip, host, session, user, title, campaign, count, first, last, retrospective) VALUES `
	growAlert = ` ON CONFLICT (id) DO UPDATE SET level = excluded.level, host = excluded.host, session = excluded.session, user = excluded.user, title = excluded.title,
  campaign = excluded.campaign, count = excluded.count, last = excluded.last
RETURNING n, id`
	putSession  = `INSERT INTO sessions (id, source, ip, host, decoy, user, kind, start, end, last, commands, files, depth) VALUES `
	growSession = ` ON CONFLICT (id) DO UPDATE SET user = iif(user = '', excluded.user, user), kind = iif(excluded.kind <> '', excluded.kind, kind), start = min(start, excluded.start),
  end = max(end, excluded.end), last = max(last, excluded.last), commands = commands + excluded.commands, files = files + excluded.files, depth = max(depth, excluded.depth)`
	putCapture = `INSERT INTO captures (sha256, source, path, ip, size, host, session, count, first, last) VALUES (?,?,?,?,?,?,?,?,?,?)
ON CONFLICT (sha256, source, path) DO UPDATE SET ip = excluded.ip, host = excluded.host, session = excluded.session, count = count + excluded.count, last = max(last, excluded.last)`
	putFinding = `INSERT OR REPLACE INTO findings (sha256, rule, level, category, description)
SELECT ?1, ?2, ?3, ?4, ?5 WHERE EXISTS (SELECT 1 FROM captures WHERE sha256 = ?1)`
	putState    = `INSERT OR REPLACE INTO states (key, source, seen, data) VALUES `
	putMove     = `UPDATE alerts SET campaign = ? WHERE campaign = ?`
	putPosition = `INSERT OR REPLACE INTO meta (key, value) VALUES ('position', ?)`
)

// Apply implements Judged.
func (b *SQLite) Apply(ctx context.Context, t *Batch) error {
	b.known.add(t.states)
	defer b.known.add(t.states) // to a filter that was made before the commit, too
	return b.write(ctx, "write into the casebook", func(tx *sql.Tx) error {
		ctx := context.WithoutCancel(ctx) // else each row costs a goroutine that waits for the end of ctx
		a := applier{tx: tx, st: map[string]*sql.Stmt{}}
		defer a.close()
		for _, put := range []func(context.Context, *Batch) error{a.alerts(&b.packer), a.sessions, a.captures, a.states, a.moves} {
			if err := put(ctx, t); err != nil {
				return err
			}
		}
		return a.exec(ctx, putPosition, t.Position)
	})
}

// alerts writes alerts and their evidence.
func (a *applier) alerts(p *packer) func(context.Context, *Batch) error {
	return func(ctx context.Context, t *Batch) error {
		s := stower{a: a, p: p, dead: map[int64]int64{}}
		var trim []trimmed
		rows, err := a.rows(ctx, t.order)
		if err != nil {
			return err
		}
		for _, c := range t.order {
			n, count := rows[c.alert.ID], c.alert.Count
			for _, v := range c.evidence {
				if v.seq > halfEvents && v.seq <= count-halfEvents {
					continue
				}
				if err := s.add(ctx, n, v.seq, v.event.ID, line(v.event)); err != nil {
					return err
				}
			}
			if count > 2*halfEvents {
				trim = append(trim, trimmed{n, halfEvents, count - halfEvents})
			}
		}
		return s.flush(ctx, trim)
	}
}

func (a *applier) sessions(ctx context.Context, t *Batch) error {
	rows := a.bulk(putSession, 13, growSession)
	for _, id := range slices.Sorted(maps.Keys(t.sessions)) {
		s := t.sessions[id]
		err := rows.add(ctx, s.ID, SourceOf(s.Source).String(), s.Source.String(), s.Host, s.Decoy, s.User, s.Kind, nano(s.Start), nano(s.End), nano(s.Last), s.Commands, s.Files, s.Depth)
		if err != nil {
			return err
		}
	}
	return rows.flush(ctx)
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

func (a *applier) states(ctx context.Context, t *Batch) error {
	slices.SortFunc(t.states, func(x, y State) int { return strings.Compare(x.Key, y.Key) })
	rows := a.bulk(putState, 4, "")
	for _, s := range t.states {
		source := ""
		if s.Source.IsValid() {
			source = SourceOf(s.Source).String()
		}
		if err := rows.add(ctx, s.Key, source, nano(s.Seen), s.Data); err != nil {
			return err
		}
	}
	return rows.flush(ctx)
}

func (a *applier) moves(ctx context.Context, t *Batch) error {
	for _, m := range t.moves {
		query, args := putMove, []any{m.To, m.From}
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
	tx *sql.Tx
	st map[string]*sql.Stmt
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
	s, err := a.stmt(ctx, query) //nolint:sqlclosecheck // kept for the transaction
	if err != nil {
		return err
	}
	_, err = s.ExecContext(ctx, args...)
	return err
}

// rows writes the alerts of order and gives the numbers of their rows by id,
// many rows a statement.
func (a *applier) rows(ctx context.Context, order []*change) (map[string]int64, error) {
	n := make(map[string]int64, len(order))
	for len(order) > 0 {
		k := 1
		if len(order) >= bulkRows {
			k = bulkRows
		}
		if err := a.put(ctx, order[:k], n); err != nil {
			return nil, err
		}
		order = order[k:]
	}
	return n, nil
}

// put writes alerts with one statement, and the numbers of their rows into n.
func (a *applier) put(ctx context.Context, cs []*change, n map[string]int64) error {
	const width = 19
	row := "(" + strings.Repeat("?,", width-1) + "?)"
	s, err := a.stmt(ctx, putAlert+strings.Repeat(row+",", len(cs)-1)+row+growAlert) //nolint:sqlclosecheck // kept for the transaction
	if err != nil {
		return err
	}
	args := make([]any, 0, width*len(cs))
	for _, c := range cs {
		x, r := &c.alert, &c.alert.Rule
		args = append(args, x.ID, x.Key, r.ID, r.Name, int(r.Level), strings.Join(r.Techniques, " "), strings.Join(r.Tactics, " "), r.Description,
			SourceOf(x.Source).String(), x.Source.Unmap().String(), cut(x.Host, maxText), x.Session, cut(x.User, maxText), cut(x.Title, maxText), x.Campaign,
			x.Count, nano(x.First), nano(x.Last), x.Retrospective)
	}
	got, err := s.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer got.Close() //nolint:errcheck // Err tells
	for got.Next() {  // in any order, says SQLite of RETURNING
		var at int64
		var id string
		if err := got.Scan(&at, &id); err != nil {
			return err
		}
		n[id] = at
	}
	return got.Err()
}
