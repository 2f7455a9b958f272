package lnkmod

import (
	"bytes"
	"encoding/binary"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/module"
)

// The kinds of shell items. Of volumes, files and networks the lower four bits
// say more.
const (
	itemCPL     = 0x00
	itemRoot    = 0x1F
	itemVolume  = 0x20
	itemFile    = 0x30
	itemNetwork = 0x40
	kindMask    = 0x70
)

// targets reads the list of shell items that lead to the target.
func (r *reader) targets(m module.Fields) {
	list := &reader{b: r.take(r.u16()), ok: r.ok}
	var out []module.Value
	for len(out) < maxItems {
		n := list.u16()
		if !list.ok || n == 0 {
			break
		}
		b := list.take(n - 2)
		if !list.ok {
			break
		}
		out = append(out, item(b))
	}
	if r.ok {
		m["target_id_list"] = module.List(out)
	}
}

// item reads one item, from the byte of its kind on.
func item(b []byte) module.Value {
	m := module.Fields{}
	if len(b) == 0 {
		return module.Record(m)
	}
	kind, data := int(b[0]), b[1:]
	if k := kind & kindMask; kind&0x80 == 0 && (k == itemVolume || k == itemFile || k == itemNetwork) {
		m["item_type"] = module.Of(k)
	} else {
		m["item_type"] = module.Of(kind)
	}
	m["data"] = module.Str(string(data))
	describe(m, kind, data)
	return module.Record(m)
}

// describe sets the one field that tells what an item is.
func describe(m module.Fields, kind int, data []byte) {
	set := func(name, text string) {
		if text != "" {
			m[name] = module.Str(text)
		}
	}
	switch {
	case kind == itemCPL && len(data) > 21:
		set("cpl_file_path", wide(data[21:]))
	case kind == itemRoot && len(data) >= 17:
		set("root_folder_id", guid(data[1:17]))
	case kind&0xF0 == itemVolume && kind&1 != 0:
		set("volume_name", narrow(data))
	case kind&0xF0 == itemVolume && len(data) >= 17:
		set("volume_id", guid(data[1:17]))
	case kind&0xF0 == itemFile && len(data) > 11:
		set("file_entry_name", fileName(data, kind&4 != 0))
	case kind&0xF0 == itemNetwork && len(data) > 2:
		set("network_location", narrow(data[2:]))
	}
}

// fileName is the long name of a file, which Windows XP and later put into a
// block of its own, or else the short one.
func fileName(data []byte, unicode bool) string {
	short := narrow(data[11:])
	if unicode {
		short = wide(data[11:])
	}
	// Two bytes at the end say where, in the item of three bytes more, the block begins.
	start := int(binary.LittleEndian.Uint16(data[len(data)-2:])) - 3
	if start < 11 || start+20 > len(data) || !bytes.Equal(data[start+4:start+8], []byte{0x04, 0x00, 0xEF, 0xBE}) {
		return short
	}
	// The version of the block says how much stands before the name.
	before := map[uint16]int{3: 20, 7: 38, 8: 42, 9: 46}[binary.LittleEndian.Uint16(data[start+2:])]
	if before == 0 || start+before > len(data) {
		return short
	}
	if long := wide(data[start+before:]); long != "" {
		return long
	}
	return short
}
