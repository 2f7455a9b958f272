package access

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/lapwing-defence/lapwing/internal/durable"
	"github.com/lapwing-defence/lapwing/internal/source/line"
)

// The state of a Reader is what rules, trackers and the ledger remember, with the
// positions of the sources that belong to it. Between two of them each batch that
// was taken is noted, by the number of lines and their sum: after a restart
// sources go on at the positions of the state, and what was noted is judged
// again but not told again.

const (
	stateMagic = "LWACCESS\x01"
	maxState   = 256 << 20        // bytes of a state that is read
	saveEvery  = 10 * time.Second // and after so many notes:
	maxNotes   = 1 << 16
)

// errState is wrapped by errors about a state that cannot be read.
var errState = errors.New("damaged state")

// mark is how many lines were taken, and the sum over them.
type mark struct {
	N   uint64
	Sum uint32
}

// over is the mark after more lines.
func (m mark) over(lines []line.Line) mark {
	return mark{m.N + uint64(len(lines)), sumOf(m.Sum, lines)}
}

// sumOf goes on with a sum over lines.
func sumOf(sum uint32, lines []line.Line) uint32 {
	for i := range lines {
		sum = lineSum(sum, lines[i].Text)
	}
	return sum
}

func lineSum(sum uint32, text []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli) // the same each time, quick with the processor's help
	return crc32.Update(crc32.Update(sum, table, text), table, []byte{'\n'})
}

// replay knows which lines of a source were judged and told already.
type replay struct {
	at    mark
	marks []mark
	lost  bool // what came is not what was noted
}

// silent takes the next line and tells whether it was told before.
func (p *replay) silent(l *line.Line) bool {
	if len(p.marks) == 0 {
		return false
	}
	p.at = mark{p.at.N + 1, lineSum(p.at.Sum, l.Text)}
	if p.at.N == p.marks[0].N {
		if p.at.Sum != p.marks[0].Sum { // another file stands there: better told twice than not at all
			p.marks, p.lost = nil, true
			return false
		}
		p.marks = p.marks[1:]
	}
	return true
}

// disk is where the state lies.
type disk struct {
	file  string
	gen   uint64
	notes *os.File
	count int
	saved time.Time
	now   bool // it is to be saved at once
}

func (d *disk) notesFile(gen uint64) string { return fmt.Sprintf("%s.%d", d.file, gen) }

// note appends that a source was taken so far. It survives the end of the
// process, not that of the machine: lines are then told twice, never counted so.
func (d *disk) note(name string, m mark) error {
	if d.notes == nil {
		f, err := os.OpenFile(d.notesFile(d.gen), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return err
		}
		d.notes = f
	}
	d.count++
	_, err := fmt.Fprintf(d.notes, "%d %d %q\n", m.N, m.Sum, name)
	return err
}

// read gives the notes of the generation by source. A line that was cut off ends
// them.
func (d *disk) read() (map[string][]mark, error) {
	f, err := os.Open(d.notesFile(d.gen))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // read only
	out := map[string][]mark{}
	in := bufio.NewScanner(io.LimitReader(f, maxState))
	for in.Scan() {
		var m mark
		var name string
		if n, err := fmt.Sscanf(in.Text(), "%d %d %q", &m.N, &m.Sum, &name); err != nil || n != 3 {
			break
		}
		if have := out[name]; len(have) == 0 || have[len(have)-1].N < m.N {
			out[name] = append(have, m)
		}
		d.count++
	}
	return out, in.Err()
}

// taken notes that a batch is judged and told.
func (r *Reader) taken(s *source, b line.Batch) error {
	if b.Position != nil {
		s.position = append(s.position[:0], b.Position...)
	}
	if len(b.Lines) == 0 || r.disk == nil {
		return nil
	}
	s.taken = s.taken.over(b.Lines)
	if s.replay.lost {
		s.replay.lost, r.disk.now = false, true
	}
	if s.taken.N > s.noted {
		if err := r.disk.note(s.name, s.taken); err != nil {
			return fmt.Errorf("note how far %s is read: %w", s.name, err)
		}
		s.noted = s.taken.N
	}
	if !s.saved || r.disk.now || r.disk.count > maxNotes {
		return r.save(r.cfg.Clock.Now())
	}
	return nil
}

// saveDue saves the state when it is time.
func (r *Reader) saveDue(now time.Time) error {
	if r.disk == nil || r.disk.count == 0 || now.Sub(r.disk.saved) < saveEvery && now.After(r.disk.saved) {
		return nil
	}
	return r.save(now)
}

// Close saves the state. Take must not be called any more.
func (r *Reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.disk == nil {
		return nil
	}
	err := r.save(r.cfg.Clock.Now())
	if r.disk.notes != nil {
		err = errors.Join(err, r.disk.notes.Close())
	}
	return err
}

func (r *Reader) save(now time.Time) error {
	d := r.disk
	for _, s := range r.sources {
		if len(s.owed) > 0 { // it was judged, and its position does not say so
			return nil
		}
	}
	var buf bytes.Buffer
	if err := r.snapshot(&buf, d.gen+1); err != nil {
		return fmt.Errorf("save the state of access: %w", err)
	}
	if err := durable.WriteFile(d.file, buf.Bytes()); err != nil {
		return fmt.Errorf("save the state of access: %w", err)
	}
	old := d.notesFile(d.gen)
	if d.notes != nil {
		d.notes.Close() //nolint:errcheck // nothing in it counts any more
		d.notes = nil
	}
	d.gen, d.count, d.saved, d.now = d.gen+1, 0, now, false
	for _, s := range r.sources {
		s.saved = true
		if len(s.replay.marks) == 0 {
			s.taken, s.noted = mark{}, 0
		}
	}
	if err := os.Remove(old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("save the state of access: %w", err)
	}
	return nil
}

// restore reads the state of the last time.
func (r *Reader) restore() error {
	if err := os.MkdirAll(r.cfg.State, 0o700); err != nil {
		return err
	}
	data, err := os.ReadFile(r.disk.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := r.load(data); err != nil {
		r.log.Error("what rules about logs remembered cannot be read and is begun anew", "file", r.disk.file, "error", err)
		r.sources = map[string]*source{}
		return nil
	}
	notes, err := r.disk.read()
	if err != nil {
		return err
	}
	for name, marks := range notes {
		s := r.source(name)
		if s.position == nil { // it cannot offer again what was taken
			r.disk.now = true
			continue
		}
		for _, m := range marks {
			if m.N > s.noted {
				s.replay.marks, s.noted = append(s.replay.marks, m), m.N
			}
		}
	}
	return nil
}

// kept is the part of a state that is the Reader's own.
type keptState struct {
	Generation uint64                `json:"generation"`
	Sources    map[string]keptSource `json:"sources"`
	Cells      []keptCell            `json:"cells"`
	Salt       uint64                `json:"salt"`
	Ref        uint64                `json:"ref"`
	Trackers   int                   `json:"trackers"`
}

type keptSource struct {
	Position []byte `json:"position,omitempty"`
	Sniffed  string `json:"sniffed,omitempty"`
	Taken    mark   `json:"taken"`
	Marks    []mark `json:"marks,omitempty"` // not reached again since the last start
}

type keptCell struct {
	Hash                  uint64
	Hour                  int64
	Seen, Kept            uint32
	Flagged, Success      bool
	First, Last           int64
	Net, User, Host, From string
}

// Snapshot writes the state.
func (r *Reader) Snapshot(w io.Writer) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.snapshot(w, 0)
}

func (r *Reader) snapshot(w io.Writer, gen uint64) error {
	own := keptState{Generation: gen, Sources: map[string]keptSource{}, Salt: r.ledger.salt, Ref: r.waiting.ref, Trackers: len(r.trackers)}
	for name, s := range r.sources {
		k := keptSource{Position: s.position, Sniffed: s.sniffed}
		if len(s.replay.marks) > 0 {
			k.Taken, k.Marks = s.taken, s.replay.marks
		}
		own.Sources[name] = k
	}
	for i := range r.ledger.cells {
		if c := &r.ledger.cells[i]; c.seen > 0 {
			own.Cells = append(own.Cells, keptCell{c.hash, c.hour, c.seen, c.kept, c.flagged, c.success, c.first, c.last, c.net, c.user, c.host, c.from})
		}
	}
	text, err := json.Marshal(own)
	if err != nil {
		return err
	}
	parts := [][]byte{text}
	var buf bytes.Buffer
	if err := r.engine.Snapshot(&buf); err != nil {
		return err
	}
	parts = append(parts, slices.Clone(buf.Bytes()))
	for _, t := range r.trackers {
		buf.Reset()
		if err := t.Snapshot(&buf); err != nil {
			return err
		}
		parts = append(parts, slices.Clone(buf.Bytes()))
	}
	out := []byte(stateMagic)
	for _, p := range parts {
		out = append(binary.AppendUvarint(out, uint64(len(p))), p...)
	}
	out = binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(out))
	_, err = w.Write(out)
	return err
}

// Restore reads what Snapshot wrote, in place of what is remembered. After an
// error nothing is remembered of it but what trackers have taken.
func (r *Reader) Restore(in io.Reader) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var buf bytes.Buffer
	if _, err := buf.ReadFrom(io.LimitReader(in, maxState)); err != nil {
		return err
	}
	return r.load(buf.Bytes())
}

func (r *Reader) load(data []byte) error {
	parts, err := partsOf(data)
	if err != nil {
		return err
	}
	var own keptState
	if err := json.Unmarshal(parts[0], &own); err != nil {
		return fmt.Errorf("%w: %w", errState, err)
	}
	dropped, err := r.engine.Restore(bytes.NewReader(parts[1]))
	if err != nil {
		return err
	}
	if dropped > 0 {
		r.log.Info("rules about logs have changed: what they had counted begins anew", "groups", dropped)
	}
	if own.Trackers == len(r.trackers) && len(parts) == 2+own.Trackers {
		for i, t := range r.trackers {
			if err := t.Restore(bytes.NewReader(parts[2+i])); err != nil {
				r.log.Error("what a tracker remembered cannot be read and is begun anew", "error", err)
			}
		}
	}
	if r.disk != nil {
		r.disk.gen = own.Generation
	}
	r.ledger.salt, r.waiting.ref = own.Salt, own.Ref
	for name, k := range own.Sources {
		s := r.source(name)
		s.position, s.sniffed, s.saved, s.taken = k.Position, k.Sniffed, true, k.Taken
		s.replay = replay{at: k.Taken, marks: k.Marks}
		if n := len(k.Marks); n > 0 {
			s.noted = k.Marks[n-1].N
		}
	}
	for _, k := range own.Cells {
		c, fresh, _ := r.ledger.find(k.Hash, k.Hour)
		if fresh && k.Seen > 0 {
			*c = cell{k.Hash, k.Hour, k.Seen, k.Kept, k.Flagged, k.Success, k.First, k.Last, k.Net, k.User, k.Host, k.From}
		}
	}
	return nil
}

// partsOf splits a state.
func partsOf(data []byte) ([][]byte, error) {
	if len(data) < len(stateMagic)+4 || string(data[:len(stateMagic)]) != stateMagic {
		return nil, fmt.Errorf("%w: it does not begin as one", errState)
	}
	body := data[:len(data)-4]
	if crc32.ChecksumIEEE(body) != binary.LittleEndian.Uint32(data[len(body):]) {
		return nil, fmt.Errorf("%w: its checksum is wrong", errState)
	}
	var parts [][]byte
	for b := body[len(stateMagic):]; len(b) > 0; {
		n, used := binary.Uvarint(b)
		if used <= 0 || n > uint64(len(b)-used) {
			return nil, fmt.Errorf("%w: a part of it is cut off", errState)
		}
		parts = append(parts, b[used:used+int(n)])
		b = b[used+int(n):]
	}
	if len(parts) < 2 {
		return nil, fmt.Errorf("%w: parts are missing", errState)
	}
	return parts, nil
}
