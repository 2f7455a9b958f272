package casebook

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"

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

func (w *where) source(s Source, sessionColumn string, session any) {
	switch {
	case s.Session() != "":
		w.add(sessionColumn+" = ?", session)
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

// id is a condition on how an id begins.
func (w *where) id(begin string) {
	if begin == "" {
		return
	}
	const text = "id >= ? AND id < ?"
	if low, high, ok := uuidRange(begin); ok {
		w.add("(id BETWEEN ? AND ? OR "+text+")", low, high, begin, begin+"\U0010ffff")
		return
	}
	w.add(text, begin, begin+"\U0010ffff")
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

const (
	alertColumns = `n, id, key, rule_id, rule_name, level, techniques, tactics, description, source, ip, host, session, user, title, campaign, count, first, last, retrospective, refs`
	alertTables  = `alerts JOIN rules USING (rule)`
)

func scanAlert(rows *sql.Rows) (refs []reference, a *alert.Alert, err error) {
	a = &alert.Alert{}
	var n, level, first, last int64
	var id, session, campaign storedID
	var key any
	var techniques, tactics, source string
	var ip sql.NullString
	var packed []byte
	err = rows.Scan(&n, &id, &key, &a.Rule.ID, &a.Rule.Name, &level, &techniques, &tactics, &a.Rule.Description, &source, &ip, &a.Host, &session, &a.User,
		&a.Title, &campaign, &a.Count, &first, &last, &a.Retrospective, &packed)
	if err != nil {
		return nil, nil, err
	}
	a.ID, a.Session, a.Campaign = string(id), string(session), string(campaign)
	a.Rule.Level = alert.Level(level)
	a.Rule.Techniques, a.Rule.Tactics = strings.Fields(techniques), strings.Fields(tactics)
	a.First, a.Last = fromNano(first), fromNano(last)
	if refs, err = parseRefs(packed); err != nil {
		return nil, nil, err
	}
	for _, r := range refs {
		a.Events = append(a.Events, r.event)
	}
	if a.Source, err = storedAddr(source, ip); err != nil {
		return nil, nil, err
	}
	a.Key = wholeKey(key, a)
	return refs, a, nil
}

// storedAddr is the address of a row: it is the source where that is one address.
func storedAddr(source string, ip sql.NullString) (netip.Addr, error) {
	if ip.Valid {
		source = ip.String
	}
	return netip.ParseAddr(source)
}

// ofSource is what a row says of an address: its source, and itself where that
// is something else.
func ofSource(a netip.Addr) (source string, ip any) {
	source = SourceOf(a).String()
	if text := a.Unmap().String(); text != source {
		ip = text
	}
	return source, ip
}

// shortKey is the key of an alert as it is stored: those of the judge are
// rule, source and a time, of which the time is enough.
func shortKey(a *alert.Alert) any {
	at := strings.LastIndexByte(a.Key, ' ')
	t, err := time.Parse(time.RFC3339, a.Key[at+1:])
	if err == nil && wholeKey(t.Unix(), a) == a.Key {
		return t.Unix()
	}
	return a.Key
}

func wholeKey(key any, a *alert.Alert) string {
	switch k := key.(type) {
	case int64:
		return a.Rule.ID + " " + SourceOf(a.Source).Net().String() + " " + time.Unix(k, 0).UTC().Format(time.RFC3339)
	case string:
		return k
	}
	return ""
}

// Alerts implements Reader.
func (b *SQLite) Alerts(ctx context.Context, q Query, fn func(*alert.Alert) error) error {
	var w where
	w.id(strings.ToLower(q.ID))
	w.source(q.Source, "session", eventBytes(q.Source.Session()))
	if !q.Since.IsZero() {
		w.add("last >= ?", nano(q.Since))
	}
	if q.Level > 0 {
		w.add("level >= ?", int(q.Level))
	}
	return b.each(ctx, "read the alerts", w.query(alertColumns, alertTables, "first, n", q.Last), w.args, func(r *sql.Rows) error {
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
	w.id(strings.ToLower(id))
	if id == "" {
		return nil, fmt.Errorf("alert %.80q: %w", id, ErrNotFound)
	}
	var hit *alert.Alert
	var refs []reference
	err := b.each(ctx, "read an alert", w.query(alertColumns, alertTables, "first, n", 2), w.args, func(r *sql.Rows) error {
		if hit != nil {
			return ErrAmbiguous
		}
		var err error
		refs, hit, err = scanAlert(r)
		return err
	})
	if err != nil {
		return nil, err
	}
	if hit == nil {
		return nil, fmt.Errorf("alert %.80q: %w", id, ErrNotFound)
	}
	lines, err := b.evidence(ctx, refs)
	hit.Evidence = lines
	return hit, err
}

// Captures implements Reader.
func (b *SQLite) Captures(ctx context.Context, q Query, fn func(*Capture) error) error {
	var w where
	w.prefix("sha256", strings.ToLower(q.ID))
	w.source(q.Source, "session", q.Source.Session())
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
