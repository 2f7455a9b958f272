package yara_test

import (
	"bytes"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/scan/yara"
)

// BenchmarkLoad loads the 5,883 compiled rules; BenchmarkCompile compiles them.
func BenchmarkLoad(b *testing.B) {
	var saved bytes.Buffer
	if err := signatureBase(b).Save(&saved); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(saved.Len()))
	for b.Loop() {
		if _, err := yara.LoadBytes(saved.Bytes()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		signatureBase(b)
	}
}
