package machomod_test

import (
	"encoding/binary"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/module/machomod"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/module/moduletest"
)

func FuzzMacho(f *testing.F) {
	le := binary.LittleEndian
	one := le.AppendUint32(nil, 0xfeedfacf)
	for _, w := range []uint32{0x01000007, 3, 2, 2, 176, 0, 0, 0x19, 152} {
		one = le.AppendUint32(one, w)
	}
	one = append(one, "__TEXT\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"...)
	one = append(one, make([]byte, 152-24)...)
	le.PutUint32(one[32+64:], 1)
	one = le.AppendUint32(le.AppendUint32(one, 0x80000028), 24)
	one = le.AppendUint64(le.AppendUint64(one, 512), 0)
	be := binary.BigEndian
	var fat []byte
	for _, w := range []uint32{0xcafebabe, 1, 0x01000007, 3, 28, uint32(len(one)), 12} {
		fat = be.AppendUint32(fat, w)
	}
	moduletest.Fuzz(f, machomod.Module(), one, append(fat, one...), be.AppendUint64(nil, 0xcafebabe_0000_0034), []byte("\xfe\xed\xfa\xce"+string(make([]byte, 60))))
}
