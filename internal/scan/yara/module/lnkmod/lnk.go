// Package lnkmod is the lnk module, as YARA-X has it: what Windows shortcuts
// say of themselves. The format is [MS-SHLLINK]; the items of the target list
// are as the libfwsi documentation describes them.
package lnkmod

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"unicode/utf16"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/module"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/view"
)

// Limits on what is read of a file.
const (
	maxSize   = 1 << 20 // of all of it but what is behind it
	maxItems  = 1024
	maxBlocks = 1024
)

// The flags in the header that tell which parts follow.
const (
	hasTargets   = 1 << 0
	hasInfo      = 1 << 1
	hasName      = 1 << 2
	hasRelative  = 1 << 3
	hasDirectory = 1 << 4
	hasArguments = 1 << 5
	hasIcon      = 1 << 6
	isUnicode    = 1 << 7
)

const (
	headerSize   = 0x4C
	trackerBlock = 0xA0000003
	// epoch is 1970 in FILETIME seconds.
	epoch = 11644473600
)

// clsid stands behind the size of the header.
const clsid = "\x01\x14\x02\x00\x00\x00\x00\x00\xc0\x00\x00\x00\x00\x00\x00\x46"

// reader reads a shortcut from its beginning to its end; once something does
// not fit, nothing that follows is read.
type reader struct {
	b  []byte
	at int
	ok bool
}

// take gives the next n bytes, or nil.
func (r *reader) take(n int) []byte {
	if !r.ok || n < 0 || n > len(r.b)-r.at {
		r.ok = false
		return nil
	}
	r.at += n
	return r.b[r.at-n : r.at]
}

func (r *reader) u16() int {
	if b := r.take(2); b != nil {
		return int(binary.LittleEndian.Uint16(b))
	}
	return 0
}

func (r *reader) u32() int64 {
	if b := r.take(4); b != nil {
		return int64(binary.LittleEndian.Uint32(b))
	}
	return 0
}

func u32(b []byte, at int) int64 { return int64(binary.LittleEndian.Uint32(b[at:])) }

// narrow is a text of bytes up to a zero.
func narrow(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(bytes.ToValidUTF8(b, []byte("\uFFFD")))
}

// wide is a text of UTF-16 up to a zero.
func wide(b []byte) string {
	var units []uint16
	for ; len(b) >= 2; b = b[2:] {
		u := binary.LittleEndian.Uint16(b)
		if u == 0 {
			break
		}
		units = append(units, u)
	}
	return string(utf16.Decode(units))
}

// guid writes 16 bytes as Windows does.
func guid(b []byte) string {
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint16(b[4:]), binary.LittleEndian.Uint16(b[6:]), b[8:10], b[10:16])
}

// parse fills the fields from the file; what is not there stays undefined. It
// tells whether the file is a shortcut.
func parse(v *view.View, m module.Fields) bool {
	head := v.Full(0, headerSize)
	if head == nil || u32(head, 0) != headerSize || string(head[4:20]) != clsid {
		return false
	}
	r := &reader{b: append([]byte(nil), v.Bytes(0, maxSize)...), at: headerSize, ok: true}
	flags := u32(r.b, 20)
	m["file_attributes"], m["file_size"] = module.Of(u32(r.b, 24)), module.Of(u32(r.b, 52))
	m["icon_index"], m["show_command"] = module.Of(u32(r.b, 56)), module.Of(u32(r.b, 60))
	for i, n := range []string{"creation_time", "access_time", "write_time"} {
		if s := binary.LittleEndian.Uint64(r.b[28+8*i:]) / 10_000_000; s >= epoch {
			m[n] = module.Of(s - epoch)
		}
	}
	if flags&hasTargets != 0 {
		r.targets(m)
	}
	if flags&hasInfo != 0 {
		r.info(m)
	}
	for i, n := range []string{"name", "relative_path", "working_dir", "cmd_line_args", "icon_location"} {
		if flags&(hasName<<i) != 0 {
			r.text(m, n, flags&isUnicode != 0)
		}
	}
	r.extra(m)
	if r.ok {
		size := v.Size() - int64(r.at)
		if m["overlay_size"] = module.Of(size); size > 0 {
			m["overlay_offset"] = module.Of(r.at)
		}
	}
	return true
}

// text reads a string behind its length in characters.
func (r *reader) text(m module.Fields, name string, unicode bool) {
	n := r.u16()
	if unicode {
		n *= 2
	}
	b := r.take(n)
	switch {
	case !r.ok:
	case unicode:
		m[name] = module.Str(wide(b))
	default:
		m[name] = module.Str(string(bytes.ToValidUTF8(b, []byte("\uFFFD"))))
	}
}

// info reads where the target was, on which volume.
func (r *reader) info(m module.Fields) {
	start := r.at
	size := int(r.u32())
	r.at = start
	b := r.take(size)
	if len(b) < 28 {
		r.ok = false
		return
	}
	var wideBase, wideSuffix int64
	if u32(b, 4) >= 0x24 && len(b) >= 36 {
		wideBase, wideSuffix = u32(b, 28), u32(b, 32)
	}
	flags := u32(b, 8)
	if flags&1 != 0 {
		volume(m, from(b, u32(b, 12)))
		place(m, "local_base_path", b, u32(b, 16), wideBase)
	}
	if flags&2 != 0 {
		place(m, "common_path_suffix", b, u32(b, 24), wideSuffix)
	}
}

// from is what of b stands from off on, or nil.
func from(b []byte, off int64) []byte {
	if off > int64(len(b)) {
		return nil
	}
	return b[off:]
}

// place sets a text that stands at one of two offsets: as bytes, or as UTF-16.
func place(m module.Fields, name string, b []byte, off, wideOff int64) {
	if wideOff > 0 {
		if t := from(b, wideOff); t != nil {
			m[name] = module.Str(wide(t))
		}
		return
	}
	if t := from(b, off); t != nil {
		m[name] = module.Str(narrow(t))
	}
}

func volume(m module.Fields, b []byte) {
	if len(b) < 16 {
		return
	}
	m["drive_type"], m["drive_serial_number"] = module.Of(u32(b, 4)), module.Of(u32(b, 8))
	size, label := u32(b, 0), u32(b, 12)
	if size > int64(len(b)) {
		return
	}
	if label != 0x14 {
		place(m, "volume_label", b, label, 0)
	} else if size >= 20 {
		place(m, "volume_label", b[:size], 0, max(u32(b, 16), 1))
	}
}

// extra reads the blocks up to the last, of which one is known here.
func (r *reader) extra(m module.Fields) {
	for range maxBlocks {
		n := r.u32()
		if !r.ok || n < 4 {
			return
		}
		b := r.take(int(n) - 4)
		if len(b) >= 96-4 && u32(b, 0) == trackerBlock {
			m["tracker_data"] = module.Record(module.Fields{
				"version": module.Of(u32(b, 8)), "machine_id": module.Str(narrow(b[12:28])),
				"droid_volume_id": module.Str(guid(b[28:44])), "droid_file_id": module.Str(guid(b[44:60])),
				"droid_birth_volume_id": module.Str(guid(b[60:76])), "droid_birth_file_id": module.Str(guid(b[76:92])),
			})
		}
	}
	r.ok = false
}
