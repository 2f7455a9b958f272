package casebook

import (
	"context"
	"database/sql"
	"fmt"
)

// Hold implements Desk. A second Hold of a source changes the reason.
func (b *SQLite) Hold(ctx context.Context, h Hold) error {
	return b.write(ctx, "hold a source", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO holds (source, why, who, at, copied) VALUES (?,?,?,?,?)
ON CONFLICT (source) DO UPDATE SET why = iif(excluded.why = '', why, excluded.why), copied = max(copied, excluded.copied)`, h.Source.String(), h.Why, h.Who, nano(h.At), nano(h.Copied))
		return err
	})
}

// Unhold implements Desk.
func (b *SQLite) Unhold(ctx context.Context, s Source) error {
	return b.write(ctx, "release a hold", func(tx *sql.Tx) error {
		r, err := tx.ExecContext(ctx, "DELETE FROM holds WHERE source = ?", s.String())
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n == 0 {
			return fmt.Errorf("a hold on %s: %w", s, ErrNotFound)
		}
		return nil
	})
}

// Holds implements Desk.
func (b *SQLite) Holds(ctx context.Context) ([]Hold, error) {
	var out []Hold
	err := b.each(ctx, "read the holds", "SELECT source, why, who, at, copied FROM holds ORDER BY at, source", nil, func(r *sql.Rows) error {
		var h Hold
		var source string
		var at, copied int64
		if err := r.Scan(&source, &h.Why, &h.Who, &at, &copied); err != nil {
			return err
		}
		var err error
		if h.Source, err = ParseSource(source); err != nil {
			return err
		}
		h.At, h.Copied = fromNano(at), fromNano(copied)
		out = append(out, h)
		return nil
	})
	return out, err
}

// Note implements Desk.
func (b *SQLite) Note(ctx context.Context, a Act) error {
	return b.write(ctx, "write down an act", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO acts (at, who, act, target, why, result) VALUES (?,?,?,?,?,?)", nano(a.At), a.Who, a.Act, a.Target, a.Why, a.Result)
		return err
	})
}

// Acts implements Desk.
func (b *SQLite) Acts(ctx context.Context, fn func(Act) error) error {
	return b.each(ctx, "read the acts", "SELECT at, who, act, target, why, result FROM acts ORDER BY n", nil, func(r *sql.Rows) error {
		var a Act
		var at int64
		if err := r.Scan(&at, &a.Who, &a.Act, &a.Target, &a.Why, &a.Result); err != nil {
			return err
		}
		a.At = fromNano(at)
		return fn(a)
	})
}
