package casebook

import (
	"context"
	"database/sql"
)

// carryFive takes what alerts refer to from rows of their own into the alerts,
// and the states into their shorter form.
func carryFive(ctx context.Context, tx *sql.Tx, migrate func() error) error {
	states, err := oldStates(ctx, tx)
	if err != nil {
		return err
	}
	if err := migrate(); err != nil {
		return err
	}
	for _, s := range states {
		if _, err := tx.ExecContext(ctx, "INSERT OR REPLACE INTO states (key, source, seen, data) VALUES (?,?,?,?)", s[0], s[1], s[2], s[3]); err != nil {
			return err
		}
	}
	refs, err := oldRefs(ctx, tx)
	if err != nil {
		return err
	}
	for n, r := range refs {
		if _, err := tx.ExecContext(ctx, "UPDATE alerts SET refs = ? WHERE n = ?", appendRefs([]byte{}, r), n); err != nil {
			return err
		}
	}
	_, err = tx.ExecContext(ctx, "DROP TABLE evidence")
	return err
}

// oldStates gives rows of states as they are written now.
func oldStates(ctx context.Context, tx *sql.Tx) (out [][4]any, err error) {
	rows, err := tx.QueryContext(ctx, "SELECT key, source, seen, data FROM states")
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // Err tells
	for rows.Next() {
		var key, source string
		var seen int64
		var data []byte
		if err := rows.Scan(&key, &source, &seen, &data); err != nil {
			return nil, err
		}
		of, _ := ParseSource(source) // nobody's where there is none
		out = append(out, [4]any{key, append([]byte{}, sourceBytes(of)...), seen, data})
	}
	return out, rows.Err()
}

// oldRefs gives what alerts refer to, by their rows.
func oldRefs(ctx context.Context, tx *sql.Tx) (map[int64][]reference, error) {
	rows, err := tx.QueryContext(ctx, "SELECT alert, seq, event, pack, at FROM evidence ORDER BY alert, seq")
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // Err tells
	out := map[int64][]reference{}
	for rows.Next() {
		var alert int64
		var event storedID
		var r reference
		if err := rows.Scan(&alert, &r.seq, &event, &r.pack, &r.at); err != nil {
			return nil, err
		}
		r.event = string(event)
		out[alert] = append(out[alert], r)
	}
	return out, rows.Err()
}
