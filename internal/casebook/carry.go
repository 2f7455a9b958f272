package casebook

import (
	"context"
	"database/sql"
	"encoding/binary"

	"github.com/lapwing-defence/lapwing/internal/event"
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
		if _, err := tx.ExecContext(ctx, "UPDATE alerts SET refs = ? WHERE n = ?", appendOldRefs([]byte{}, r), n); err != nil {
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
		var event columnID
		var r reference
		if err := rows.Scan(&alert, &r.seq, &event, &r.pack, &r.at); err != nil {
			return nil, err
		}
		r.event = idOf(string(event))
		out[alert] = append(out[alert], r)
	}
	return out, rows.Err()
}

// appendOldRefs writes what parseRefs reads.
func appendOldRefs(dst []byte, refs []reference) []byte {
	for i := range refs {
		r := &refs[i]
		n := uint64(r.seq) << 1
		if r.event.isUUID() {
			dst = append(binary.AppendUvarint(dst, n), r.event.uuid[:]...)
		} else {
			dst = binary.AppendUvarint(binary.AppendUvarint(dst, n|1), uint64(len(r.event.text)))
			dst = append(dst, r.event.text...)
		}
		dst = binary.AppendUvarint(binary.AppendUvarint(dst, uint64(r.pack)), uint64(r.at))
	}
	return dst
}

// parseRefs reads references as rows of version 5 and 6 hold them: for each, as
// varints, its number times two, and one more where its id is text; the id, 16
// bytes or its length and its bytes; pack and line.
func parseRefs(b []byte) ([]reference, error) {
	var out []reference
	for len(b) > 0 {
		var r reference
		n, k := binary.Uvarint(b)
		if k <= 0 {
			return nil, errRefs
		}
		b = b[k:]
		size := uint64(16)
		if n&1 != 0 {
			if size, k = binary.Uvarint(b); k <= 0 {
				return nil, errRefs
			}
			b = b[k:]
		}
		if size > uint64(len(b)) {
			return nil, errRefs
		}
		r.seq, r.event = int64(n>>1), storedID{text: string(b[:size])}
		if n&1 == 0 {
			r.event = idOf(event.FormatUUID([16]byte(b[:16])))
		}
		b = b[size:]
		for _, v := range []*int64{&r.pack, &r.at} {
			n, k := binary.Uvarint(b)
			if k <= 0 {
				return nil, errRefs
			}
			*v, b = int64(n), b[k:]
		}
		out = append(out, r)
	}
	return out, nil
}
