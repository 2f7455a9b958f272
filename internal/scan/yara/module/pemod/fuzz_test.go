package pemod_test

import (
	"testing"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/module/moduletest"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/module/pemod"
)

func FuzzPE(f *testing.F) {
	b := make([]byte, 1024)
	copy(b, "MZ")
	b[60] = 64
	copy(b[64:], "PE\x00\x00\x4c\x01\x02\x00")
	b[84] = 0xE0
	copy(b[88:], "\x0b\x01")
	plus := append([]byte(nil), b...)
	copy(plus[88:], "\x0b\x02")
	moduletest.Fuzz(f, pemod.Module(), b, plus)
}
