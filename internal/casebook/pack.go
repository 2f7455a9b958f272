package casebook

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
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

// expand appends what was folded to dst, or what was not as it is.
func (p *packer) expand(data, dst []byte) ([]byte, error) {
	if !bytes.HasPrefix(data, []byte(packMagic)) {
		return append(dst, data...), nil
	}
	if p.dec == nil {
		var err error
		p.dec, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(packMemory), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, fmt.Errorf("unpack: %w", err)
		}
	}
	out, err := p.dec.DecodeAll(data, dst)
	if err != nil {
		return nil, fmt.Errorf("unpack: %w: %w", errChunk, err)
	}
	return out, nil
}

// unfold gives the lines of a pack, the empty ones, too.
func (p *packer) unfold(data []byte) ([][]byte, error) {
	if !bytes.HasPrefix(data, []byte(packMagic)) {
		return bytes.Split(data, []byte{'\n'}), nil
	}
	lines, err := p.expand(data, nil)
	if err != nil {
		return nil, err
	}
	return bytes.Split(lines, []byte{'\n'}), nil
}

func (p *packer) close() {
	if p.dec != nil {
		p.dec.Close()
	}
}

// stower puts lines of evidence into packs of one transaction. Those that an
// alert keeps for good and those that newer ones will take the place of go into
// different packs, so that the latter go whole.
type stower struct {
	a    *applier
	p    *packer
	next int64 // number of the next pack, 0: not asked for yet
	open [2]openPack
	dead map[int64]int64 // lines that went, by pack
}

type openPack struct {
	n     int64 // 0: none yet
	buf   []byte
	lines int64
}

// add takes a line and says where it lies; it is written by flush at the latest.
func (s *stower) add(ctx context.Context, seq int64, event, line string) (reference, error) {
	if s.next == 0 {
		if err := s.a.tx.QueryRowContext(ctx, "SELECT coalesce(max(n), 0) + 1 FROM packs").Scan(&s.next); err != nil {
			return reference{}, err
		}
	}
	o := &s.open[0]
	if seq > halfEvents {
		o = &s.open[1]
	}
	if o.n == 0 {
		o.n, s.next = s.next, s.next+1
	}
	if o.lines > 0 {
		o.buf = append(o.buf, '\n')
	}
	o.buf = appendShort(o.buf, line, event)
	r := reference{seq: seq, event: idOf(event), pack: o.n, at: o.lines}
	if o.lines++; len(o.buf) < packBytes {
		return r, nil
	}
	return r, s.pack(ctx, o)
}

func (s *stower) pack(ctx context.Context, o *openPack) error {
	if o.lines == 0 {
		return nil
	}
	data, err := s.p.fold(o.buf)
	if err != nil {
		return err
	}
	if err := s.a.exec(ctx, "INSERT INTO packs (n, data) VALUES (?,?)", o.n, data); err != nil {
		return err
	}
	if err := s.a.exec(ctx, "INSERT INTO lives (pack, live, lines) VALUES (?,?,?)", o.n, o.lines, o.lines); err != nil {
		return err
	}
	*o = openPack{buf: o.buf[:0]}
	return nil
}

// flush writes what add took, and lets packs go that nothing refers to.
func (s *stower) flush(ctx context.Context) error {
	for i := range s.open {
		if err := s.pack(ctx, &s.open[i]); err != nil {
			return err
		}
	}
	return settleDead(ctx, s.a.tx, s.dead)
}

// The id of an event stands in the reference; in the pack its line is without.
const (
	lineTime = `{"@timestamp":"`
	lineID   = `"event.id":"`
)

// appendShort appends a line without the id that follows its time. What does
// not begin so stays as it is.
func appendShort(dst []byte, line, id string) []byte {
	at := idPlace(line)
	if at > 0 && len(line) > at+len(lineID)+len(id)+2 {
		rest := line[at:]
		if rest[:len(lineID)] == lineID && rest[len(lineID):][:len(id)] == id && rest[len(lineID)+len(id):][:2] == `",` {
			return append(append(dst, line[:at]...), rest[len(lineID)+len(id)+2:]...)
		}
	}
	return append(dst, line...)
}

// whole is the inverse of appendShort.
func whole(line []byte, id string) []byte {
	at := idPlace(string(line[:min(len(line), 64)])) // a time is shorter
	if at < 0 || id == "" || bytes.HasPrefix(line[at:], []byte(lineID)) {
		return bytes.Clone(line)
	}
	out := append(make([]byte, 0, len(line)+len(lineID)+len(id)+2), line[:at]...)
	out = append(append(append(out, lineID...), id...), `",`...)
	return append(out, line[at:]...)
}

// idPlace is where the id belongs: after the time that a line begins with; -1
// where it does not.
func idPlace(line string) int {
	if !strings.HasPrefix(line, lineTime) {
		return -1
	}
	end := strings.IndexByte(line[len(lineTime):min(len(line), 64)], '"')
	if at := len(lineTime) + end + 2; end >= 0 && at < min(len(line), 64) && line[at-1] == ',' {
		return at
	}
	return -1
}

// settleDead deletes the packs that no row refers to any more.
func settleDead(ctx context.Context, tx *sql.Tx, dead map[int64]int64) error {
	for n, k := range dead {
		var live int64
		err := tx.QueryRowContext(ctx, "UPDATE lives SET live = live - ? WHERE pack = ? RETURNING live", k, n).Scan(&live)
		if errors.Is(err, sql.ErrNoRows) || err == nil && live > 0 {
			continue
		}
		if err == nil {
			err = dropPack(ctx, tx, n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func dropPack(ctx context.Context, tx *sql.Tx, n int64) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM packs WHERE n = ?", n); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, "DELETE FROM lives WHERE pack = ?", n)
	return err
}

// compact takes every line out of the packs that no alert rests on any more.
// each calls fn with each reference.
func (p *packer) compact(ctx context.Context, tx *sql.Tx, each func(fn func(reference)) error) error {
	refs := map[int64]int64{}
	if err := each(func(r reference) { refs[r.pack]++ }); err != nil {
		return err
	}
	alive := map[int64]map[int64]bool{}
	err := eachRow(ctx, tx, func(v []int64) error {
		if refs[v[0]] != v[1] {
			alive[v[0]] = map[int64]bool{}
		}
		return nil
	}, 2, "SELECT pack, lines FROM lives")
	if err != nil || len(alive) == 0 {
		return err
	}
	if err := each(func(r reference) {
		if at := alive[r.pack]; at != nil {
			at[r.at] = true
		}
	}); err != nil {
		return err
	}
	for n, at := range alive {
		if len(at) == 0 {
			err = dropPack(ctx, tx, n)
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
	if _, err = tx.ExecContext(ctx, "UPDATE packs SET data = ? WHERE n = ?", data, n); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "UPDATE lives SET lines = ?, live = ? WHERE pack = ?", len(alive), len(alive), n)
	return err
}

var errPack = errors.New("evidence lies in a pack that does not hold it")

// evidence gives the lines that references lead to.
func (b *SQLite) evidence(ctx context.Context, refs []reference) (out [][]byte, err error) {
	var p packer
	defer p.close()
	packs := map[int64][][]byte{}
	for _, r := range refs {
		lines, ok := packs[r.pack]
		if !ok {
			var data []byte
			if err = b.r.QueryRowContext(ctx, "SELECT data FROM packs WHERE n = ?", r.pack).Scan(&data); errors.Is(err, sql.ErrNoRows) {
				continue // let go of after the alert was read
			}
			if err != nil {
				return nil, b.wrap("read an alert", err)
			}
			if lines, err = p.unfold(data); err != nil {
				return nil, b.wrap("read an alert", DamagedError{b.file, err})
			}
			packs[r.pack] = lines
		}
		if r.at >= int64(len(lines)) {
			return nil, b.wrap("read an alert", DamagedError{b.file, errPack})
		}
		out = append(out, whole(lines[r.at], r.event.String()))
	}
	return out, nil
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
