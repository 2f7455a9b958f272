package lnkmod_test

import (
	"testing"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/module/lnkmod"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/module/moduletest"
)

func FuzzLnk(f *testing.F) {
	head := "\x4c\x00\x00\x00\x01\x14\x02\x00\x00\x00\x00\x00\xc0\x00\x00\x00\x00\x00\x00\x46"
	all := head + "\xff\x00\x00\x00" + string(make([]byte, 52)) +
		"\x0c\x00\x04\x00\x31\x00\x04\x00\x2f\x43\x00\x00" + "\x1c\x00\x00\x00\x1c\x00\x00\x00\x03\x00\x00\x00" + string(make([]byte, 16)) +
		"\x01\x00a\x00\x01\x00b\x00\x01\x00c\x00\x01\x00d\x00\x01\x00e\x00" + "\x00\x00\x00\x00behind"
	moduletest.Fuzz(f, lnkmod.Module(), []byte(head+string(make([]byte, 60))), []byte(all))
}
