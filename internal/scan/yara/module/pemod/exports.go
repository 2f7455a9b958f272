package pemod

import (
	"strings"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/module"
)

type export struct {
	name, forward string
	ordinal, rva  int64
	offset        int64 // -1 for none
}

// exports reads the export directory.
func (f *file) exports(m module.Fields) []export {
	m["number_of_exports"] = module.Of(0)
	rva, size := f.dirs[0][0], f.dirs[0][1]
	d := f.at(rva, 40)
	if rva == 0 || d == nil {
		return nil
	}
	d = append([]byte(nil), d...)
	m["export_timestamp"] = module.Of(u32(d, 4))
	if name, ok := f.name(u32(d, 12)); ok {
		m["dll_name"] = module.Str(name)
	}
	base, n, names := u32(d, 16), min(u32(d, 20), maxExports), min(u32(d, 24), maxExports)
	table := f.v.Bytes(f.offset(u32(d, 28)), 4*n)
	out := make([]export, len(table)/4)
	for i := range out {
		e := &out[i]
		e.ordinal, e.rva = base+int64(i), u32(table, 4*i)
		e.offset = f.offset(e.rva)
	}
	for i := range out {
		if e := &out[i]; e.rva >= rva && e.rva < rva+size {
			e.forward, _ = f.name(e.rva)
			e.offset = -1
		}
	}
	f.exportNames(out, u32(d, 32), u32(d, 36), names)
	kept := out[:0]
	for _, e := range out {
		if e.rva != 0 {
			kept = append(kept, e)
		}
	}
	m["number_of_exports"] = module.Of(len(kept))
	m["export_details"] = module.List(exportValues(kept))
	return kept
}

func (f *file) exportNames(out []export, nameTable, ordinals, n int64) {
	for i := range n {
		p := f.at(nameTable+4*i, 4)
		if p == nil {
			return
		}
		at := u32(p, 0)
		o := f.at(ordinals+2*i, 2)
		if o == nil {
			return
		}
		if k := u16(o, 0); int(k) < len(out) && out[k].name == "" {
			out[k].name, _ = f.name(at)
		}
	}
}

func exportValues(list []export) []module.Value {
	var out []module.Value
	for _, e := range list {
		v := module.Fields{"ordinal": module.Of(e.ordinal), "rva": module.Of(e.rva)}
		if e.offset >= 0 {
			v["offset"] = module.Of(e.offset)
		}
		if e.name != "" {
			v["name"] = module.Str(e.name)
		}
		if e.forward != "" {
			v["forward_name"] = module.Str(e.forward)
		}
		out = append(out, module.Record(v))
	}
	return out
}

// resources walks the three levels of the resource tree: type, name, language.
func (f *file) resources(m module.Fields) {
	root := f.offset(f.dirs[2][0])
	if f.dirs[2][0] == 0 || root < 0 {
		return
	}
	d := f.v.Full(root, 16)
	if d == nil {
		return
	}
	m["resource_timestamp"] = module.Of(u32(d, 4))
	m["resource_version"] = module.Record(module.Fields{"major": module.Of(u16(d, 8)), "minor": module.Of(u16(d, 10))})
	w := &walker{f: f, root: root, budget: maxResources}
	w.dir(root, 0)
	m["number_of_resources"] = module.Of(len(w.out))
	m["resources"] = module.List(w.out)
	if len(w.keys) > 0 || w.sawVersion {
		info := &module.Map{M: map[string]module.Value{}}
		var list []module.Value
		for _, kv := range w.keys {
			if _, ok := info.M[kv[0]]; !ok {
				info.Keys = append(info.Keys, kv[0])
			}
			info.M[kv[0]] = module.Str(kv[1])
			list = append(list, module.Record(module.Fields{"key": module.Str(kv[0]), "value": module.Str(kv[1])}))
		}
		m["version_info"] = module.Value{K: module.Dict, P: info}
		m["version_info_list"] = module.List(list)
	}
	m["number_of_version_infos"] = module.Of(len(w.keys))
}

type walker struct {
	f          *file
	root       int64
	budget     int
	ids        [3]int64
	names      [3]string
	out        []module.Value
	keys       [][2]string
	sawVersion bool
}

func (w *walker) dir(at int64, level int) {
	d := w.f.v.Full(at, 16)
	if d == nil {
		return
	}
	n := u16(d, 12) + u16(d, 14)
	for i := range n {
		if w.budget--; w.budget < 0 {
			return
		}
		e := w.f.v.Full(at+16+8*i, 8)
		if e == nil {
			return
		}
		id, to := u32(e, 0), u32(e, 4)
		w.ids[level], w.names[level] = id, ""
		if id&0x80000000 != 0 {
			w.names[level] = w.name(w.root + id&0x7FFFFFFF)
		}
		switch {
		case to&0x80000000 != 0 && level < 2:
			w.dir(w.root+to&0x7FFFFFFF, level+1)
		case to&0x80000000 == 0:
			w.leaf(w.root+to, level)
		}
	}
}

func (w *walker) name(at int64) string {
	b := w.f.v.Full(at, 2)
	if b == nil {
		return ""
	}
	return string(w.f.v.Bytes(at+2, 2*min(u16(b, 0), 1000)))
}

func (w *walker) leaf(at int64, level int) {
	d := w.f.v.Full(at, 16)
	if d == nil || level != 2 {
		return
	}
	rva, size := u32(d, 0), u32(d, 4)
	v := module.Fields{"rva": module.Of(rva), "length": module.Of(size)}
	off := w.f.offset(rva)
	if off >= 0 {
		v["offset"] = module.Of(off)
	}
	fields := [3][2]string{{"type", "type_string"}, {"id", "name_string"}, {"language", "language_string"}}
	for i, f := range fields {
		if w.names[i] != "" {
			v[f[1]] = module.Str(w.names[i])
		} else {
			v[f[0]] = module.Of(w.ids[i])
		}
	}
	w.out = append(w.out, module.Record(v))
	if w.ids[0] == 16 && w.names[0] == "" && off >= 0 {
		w.sawVersion = true
		w.version(off, size)
	}
}

// version reads a VS_VERSIONINFO: blocks within blocks, texts in UTF-16.
func (w *walker) version(off, size int64) {
	b := w.f.v.Bytes(off, min(size, 1<<20))
	_, _, body := block(b)
	if body < 0 {
		return
	}
	at := align4(body)
	if len(b) >= 4 {
		at = align4(at + int(u16(b, 2)))
	}
	for at < len(b) {
		n, key, inner := block(b[at:])
		if n <= 0 {
			return
		}
		if key == "StringFileInfo" {
			w.tables(b[at:min(at+n, len(b))], inner)
		}
		at = align4(at + n)
	}
}

func (w *walker) tables(b []byte, at int) {
	for at = align4(at); at < len(b); {
		n, _, inner := block(b[at:])
		if n <= 0 {
			return
		}
		table := b[at:min(at+n, len(b))]
		for p := align4(inner); p < len(table); {
			k, key, value := block(table[p:])
			if k <= 0 {
				break
			}
			length := int(u16(table[p:], 2))
			entry := table[p:min(p+k, len(table))]
			text := ""
			if v := align4(value); length > 0 && v < len(entry) {
				text = narrow(entry[v:])
			}
			if len(w.keys) < 1000 {
				w.keys = append(w.keys, [2]string{key, text})
			}
			p = align4(p + k)
		}
		at = align4(at + n)
	}
}

func align4(n int) int { return (n + 3) &^ 3 }

// block reads the head of a block: its length, its key, where its body begins.
func block(b []byte) (n int, key string, body int) {
	if len(b) < 8 {
		return 0, "", -1
	}
	n = int(u16(b, 0))
	key = narrow(b[6:])
	return n, key, 6 + 2*len(key) + 2
}

// narrow takes the low bytes of a UTF-16 text up to its end.
func narrow(b []byte) string {
	var s strings.Builder
	for i := 0; i+1 < len(b) && (b[i] != 0 || b[i+1] != 0); i += 2 {
		s.WriteByte(b[i])
	}
	return s.String()
}
