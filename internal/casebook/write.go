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
	putAlert = `INSERT INTO alerts (id, key, rule_id, rule_name, level, techniques, tactics, description, source, ip, host, session, user, title, campaign, count, first, last, retrospective)
VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)
ON CONFLICT (id) DO UPDATE SET level = excluded.level, host = excluded.host, session = excluded.session, user = excluded.user, title = excluded.title,
  campaign = excluded.campaign, count = excluded.count, last = excluded.last
RETURNING n`
	putEvidence  = `INSERT OR REPLACE INTO evidence (alert, seq, event, session, line) VALUES (?,?,?,?,?)`
	trimEvidence = `DELETE FROM evidence WHERE alert = ? AND seq > ? AND seq <= ?`
	putSession   = `INSERT INTO sessions (id, source, ip, host, decoy, user, kind, start, end, last, commands, files, depth) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)
ON CONFLICT (id) DO UPDATE SET user = iif(user = '', excluded.user, user), kind = iif(excluded.kind <> '', excluded.kind, kind), start = min(start, excluded.start),
  end = max(end, excluded.end), last = max(last, excluded.last), commands = commands + excluded.commands, files = files + excluded.files, depth = max(depth, excluded.depth)`
	putCapture = `INSERT INTO captures (sha256, source, path, ip, size, host, session, count, first, last) VALUES (?,?,?,?,?,?,?,?,?,?)
ON CONFLICT (sha256, source, path) DO UPDATE SET ip = excluded.ip, host = excluded.host, session = excluded.session, count = count + excluded.count, last = max(last, excluded.last)`
	putFinding = `INSERT OR REPLACE INTO findings (sha256, rule, level, category, description)
SELECT ?1, ?2, ?3, ?4, ?5 WHERE EXISTS (SELECT 1 FROM captures WHERE sha256 = ?1)`
	putState    = `INSERT OR REPLACE INTO states (key, source, seen, data) VALUES (?,?,?,?)`
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
		for _, c := range t.order {
			if err := a.alert(ctx, c); err != nil {
				return err
			}
		}
		for _, id := range slices.Sorted(maps.Keys(t.sessions)) {
			s := t.sessions[id]
			err := a.exec(ctx, putSession, s.ID, SourceOf(s.Source).String(), s.Source.String(), s.Host, s.Decoy, s.User, s.Kind, nano(s.Start), nano(s.End), nano(s.Last), s.Commands, s.Files, s.Depth)
			if err != nil {
				return err
			}
		}
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
		slices.SortFunc(t.states, func(x, y State) int { return strings.Compare(x.Key, y.Key) })
		for _, s := range t.states {
			source := ""
			if s.Source.IsValid() {
				source = SourceOf(s.Source).String()
			}
			if err := a.exec(ctx, putState, s.Key, source, nano(s.Seen), s.Data); err != nil {
				return err
			}
		}
		for _, m := range t.moves {
			if err := a.exec(ctx, putMove, m.To, m.From); err != nil {
				return err
			}
		}
		return a.exec(ctx, putPosition, t.Position)
	})
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

func (a *applier) alert(ctx context.Context, c *change) error {
	s, err := a.stmt(ctx, putAlert) //nolint:sqlclosecheck // kept for the transaction
	if err != nil {
		return err
	}
	x, r := &c.alert, &c.alert.Rule
	var n int64
	err = s.QueryRowContext(ctx, x.ID, x.Key, r.ID, r.Name, int(r.Level), strings.Join(r.Techniques, " "), strings.Join(r.Tactics, " "), r.Description,
		SourceOf(x.Source).String(), x.Source.Unmap().String(), cut(x.Host, maxText), x.Session, cut(x.User, maxText), cut(x.Title, maxText), x.Campaign,
		x.Count, nano(x.First), nano(x.Last), x.Retrospective).Scan(&n)
	if err != nil {
		return err
	}
	for _, v := range c.evidence {
		if v.seq > halfEvents && v.seq <= x.Count-halfEvents {
			continue
		}
		if err := a.exec(ctx, putEvidence, n, v.seq, v.event.ID, v.event.Session, line(v.event)); err != nil {
			return err
		}
	}
	if x.Count > 2*halfEvents {
		return a.exec(ctx, trimEvidence, n, halfEvents, x.Count-halfEvents)
	}
	return nil
}
