//go:build unix

package app

import (
	"strings"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/alert"
	"github.com/lapwing-defence/lapwing/internal/event"
)

// TestASilentSourceIsAVerdict: what the reader sends of it is one the hub takes.
func TestASilentSourceIsAVerdict(t *testing.T) {
	e := silent("auth", 3*time.Hour, time.Hour, time.Now())
	line := e.AppendJSON(nil)
	back, err := event.Decode(line)
	if err != nil {
		t.Fatal(err)
	}
	if !logged(&back) {
		t.Error("it does not pass for one of the reader")
	}
	v := loggedVerdict(&back)
	if v.Rule.ID != silentRule || v.Rule.Level != alert.Medium || v.Log != "auth" || !strings.Contains(v.Title, "auth") {
		t.Errorf("%+v %+v", v, v.Rule)
	}
}

func TestHealthIsReadBack(t *testing.T) {
	dir := Dir(t.TempDir())
	if h, err := dir.Sources(); h != nil || err != nil {
		t.Errorf("of nothing: %v, %v", h, err)
	}
	if err := dir.Create(); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if err := writeHealth(dir.sources(), &SourceHealth{At: now, PID: 7, Sources: []SourceStats{{Name: "auth", Lines: 3}}}); err != nil {
		t.Fatal(err)
	}
	h, err := dir.Sources()
	if err != nil || h.PID != 7 || len(h.Sources) != 1 || h.Sources[0].Lines != 3 || h.Stale(now) || !h.Stale(now.Add(time.Hour)) {
		t.Errorf("%+v, %v", h, err)
	}
}
