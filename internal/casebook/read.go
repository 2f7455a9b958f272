package casebook

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/alert"
)

// where builds the conditions of a Query.
type where struct {
	conds []string
	args  []any
}

func (w *where) add(cond string, args ...any) {
	w.conds = append(w.conds, cond)
	w.args = append(w.args, args...)
}

func (w *where) source(s Source, sessionColumn string) {
	switch {
	case s.Session() != "":
		w.add(sessionColumn+" = ?", s.Session())
	case !s.Zero():
		w.add("source = ?", s.String())
	}
}

// prefix is a condition that an index answers.
func (w *where) prefix(column, begin string) {
	if begin != "" {
		w.add(column+" >= ? AND "+column+" < ?", begin, begin+"\U0010ffff")
	}
}

// query is SELECT columns FROM table, the oldest first, of which the last n.
func (w *where) query(columns, table, order string, last int) string {
	q := "SELECT " + columns + " FROM " + table
	if len(w.conds) > 0 {
		q += " WHERE " + strings.Join(w.conds, " AND ")
	}
	if last > 0 {
		keys := strings.Split(order, ", ")
		return "SELECT * FROM (" + q + " ORDER BY " + strings.Join(keys, " DESC, ") + fmt.Sprintf(" DESC LIMIT %d) ORDER BY ", last) + order
	}
	return q + " ORDER BY " + order
}

func (b *SQLite) each(ctx context.Context, what, query string, args []any, fn func(*sql.Rows) error) error {
	rows, err := b.r.QueryContext(ctx, query, args...)
	if err != nil {
		return b.wrap(what, err)
	}
	defer rows.Close() //nolint:errcheck // Err tells
	for rows.Next() {
		if err := fn(rows); err != nil {
			return b.wrap(what, err)
		}
	}
	return b.wrap(what, rows.Err())
}

const alertColumns = `n, id, key, rule_id, rule_name, level, techniques, tactics, description, ip, host, session, user, title, campaign, count, first, last, retrospective,
(SELECT ` + eventText + ` FROM (SELECT event FROM evidence WHERE alert = alerts.n ORDER BY seq)) AS events`

func scanAlert(rows *sql.Rows) (n int64, a *alert.Alert, err error) {
	a = &alert.Alert{}
	var level, first, last int64
	var techniques, tactics, ip, events string
	err = rows.Scan(&n, &a.ID, &a.Key, &a.Rule.ID, &a.Rule.Name, &level, &techniques, &tactics, &a.Rule.Description, &ip, &a.Host, &a.Session, &a.User,
		&a.Title, &a.Campaign, &a.Count, &first, &last, &a.Retrospective, &events)
	if err != nil {
		return 0, nil, err
	}
	a.Rule.Level = alert.Level(level)
	a.Rule.Techniques, a.Rule.Tactics = strings.Fields(techniques), strings.Fields(tactics)
	a.First, a.Last = fromNano(first), fromNano(last)
	a.Events = eventIDs(events)
	a.Source, err = netip.ParseAddr(ip)
	return n, a, err
}

// Alerts implements Reader.
func (b *SQLite) Alerts(ctx context.Context, q Query, fn func(*alert.Alert) error) error {
	var w where
	w.prefix("id", q.ID)
	w.source(q.Source, "session")
	if !q.Since.IsZero() {
		w.add("last >= ?", nano(q.Since))
	}
	if q.Level > 0 {
		w.add("level >= ?", int(q.Level))
	}
	return b.each(ctx, "read the alerts", w.query(alertColumns, "alerts", "first, n", q.Last), w.args, func(r *sql.Rows) error {
		_, a, err := scanAlert(r)
		if err != nil {
			return err
		}
		return fn(a)
	})
}

// Alert implements Reader.
func (b *SQLite) Alert(ctx context.Context, id string) (*alert.Alert, error) {
	var w where
	w.prefix("id", strings.ToLower(id))
	if id == "" {
		return nil, fmt.Errorf("alert %.80q: %w", id, ErrNotFound)
	}
	var hit *alert.Alert
	var n int64
	err := b.each(ctx, "read an alert", w.query(alertColumns, "alerts", "first, n", 2), w.args, func(r *sql.Rows) error {
		if hit != nil {
			return ErrAmbiguous
		}
		var err error
		n, hit, err = scanAlert(r)
		return err
	})
	if err != nil {
		return nil, err
	}
	if hit == nil {
		return nil, fmt.Errorf("alert %.80q: %w", id, ErrNotFound)
	}
	lines, err := b.evidence(ctx, n)
	hit.Evidence = lines
	return hit, err
}

// Sessions implements Reader.
func (b *SQLite) Sessions(ctx context.Context, q Query, fn func(*Session) error) error {
	var w where
	w.prefix("id", strings.ToLower(q.ID))
	w.source(q.Source, "id")
	if !q.Since.IsZero() {
		w.add("last >= ?", nano(q.Since))
	}
	query := w.query("id, ip, host, decoy, user, kind, start, end, last, commands, files, depth", "sessions", "start, id", q.Last)
	return b.each(ctx, "read the sessions", query, w.args, func(r *sql.Rows) error {
		var s Session
		var ip string
		var start, end, last int64
		if err := r.Scan(&s.ID, &ip, &s.Host, &s.Decoy, &s.User, &s.Kind, &start, &end, &last, &s.Commands, &s.Files, &s.Depth); err != nil {
			return err
		}
		s.Start, s.End, s.Last = fromNano(start), fromNano(end), fromNano(last)
		var err error
		if s.Source, err = netip.ParseAddr(ip); err != nil {
			return err
		}
		return fn(&s)
	})
}

// Captures implements Reader.
func (b *SQLite) Captures(ctx context.Context, q Query, fn func(*Capture) error) error {
	var w where
	w.prefix("sha256", strings.ToLower(q.ID))
	w.source(q.Source, "session")
	if !q.Since.IsZero() {
		w.add("last >= ?", nano(q.Since))
	}
	const found = `(SELECT json_group_array(json_object('Rule', rule, 'Level', level, 'Category', category, 'Description', description) ORDER BY rule) FROM findings f WHERE f.sha256 = captures.sha256)`
	query := w.query("sha256, size, ip, path, host, session, count, first, last, "+found+" AS found", "captures", "last, sha256, path", q.Last)
	return b.each(ctx, "read the captures", query, w.args, func(r *sql.Rows) error {
		var c Capture
		var ip, found string
		var first, last int64
		if err := r.Scan(&c.SHA256, &c.Size, &ip, &c.Path, &c.Host, &c.Session, &c.Count, &first, &last, &found); err != nil {
			return err
		}
		if found != "[]" {
			if err := json.Unmarshal([]byte(found), &c.Findings); err != nil {
				return err
			}
		}
		c.First, c.Last = fromNano(first), fromNano(last)
		var err error
		if c.Source, err = netip.ParseAddr(ip); err != nil {
			return err
		}
		return fn(&c)
	})
}
