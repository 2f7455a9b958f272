package evtx

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/sharedtest"
	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// builder writes a chunk as Windows does, as far as the tests need it.
type builder struct{ b []byte }

func newChunk() *builder {
	b := make([]byte, chunkHead)
	copy(b, ChunkMagic)
	return &builder{b}
}

func (w *builder) u16(n int)    { w.b = binary.LittleEndian.AppendUint16(w.b, uint16(n)) }
func (w *builder) u32(n int)    { w.b = binary.LittleEndian.AppendUint32(w.b, uint32(n)) }
func (w *builder) u64(n uint64) { w.b = binary.LittleEndian.AppendUint64(w.b, n) }
func (w *builder) add(x ...byte) {
	w.b = append(w.b, x...)
}

func (w *builder) text(s string) {
	for _, x := range utf16.Encode([]rune(s)) {
		w.u16(int(x))
	}
}

// name writes a name in place.
func (w *builder) name(s string) {
	w.u32(len(w.b) + 4)
	w.u32(0)
	w.u16(0)
	w.u16(len(utf16.Encode([]rune(s))))
	w.text(s)
	w.u16(0)
}

func (w *builder) open(name string, dep bool, attrs ...any) {
	tok := byte(tokOpen)
	if len(attrs) > 0 {
		tok |= tokMore
	}
	w.add(tok)
	if dep {
		w.u16(0xffff)
	}
	w.u32(0)
	w.name(name)
	if len(attrs) > 0 {
		w.u32(0)
	}
	for i := 0; i+1 < len(attrs); i += 2 {
		w.add(tokAttr)
		w.name(attrs[i].(string))
		w.val(attrs[i+1])
	}
	w.add(tokCloseStart)
}

// val writes a literal text, or a substitution given as its number.
func (w *builder) val(v any) {
	switch v := v.(type) {
	case string:
		w.add(tokValue, typString)
		w.u16(len(utf16.Encode([]rune(v))))
		w.text(v)
	case int:
		w.add(tokOptSub)
		w.u16(v)
		w.add(0)
	}
}

func (w *builder) elem(name string, dep bool, v any, attrs ...any) {
	w.open(name, dep, attrs...)
	w.val(v)
	w.add(tokEnd)
}

// record frames what body writes.
func (w *builder) record(id uint64, body func()) {
	at := len(w.b)
	w.b = append(w.b, recordMagic...)
	w.u32(0)
	w.u64(id)
	w.u64(132000000000000000)
	w.add(tokHeader, 1, 1, 0)
	body()
	w.add(tokEOF)
	size := len(w.b) - at + 4
	w.u32(size)
	binary.LittleEndian.PutUint32(w.b[at+4:], uint32(size))
}

func (w *builder) done() []byte {
	binary.LittleEndian.PutUint32(w.b[48:], uint32(len(w.b)))
	return w.b
}

type subst struct {
	typ  byte
	data []byte
}

// instance writes a template in place and its values.
func (w *builder) instance(body func(), subs ...subst) {
	w.add(tokTemplate, 1)
	w.u32(7)
	w.u32(len(w.b) + 4)
	w.u32(0)
	w.b = append(w.b, make([]byte, 16)...)
	at := len(w.b)
	w.u32(0)
	w.add(tokHeader, 1, 1, 0)
	body()
	w.add(tokEOF)
	binary.LittleEndian.PutUint32(w.b[at:], uint32(len(w.b)-at-4))
	w.u32(len(subs))
	for _, s := range subs {
		w.u16(len(s.data))
		w.add(s.typ, 0)
	}
	for _, s := range subs {
		w.b = append(w.b, s.data...)
	}
}

func u16s(s string) []byte {
	w := builder{}
	w.text(s)
	return w.b
}

func decodeAll(t *testing.T, d *Decoder, chunk []byte) []map[string]string {
	t.Helper()
	var out []map[string]string
	err := d.Chunk(chunk, sigma.NewRecord(d.fields), func(h *Head) error {
		m := map[string]string{"_id": strconv.FormatUint(h.ID, 10), "_channel": string(h.Channel)}
		for n, v := range d.rec.All() {
			m[n] = string(v.Text)
		}
		out = append(out, m)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTemplate(t *testing.T) {
	w := newChunk()
	w.record(9, func() {
		w.instance(func() {
			w.open("Event", true, "xmlns", "http://schemas")
			w.open("System", true)
			w.open("Provider", true, "Name", "Prov & Co", "Guid", 0)
			w.add(tokEnd)
			w.elem("EventID", true, 1)
			w.elem("Channel", true, "Security")
			w.elem("Security", true, 9, "UserID", 5)
			w.add(tokEnd)
			w.open("EventData", true)
			w.elem("Data", true, 2, "Name", "Source Name")
			w.elem("Data", true, 3, "Name", "Empty")
			w.elem("Data", true, 4, "Name", "Gone")
			w.elem("Data", true, 6)
			w.elem("Data", true, "last")
			w.elem("Data", true, 7, "Name", "Channel")
			w.add(tokEnd, tokEnd)
		}, subst{typGUID, []byte("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10")},
			subst{typUint16, []byte{0x50, 0x12}}, subst{typHex64, []byte{0xe7, 3, 0, 0, 0, 0, 0, 0}}, subst{typString, nil},
			subst{typNull, nil}, subst{typSID, []byte{1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0}},
			subst{typString | typArray, u16s("a\x00b \\\x00")}, subst{typString, u16s("Ünïcode\U0001F600\x00")})
	})
	d := NewDecoder(sigma.NewFields())
	got := decodeAll(t, d, w.done())
	want := []map[string]string{{
		"_id": "9", "_channel": "Security", "Provider_Name": "Prov & Co", "Provider_Guid": "{04030201-0605-0807-090A-0B0C0D0E0F10}",
		"EventID": "4688", "Security_UserID": "S-1-5-32-544", "SourceName": "0x3e7", "Empty": "", "Data": "a\nb \\\nlast", "Channel": "Ünïcode\U0001F600",
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A forwarded record: elements in place of a template instance.
func TestForwarded(t *testing.T) {
	w := newChunk()
	w.record(3, func() {
		w.open("Event", false)
		w.open("System", false)
		w.elem("EventID", false, "4624")
		w.elem("EventRecordID", false, "77")
		w.open("TimeCreated", false, "SystemTime", "2024-01-02T03:04:05.5Z")
		w.add(tokEnd)
		w.elem("Channel", false, "Security")
		w.add(tokEnd)
		w.open("UserData", false)
		w.open("Thing", false)
		w.elem("SubjectUserName", false, "eve")
		w.add(tokEnd, tokEnd, tokEnd)
	})
	d := NewDecoder(sigma.NewFields())
	got := decodeAll(t, d, w.done())
	want := []map[string]string{{
		"_id": "77", "_channel": "Security", "EventID": "4624", "EventRecordID": "77", "Channel": "Security",
		"TimeCreated_SystemTime": "2024-01-02T03:04:05.5Z", "SubjectUserName": "eve",
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if want := time.Date(2024, 1, 2, 3, 4, 5, 5e8, time.UTC).UnixNano(); d.rec.Time != want {
		t.Errorf("time %d, want %d", d.rec.Time, want)
	}
}

func TestDamage(t *testing.T) {
	w := newChunk()
	good := func() {
		w.open("Event", false)
		w.elem("X", false, "v")
		w.add(tokEnd)
	}
	w.record(1, good)
	broken := len(w.b)
	w.record(2, func() { w.add(0x55) })
	w.record(3, good)
	torn := len(w.b)
	w.record(4, good)
	w.record(5, good)
	chunk := w.done()
	ids := func(d *Decoder, c []byte) string {
		s := ""
		var sSb248 strings.Builder
		for _, m := range decodeAll(t, d, c) {
			sSb248.WriteString(m["_id"])
		}
		s += sSb248.String()
		return s
	}
	d := NewDecoder(sigma.NewFields())
	if got := ids(d, chunk); got != "1345" || d.Stats.Damaged != 1 {
		t.Errorf("a broken body at %d: %s %+v", broken, got, d.Stats)
	}
	chunk[torn] = 'x'
	if got := ids(NewDecoder(sigma.NewFields()), chunk); got != "13" {
		t.Errorf("a torn header: %s", got)
	}
	d = NewDecoder(sigma.NewFields())
	d.Carve = true
	if got := ids(d, chunk); got != "135" || d.Stats.Carved != 1 {
		t.Errorf("a torn header, carving: %s %+v", got, d.Stats)
	}
	chunk[0] = 'x'
	d = NewDecoder(sigma.NewFields())
	if got := ids(d, chunk); got != "" || d.Stats.Chunks != 1 {
		t.Errorf("no chunk: %s %+v", got, d.Stats)
	}
}

// TestMutations decodes many damaged copies of a chunk, on every run.
func TestMutations(t *testing.T) {
	w := newChunk()
	w.record(1, func() {
		w.instance(func() { w.open("Event", true); w.elem("A", true, 0); w.add(tokEnd) }, subst{typString, u16s("x")})
	})
	w.record(2, func() { w.open("Event", false); w.elem("B", false, "y"); w.add(tokEnd) })
	chunk := w.done()
	rng := rand.New(rand.NewPCG(1, 2))
	whole := 0
	for range 5000 {
		c := append([]byte(nil), chunk...)
		for range 1 + rng.IntN(3) {
			c[chunkHead+rng.IntN(len(c)-chunkHead)] = byte(rng.Uint32())
		}
		d := NewDecoder(sigma.NewFields())
		if len(decodeAll(t, d, c)) == 2 {
			whole++
		}
	}
	if whole == 0 || whole == 5000 {
		t.Errorf("%d of 5000 copies gave both records", whole)
	}
}

// FuzzChunk holds that damage never spreads: a chunk ends, records plus damage
// are no more than fit in it, and a second decoding gives the same.
func FuzzChunk(f *testing.F) {
	w := newChunk()
	w.record(1, func() {
		w.instance(func() { w.open("Event", true); w.elem("A", true, 0); w.add(tokEnd) }, subst{typString, u16s("x")})
	})
	w.record(2, func() { w.open("Event", false); w.elem("B", false, "y"); w.add(tokEnd) })
	f.Add(w.done())
	f.Fuzz(func(t *testing.T, chunk []byte) {
		if len(chunk) > ChunkSize {
			chunk = chunk[:ChunkSize]
		}
		d := NewDecoder(sigma.NewFields())
		d.Carve = true
		first := decodeAll(t, d, chunk)
		if most := len(chunk)/(recordHead+4) + 1; d.Stats.Records > most {
			t.Errorf("%d records in %d bytes", d.Stats.Records, len(chunk))
		}
		if diff := cmp.Diff(first, decodeAll(t, d, chunk)); diff != "" {
			t.Error(diff)
		}
	})
}

func BenchmarkChunk(b *testing.B) {
	dir := filepath.Join(sharedtest.Dir(b), "sigma/data")
	var chunks [][]byte
	err := filepath.Walk(filepath.Join(dir, "evtx-to-mitre"), func(p string, i os.FileInfo, err error) error {
		if err != nil || i.IsDir() {
			return err
		}
		data, err := os.ReadFile(p)
		for pos := HeaderSize; pos < len(data); pos += ChunkSize {
			chunks = append(chunks, data[pos:min(pos+ChunkSize, len(data))])
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	d := NewDecoder(sigma.NewFields())
	rec := sigma.NewRecord(d.fields)
	for b.Loop() {
		for _, c := range chunks {
			d.Chunk(c, rec, func(*Head) error { return nil })
		}
	}
	b.ReportMetric(float64(d.Stats.Records)/b.Elapsed().Seconds(), "records/s")
	b.ReportAllocs()
}

func TestAppend0x(t *testing.T) {
	for _, x := range []uint64{0, 1, 0xf, 0x10, 0xabc, 0x3e7, 1<<32 - 1, 1<<63 + 0x1f, 1<<64 - 1} {
		if got, want := string(append0x([]byte("-"), x)), "-0x"+strconv.FormatUint(x, 16); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
