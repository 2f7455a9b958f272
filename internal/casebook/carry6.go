package casebook

import (
	"context"
	"database/sql"
	"encoding/hex"
)

// carryRecords is how many records of an older form are in memory at once.
const carryRecords = 50_000

// carry takes tables into shelves: fn does it, drop takes the tables away.
func carry(ctx context.Context, tx *sql.Tx, fn func(t *store, all *shelves) error, drop string) error {
	var p packer
	defer p.close()
	a := applier{tx: tx, st: map[string]*sql.Stmt{}}
	defer a.close()
	all, err := openShelves(ctx, tx)
	if err != nil {
		return err
	}
	if err := fn(a.store(&p), all); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, drop)
	return err
}

// carrySix takes sessions and states from tables of their own into shelves.
func carrySix(ctx context.Context, tx *sql.Tx, migrate func() error) error {
	if err := migrate(); err != nil {
		return err
	}
	return carry(ctx, tx, func(t *store, all *shelves) error {
		if err := carrySessions(ctx, tx, t, &all.sessions); err != nil {
			return err
		}
		return carryStates(ctx, tx, t, &all.states)
	}, "DROP TABLE sessions; DROP TABLE states")
}

func carrySessions(ctx context.Context, tx *sql.Tx, t *store, s *shelf) error {
	rows, err := tx.QueryContext(ctx, "SELECT id, source, ip, host, decoy, user, kind, start, end, last, commands, files, depth FROM sessions")
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // Err tells
	part := map[string]*Session{}
	for rows.Next() {
		var x Session
		var id columnID
		var source string
		var ip sql.NullString
		var start, end, last int64
		if err := rows.Scan(&id, &source, &ip, &x.Host, &x.Decoy, &x.User, &x.Kind, &start, &end, &last, &x.Commands, &x.Files, &x.Depth); err != nil {
			return err
		}
		if x.Source, err = storedAddr(source, ip); err != nil {
			return err
		}
		x.Start, x.End, x.Last = fromNano(start), fromNano(end), fromNano(last)
		part[string(id)] = &x
		if len(part) < carryRecords {
			continue
		}
		if err := s.put(ctx, t, sessionRecords(part)); err != nil {
			return err
		}
		clear(part)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return s.put(ctx, t, sessionRecords(part))
}

func carryStates(ctx context.Context, tx *sql.Tx, t *store, s *shelf) error {
	rows, err := tx.QueryContext(ctx, "SELECT key, source, seen, data FROM states")
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // Err tells
	var part []State
	for rows.Next() {
		var x State
		var key any
		var source []byte
		var seen int64
		if err := rows.Scan(&key, &source, &seen, &x.Data); err != nil {
			return err
		}
		x.Key, x.Seen = keyText(key), fromNano(seen)
		x.Source, _ = sourceAddr(source)
		if part = append(part, x); len(part) < carryRecords {
			continue
		}
		if err := s.put(ctx, t, stateRecords(part)); err != nil {
			return err
		}
		part = part[:0]
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return s.put(ctx, t, stateRecords(part))
}

// keyText is the key of a state, of which the judge's hashes were 16 bytes.
func keyText(v any) string {
	if b, ok := v.([]byte); ok && len(b) == 16 {
		return "p " + hex.EncodeToString(b)
	}
	s, _ := v.(string)
	return s
}
