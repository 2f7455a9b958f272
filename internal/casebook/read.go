package casebook

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
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

// storedAddr is the address of a row: it is the source where that is one address.
func storedAddr(source string, ip sql.NullString) (netip.Addr, error) {
	if ip.Valid {
		source = ip.String
	}
	return netip.ParseAddr(source)
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
