// Package dotnetmod is the dotnet module: what .NET assemblies say of
// themselves. Filled are is_dotnet, version, module_name, streams, guids and
// user_strings.
package dotnetmod

import (
	"encoding/binary"
	"fmt"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/module"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/module/pemod"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/view"
)

// Limits on what is read of a file.
const (
	maxStreams = 16
	maxGUIDs   = 1024
	maxStrings = 100_000
	maxHeap    = 8 << 20
)

func typeOf() *module.Type {
	m := map[string]*module.Type{}
	module.Fill(m, module.Int, "is_dotnet", "number_of_streams", "number_of_guids", "number_of_user_strings")
	module.Fill(m, module.String, "version", "module_name")
	stream := map[string]*module.Type{}
	module.Fill(stream, module.Int, "offset", "size")
	module.Fill(stream, module.String, "name")
	m["streams"] = module.ArrayOf(module.StructOf(stream))
	m["guids"], m["user_strings"] = module.ArrayOf(module.T(module.String)), module.ArrayOf(module.T(module.String))
	return module.StructOf(m)
}

// Module is the dotnet module.
func Module() *module.Module {
	return &module.Module{Name: "dotnet", Type: typeOf(), Load: func(v *view.View) (module.Value, any) {
		m := module.Fields{"is_dotnet": module.Of(0)}
		if root := metadata(v); root >= 0 {
			read(v, root, m)
		}
		return module.Record(m), nil
	}}
}

// metadata is where the metadata of an assembly begins, or -1.
func metadata(v *view.View) int64 {
	header := pemod.Directory(v, 14, 72)
	if header < 0 {
		return -1
	}
	h := v.Full(header, 72)
	if h == nil {
		return -1
	}
	root := pemod.Offset(v, int64(binary.LittleEndian.Uint32(h[8:])))
	if root < 0 {
		return -1
	}
	if b := v.Full(root, 16); b == nil || string(b[:4]) != "BSJB" {
		return -1
	}
	return root
}

func u16(b []byte) int64 { return int64(binary.LittleEndian.Uint16(b)) }
func u32(b []byte) int64 { return int64(binary.LittleEndian.Uint32(b)) }

// read fills the fields from the metadata root on.
func read(v *view.View, root int64, m module.Fields) {
	length := u32(v.Full(root, 16)[12:])
	if length == 0 || length > 255 || length%4 != 0 {
		return
	}
	version, _ := v.CString(root+16, length)
	m["version"], m["is_dotnet"] = module.Str(version), module.Of(1)
	h := v.Full(root+16+length, 4)
	if h == nil {
		return
	}
	heaps := map[string][2]int64{}
	var streams []module.Value
	at := root + 20 + length
	for range min(u16(h[2:]), maxStreams) {
		b := v.Full(at, 8)
		if b == nil {
			break
		}
		off, size := root+u32(b), u32(b[4:])
		name, ok := v.CString(at+8, 32)
		if !ok {
			break
		}
		at += 8 + int64(len(name)+4)&^3
		heaps[name] = [2]int64{off, size}
		streams = append(streams, module.Record(module.Fields{"name": module.Str(name), "offset": module.Of(off), "size": module.Of(size)}))
	}
	m["streams"], m["number_of_streams"] = module.List(streams), module.Of(len(streams))
	guids(v, heaps["#GUID"], m)
	userStrings(v, heaps["#US"], m)
	moduleName(v, heaps, m)
}

func guids(v *view.View, heap [2]int64, m module.Fields) {
	var out []module.Value
	for i := range min(heap[1]/16, maxGUIDs) {
		g := v.Full(heap[0]+16*i, 16)
		if g == nil {
			break
		}
		out = append(out, module.Str(fmt.Sprintf("%08x-%04x-%04x-%x-%x", u32(g), u16(g[4:]), u16(g[6:]), g[8:10], g[10:])))
	}
	m["guids"], m["number_of_guids"] = module.List(out), module.Of(len(out))
}

// userStrings reads blobs: a packed length, UTF-16 and one byte more.
func userStrings(v *view.View, heap [2]int64, m module.Fields) {
	b := v.Bytes(heap[0], min(heap[1], maxHeap))
	var out []module.Value
	for at := 1; at < len(b) && len(out) < maxStrings; {
		n, width := packed(b[at:])
		if width == 0 || at+width+n > len(b) {
			break
		}
		if n > 1 {
			out = append(out, module.Str(string(b[at+width:at+width+n-1])))
		}
		at += width + n
	}
	m["user_strings"], m["number_of_user_strings"] = module.List(out), module.Of(len(out))
}

// packed reads a length of one, two or four bytes.
func packed(b []byte) (n, width int) {
	switch {
	case b[0]&0x80 == 0:
		return int(b[0]), 1
	case b[0]&0xC0 == 0x80 && len(b) >= 2:
		return int(b[0]&0x3F)<<8 | int(b[1]), 2
	case b[0]&0xE0 == 0xC0 && len(b) >= 4:
		return int(b[0]&0x1F)<<24 | int(b[1])<<16 | int(b[2])<<8 | int(b[3]), 4
	}
	return 0, 0
}

// moduleName follows the first row of the first table, which is the module's.
func moduleName(v *view.View, heaps map[string][2]int64, m module.Fields) {
	tables := heaps["#~"]
	h := v.Full(tables[0], 24)
	if tables[1] < 24 || h == nil {
		return
	}
	wide, valid := h[6]&1 != 0, binary.LittleEndian.Uint64(h[8:])
	if valid&1 == 0 {
		return
	}
	at := tables[0] + 24
	for ; valid != 0; valid &= valid - 1 {
		at += 4
	}
	row := v.Full(at, 6)
	if row == nil {
		return
	}
	index := u16(row[2:])
	if wide {
		index = u32(row[2:])
	}
	text := heaps["#Strings"]
	if index >= text[1] {
		return
	}
	if name, ok := v.CString(text[0]+index, 512); ok {
		m["module_name"] = module.Str(name)
	}
}
