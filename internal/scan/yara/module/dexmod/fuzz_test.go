package dexmod_test

import (
	"encoding/binary"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/module/dexmod"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/module/moduletest"
)

func FuzzDex(f *testing.F) {
	b := make([]byte, 300)
	copy(b, "dex\n035\x00")
	set := func(at int, v ...uint32) {
		for i, x := range v {
			binary.LittleEndian.PutUint32(b[at+4*i:], x)
		}
	}
	// One row in each table, all pointing at each other.
	set(52, 250, 1, 112, 1, 116, 1, 120, 1, 132, 1, 140, 1, 148)
	set(112, 200, 0, 0, 0, 0)
	set(148, 0, 1, 0, 0, 0, 0, 210)
	copy(b[200:], "\x02La\x00")
	copy(b[210:], "\x01\x00\x01\x00\x00\x01\x00\x01\xdc\x01")
	set(220, 1, 1, 0, 1)
	set(250, 1, 0, 1, 0)
	moduletest.Fuzz(f, dexmod.Module(), b, b[:112], b[:150])
}
