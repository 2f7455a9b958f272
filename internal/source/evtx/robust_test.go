package evtx

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/sharedtest"
	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// eachFile decodes a whole file.
func eachFile(tb testing.TB, d *Decoder, file string, fn func(*sigma.Record, *Head)) {
	tb.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	rec := sigma.NewRecord(d.fields)
	for pos := HeaderSize; pos < len(data); pos += ChunkSize {
		err := d.Chunk(data[pos:min(pos+ChunkSize, len(data))], rec, func(h *Head) error { fn(rec, h); return nil })
		if err != nil {
			tb.Fatal(err)
		}
	}
}

func TestRobust(t *testing.T) {
	dir := filepath.Join(sharedtest.Dir(t), "sigma/data/evtx-robust")
	for name, want := range map[string]int{
		"Application_no_crc32.evtx": 17,
		"E_Windows_system32_winevt_logs_Microsoft-Windows-Shell-Core%4Operational.evtx": 1146,
		"MSExchange_Management_wec.evtx":                                                1,
		"Microsoft-Windows-HelloForBusiness%4Operational.evtx":                          6,
		"Microsoft-Windows-LanguagePackSetup%4Operational.evtx":                         17,
		"Security_short_selected.evtx":                                                  7,
		"issue_201.evtx":                                                                1,
		"new-user-security.evtx":                                                        4,
		"sample_with_a_bad_chunk_magic.evtx":                                            270,
		"system.evtx":                                                                   1881,
	} {
		t.Run(name, func(t *testing.T) {
			d := NewDecoder(sigma.NewFields())
			eachFile(t, d, filepath.Join(dir, name), func(*sigma.Record, *Head) {})
			if d.Stats.Records != want {
				t.Errorf("%+v, want %d records", d.Stats, want)
			}
			d = NewDecoder(sigma.NewFields())
			d.Carve = true
			eachFile(t, d, filepath.Join(dir, name), func(*sigma.Record, *Head) {})
			if d.Stats.Records-d.Stats.Carved != want {
				t.Errorf("carving: %+v", d.Stats)
			}
			t.Logf("carved %d", d.Stats.Carved)
		})
	}
}
