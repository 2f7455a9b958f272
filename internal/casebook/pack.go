package casebook

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// Lines of evidence lie in packs: whole lines, compressed together (zstd, RFC
// 8878), a newline between two. A line that is gone is empty. What an older
// version wrote is one line, as it is.
const (
	packBytes  = 256 << 10 // of lines, after which a pack is full
	packMemory = 8 << 20   // bytes that a pack may unfold to
	packMagic  = "\x28\xb5\x2f\xfd"
)

// packer folds and unfolds packs. It is for one goroutine at a time.
type packer struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

func (p *packer) fold(lines []byte) ([]byte, error) {
	if p.enc == nil {
		var err error
		p.enc, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithWindowSize(packBytes), zstd.WithLowerEncoderMem(true))
		if err != nil {
			return nil, fmt.Errorf("pack evidence: %w", err)
		}
	}
	return p.enc.EncodeAll(lines, nil), nil
}

// unfold gives the lines of a pack, the empty ones, too.
func (p *packer) unfold(data []byte) ([][]byte, error) {
	if !bytes.HasPrefix(data, []byte(packMagic)) {
		return bytes.Split(data, []byte{'\n'}), nil
	}
	if p.dec == nil {
		var err error
		p.dec, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(packMemory), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, fmt.Errorf("unpack evidence: %w", err)
		}
	}
	lines, err := p.dec.DecodeAll(data, nil)
	if err != nil {
		return nil, fmt.Errorf("unpack evidence: %w", err)
	}
	return bytes.Split(lines, []byte{'\n'}), nil
}

func (p *packer) close() {
	if p.dec != nil {
		p.dec.Close()
	}
}

// eventBytes is the id of an event as it is stored: a UUID in 16 bytes.
func eventBytes(id string) any {
	if b, err := hex.DecodeString(strings.ReplaceAll(id, "-", "")); err == nil && len(b) == 16 && uuid(b) == id {
		return b
	}
	return id
}

func uuid(b []byte) string {
	x := hex.EncodeToString(b)
	return x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]
}

// eventText is SQL for ids that eventIDs reads.
const eventText = `coalesce(group_concat(iif(typeof(event) = 'blob', 'x' || hex(event), 't' || event), char(10)), '')`

func eventIDs(text string) []string {
	if text == "" {
		return nil
	}
	ids := strings.Split(text, "\n")
	for i, id := range ids {
		if b, err := hex.DecodeString(id[1:]); id[0] == 'x' && err == nil && len(b) == 16 {
			ids[i] = uuid(b)
			continue
		}
		ids[i] = id[1:]
	}
	return ids
}

// reference is one line of evidence of an alert.
type reference struct {
	alert, seq int64
	event      any
	pack, at   int64
}

// stower puts lines of evidence into packs of one transaction.
type stower struct {
	a     *applier
	p     *packer
	next  int64 // number of the present pack, 0: none yet
	buf   []byte
	lines int64
	refs  []reference
	dead  map[int64]int64 // rows that went, by pack
}

// add takes a line; it is written by flush at the latest.
func (s *stower) add(ctx context.Context, alert, seq int64, event string, line []byte) error {
	if s.next == 0 {
		if err := s.a.tx.QueryRowContext(ctx, "SELECT coalesce(max(n), 0) + 1 FROM packs").Scan(&s.next); err != nil {
			return err
		}
	}
	if s.lines > 0 {
		s.buf = append(s.buf, '\n')
	}
	s.buf = append(s.buf, line...)
	s.refs = append(s.refs, reference{alert, seq, eventBytes(event), s.next, s.lines})
	if s.lines++; len(s.buf) < packBytes {
		return nil
	}
	return s.pack(ctx)
}

func (s *stower) pack(ctx context.Context) error {
	if s.lines == 0 {
		return nil
	}
	data, err := s.p.fold(s.buf)
	if err != nil {
		return err
	}
	if err := s.a.exec(ctx, "INSERT INTO packs (n, live, lines, data) VALUES (?,?,?,?)", s.next, s.lines, s.lines, data); err != nil {
		return err
	}
	s.next, s.lines, s.buf = s.next+1, 0, s.buf[:0]
	return nil
}

// flush writes what add took, then lets go what trim names.
func (s *stower) flush(ctx context.Context, trim []trimmed) error {
	if err := s.pack(ctx); err != nil {
		return err
	}
	slices.SortFunc(s.refs, func(x, y reference) int {
		if x.alert != y.alert {
			return int(x.alert - y.alert)
		}
		return int(x.seq - y.seq)
	})
	rows := s.a.bulk("INSERT OR REPLACE INTO evidence (alert, seq, event, pack, at) VALUES ", 5, "")
	for _, r := range s.refs {
		if err := rows.add(ctx, r.alert, r.seq, r.event, r.pack, r.at); err != nil {
			return err
		}
	}
	if err := rows.flush(ctx); err != nil {
		return err
	}
	for _, t := range trim {
		if err := s.trim(ctx, t); err != nil {
			return err
		}
	}
	return settleDead(ctx, s.a.tx, s.dead)
}

// trimmed is an alert that has more evidence than it may keep.
type trimmed struct{ alert, after, upTo int64 }

func (s *stower) trim(ctx context.Context, t trimmed) error {
	st, err := s.a.stmt(ctx, "DELETE FROM evidence WHERE alert = ? AND seq > ? AND seq <= ? RETURNING pack") //nolint:sqlclosecheck // kept for the transaction
	if err != nil {
		return err
	}
	rows, err := st.QueryContext(ctx, t.alert, t.after, t.upTo)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // Err tells
	for rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			return err
		}
		s.dead[n]++
	}
	return rows.Err()
}

// settleDead deletes the packs that no row refers to any more.
func settleDead(ctx context.Context, tx *sql.Tx, dead map[int64]int64) error {
	for n, k := range dead {
		if _, err := tx.ExecContext(ctx, "UPDATE packs SET live = live - ? WHERE n = ?", k, n); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM packs WHERE n = ? AND live <= 0", n); err != nil {
			return err
		}
	}
	return nil
}

// compact takes every line out of the packs that no alert rests on any more.
func (p *packer) compact(ctx context.Context, tx *sql.Tx) error {
	const uneven = `SELECT n, coalesce(refs, 0) FROM packs LEFT JOIN (SELECT pack, count(*) AS refs FROM evidence GROUP BY pack) ON pack = n WHERE coalesce(refs, 0) <> lines`
	alive := map[int64]map[int64]bool{}
	err := eachRow(ctx, tx, func(v []int64) error { alive[v[0]] = map[int64]bool{}; return nil }, 2, uneven)
	if err != nil || len(alive) == 0 {
		return err
	}
	err = eachRow(ctx, tx, func(v []int64) error {
		if at := alive[v[0]]; at != nil {
			at[v[1]] = true
		}
		return nil
	}, 2, "SELECT pack, at FROM evidence")
	if err != nil {
		return err
	}
	for n, at := range alive {
		if len(at) == 0 {
			_, err = tx.ExecContext(ctx, "DELETE FROM packs WHERE n = ?", n)
		} else {
			err = p.thin(ctx, tx, n, at)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// eachRow calls fn with the numbers of each row; they are fn's for the length
// of the call.
func eachRow(ctx context.Context, tx *sql.Tx, fn func([]int64) error, columns int, query string, args ...any) error {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // Err tells
	v, to := make([]int64, columns), make([]any, columns)
	for i := range v {
		to[i] = &v[i]
	}
	for rows.Next() {
		if err := rows.Scan(to...); err != nil {
			return err
		}
		if err := fn(v); err != nil {
			return err
		}
	}
	return rows.Err()
}

// thin writes a pack anew with the lines that are alive.
func (p *packer) thin(ctx context.Context, tx *sql.Tx, n int64, alive map[int64]bool) error {
	var data []byte
	if err := tx.QueryRowContext(ctx, "SELECT data FROM packs WHERE n = ?", n).Scan(&data); err != nil {
		return err
	}
	lines, err := p.unfold(data)
	if err != nil {
		return err
	}
	for i := range lines {
		if !alive[int64(i)] {
			lines[i] = nil
		}
	}
	if data, err = p.fold(bytes.Join(lines, []byte{'\n'})); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "UPDATE packs SET data = ?, lines = ?, live = ? WHERE n = ?", data, len(alive), len(alive), n)
	return err
}

var errPack = errors.New("evidence lies in a pack that does not hold it")

// evidence gives the lines that an alert rests on.
func (b *SQLite) evidence(ctx context.Context, n int64) (out [][]byte, err error) {
	var p packer
	defer p.close()
	var lines [][]byte
	last := int64(-1)
	err = b.each(ctx, "read an alert", "SELECT pack, at, data FROM evidence JOIN packs ON packs.n = pack WHERE alert = ? ORDER BY seq", []any{n}, func(r *sql.Rows) error {
		var pack, at int64
		var data []byte
		if err := r.Scan(&pack, &at, &data); err != nil {
			return err
		}
		if pack != last {
			var err error
			if lines, err = p.unfold(data); err != nil {
				return DamagedError{b.file, err}
			}
			last = pack
		}
		if at >= int64(len(lines)) {
			return DamagedError{b.file, errPack}
		}
		out = append(out, bytes.Clone(lines[at]))
		return nil
	})
	return out, err
}

// ofSession deletes the evidence that a session gave, and gives the alerts
// that it was under.
func (t *taker) ofSession(ctx context.Context, p *packer, id string) (alerts []int64) {
	if t.err != nil {
		return nil
	}
	where, err := p.find(ctx, t.tx, []byte(`"lapwing.session.id":"`+id+`"`))
	if err != nil || len(where) == 0 {
		t.err = err
		return nil
	}
	var hits [][2]int64
	t.err = eachRow(ctx, t.tx, func(v []int64) error {
		if where[v[2]][v[3]] {
			hits = append(hits, [2]int64{v[0], v[1]})
		}
		return nil
	}, 4, "SELECT alert, seq, pack, at FROM evidence")
	for _, h := range hits {
		t.evidence(ctx, "alert = ? AND seq = ?", h[0], h[1])
		if !slices.Contains(alerts, h[0]) {
			alerts = append(alerts, h[0])
		}
	}
	return alerts
}

// find gives the places of the lines that have a text in them, by pack.
func (p *packer) find(ctx context.Context, tx *sql.Tx, text []byte) (map[int64]map[int64]bool, error) {
	rows, err := tx.QueryContext(ctx, "SELECT n, data FROM packs")
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // Err tells
	out := map[int64]map[int64]bool{}
	for rows.Next() {
		var n int64
		var data []byte
		if err := rows.Scan(&n, &data); err != nil {
			return nil, err
		}
		lines, err := p.unfold(data)
		if err != nil {
			return nil, err
		}
		for i, l := range lines {
			if bytes.Contains(l, text) {
				if out[n] == nil {
					out[n] = map[int64]bool{}
				}
				out[n][int64(i)] = true
			}
		}
	}
	return out, rows.Err()
}
