// Package evtx reads the Windows event log format (.evtx): chunks of 64 KiB,
// each with the templates of its records in binary XML, as described in
// [MS-EVEN6] 2.2.12 to 2.2.18. A template is compiled once in its chunk; the
// values of a record go straight into the fields of a sigma.Record, with no
// XML text in between. docs/formats/evtx.md draws the bytes and lists how
// names and values come out.
//
// Input is a stranger's: each offset is checked, nesting and expansion are
// bounded, a damaged record or chunk is skipped and counted and the next one
// is read.
package evtx

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// Sizes of the file, in bytes.
const (
	HeaderSize = 4096  // before the first chunk
	ChunkSize  = 65536 // of each chunk, the last one may be cut off

	chunkHead  = 512 // before the first record of a chunk
	recordHead = 24
)

// The signatures that files, chunks and records begin with.
const (
	FileMagic   = "ElfFile\x00"
	ChunkMagic  = "ElfChnk\x00"
	recordMagic = "**\x00\x00"
)

// Errors of damaged input; they are counted, and the first is kept in Stats.
var (
	ErrChunk  = errors.New("not a chunk: it does not begin with ElfChnk")
	errRecord = errors.New("damaged record")
	errDeep   = errors.New("record nested or expanded beyond the limits")
)

// Stats counts what a Decoder met.
type Stats struct {
	Records int // given to the caller
	Damaged int // records skipped
	Chunks  int // chunks skipped
	Carved  int // of Records: found in slack or in damaged chunks
}

// Head is what a record says about itself beside its fields. The bytes are
// good until the next record.
type Head struct {
	// ID is System/EventRecordID, or the number in the record's own header where
	// that is absent.
	ID uint64
	// Time is System/TimeCreated, or when the record was written where that is
	// absent, in nanoseconds since 1970 UTC.
	Time int64
	// Channel, Provider and EventID are those of System, even where EventData has
	// a field of the same name.
	Channel, Provider, EventID []byte
	// Carved is set for records from slack space or a damaged chunk.
	Carved bool
}

// Decoder decodes chunks. It serves one goroutine.
type Decoder struct {
	// Carve also looks for records behind a destroyed record, in the slack behind
	// the last record of a chunk and in chunks whose header is damaged.
	Carve bool
	// Stats counts since NewDecoder.
	Stats Stats

	fields  *sigma.Fields
	dataID  sigma.FieldID
	fieldsN int
	chunk   []byte
	rec     *sigma.Record
	head    Head
	unnamed []byte
	arena   []byte // values of the record
	lits    []byte // names and literal text of the chunk
	names   map[uint32][]byte
	progs   map[progKey]*program
	pool    []*program
	used    int
	raw     [maxDepth + 1]program
	subs    []sub
	budget  int // operations left for this record
}

type progKey struct {
	off uint32
	ctx context
}

// NewDecoder makes a Decoder that resolves field names in f.
func NewDecoder(f *sigma.Fields) *Decoder {
	return &Decoder{fields: f, names: map[uint32][]byte{}, progs: map[progKey]*program{}}
}

// Chunk decodes one chunk into rec, again and again, and calls fn for each
// record; fn returning an error ends it with that error. rec.Source is the
// caller's to set. Every other fault is counted in Stats.
func (d *Decoder) Chunk(chunk []byte, rec *sigma.Record, fn func(*Head) error) error {
	d.begin(chunk, rec)
	if len(chunk) < chunkHead || string(chunk[:8]) != ChunkMagic {
		d.Stats.Chunks++
		if d.Carve {
			return d.carve(0, len(chunk), fn)
		}
		return nil
	}
	end := int(binary.LittleEndian.Uint32(chunk[48:]))
	if end < chunkHead || end > len(chunk) {
		end = len(chunk)
	}
	pos := chunkHead
	for pos+recordHead+4 <= end {
		size := d.sizeAt(pos, end)
		if size == 0 {
			if allZero(chunk[pos:end]) {
				break
			}
			d.Stats.Damaged++ // where the next one begins is unknown
			break
		}
		if err := d.record(pos, size, fn); err != nil {
			return err
		}
		pos += size
	}
	if d.Carve && pos < len(chunk) {
		return d.carve(pos, len(chunk), fn)
	}
	return nil
}

func (d *Decoder) begin(chunk []byte, rec *sigma.Record) {
	if n := d.fields.Len(); n != d.fieldsN || d.fieldsN == 0 {
		d.fieldsN, d.dataID = n, d.fields.ID("Data")
	}
	d.chunk, d.rec = chunk, rec
	d.lits = d.lits[:0]
	clear(d.names)
	clear(d.progs)
	d.used = 0
}

// sizeAt is the size of the record at pos, 0 when there is none.
func (d *Decoder) sizeAt(pos, end int) int {
	if pos+recordHead+4 > end || string(d.chunk[pos:pos+4]) != recordMagic {
		return 0
	}
	size := int(binary.LittleEndian.Uint32(d.chunk[pos+4:]))
	if size < recordHead+4 || size > end-pos {
		return 0
	}
	return size
}

// resync finds the next record whose two sizes agree, -1 when there is none.
func (d *Decoder) resync(pos, end int) int {
	for pos < end {
		i := bytes.Index(d.chunk[pos:end], []byte(recordMagic))
		if i < 0 {
			return -1
		}
		pos += i
		if size := d.sizeAt(pos, end); size > 0 && int(binary.LittleEndian.Uint32(d.chunk[pos+size-4:])) == size {
			return pos
		}
		pos++
	}
	return -1
}

func (d *Decoder) carve(pos, end int, fn func(*Head) error) error {
	for {
		pos = d.resync(pos, end)
		if pos < 0 {
			return nil
		}
		size := d.sizeAt(pos, end)
		before := d.Stats
		d.head.Carved = true
		err := d.record(pos, size, fn)
		d.head.Carved = false
		if d.Stats.Records > before.Records {
			d.Stats.Carved++
		}
		d.Stats.Damaged = before.Damaged // slack promises nothing
		if err != nil {
			return err
		}
		pos += size
	}
}

// record decodes the record at pos and hands it on.
func (d *Decoder) record(pos, size int, fn func(*Head) error) error {
	carved := d.head.Carved
	d.head = Head{
		ID:     binary.LittleEndian.Uint64(d.chunk[pos+8:]),
		Time:   fileTime(binary.LittleEndian.Uint64(d.chunk[pos+16:])),
		Carved: carved,
	}
	d.rec.Reset()
	d.arena, d.unnamed, d.subs, d.budget = d.arena[:0], d.unnamed[:0], d.subs[:0], maxOps
	c := cursor{b: d.chunk[:pos+size-4], p: pos + recordHead}
	if err := d.fragment(&c, ctxRoot, 0); err != nil {
		d.Stats.Damaged++
		return nil //nolint:nilerr // counted; the next record is read
	}
	if len(d.unnamed) > 0 {
		d.rec.SetID(d.dataID, dataName(), sigma.Bytes(d.unnamed))
	}
	d.rec.Time = d.head.Time
	d.Stats.Records++
	return fn(&d.head)
}

func allZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}
