package elfmod_test

import (
	"testing"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/module/elfmod"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/module/moduletest"
)

func FuzzELF(f *testing.F) {
	narrow := []byte("\x7fELF\x01\x01\x01\x00" + string(make([]byte, 200)))
	narrow[16], narrow[28], narrow[32], narrow[42], narrow[44], narrow[46], narrow[48] = 2, 52, 84, 32, 1, 40, 2
	narrow[84+4], narrow[84+16], narrow[84+20], narrow[84+24] = 2, 52, 64, 1
	narrow[124+4] = 3
	moduletest.Fuzz(f, elfmod.Module(), narrow, []byte("\x7fELF\x02\x02\x01\x00"+string(make([]byte, 120))))
}
