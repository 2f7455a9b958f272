//go:build unix

package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/source/feed"
)

// healthEvery is how often the process that reads logs makes its positions
// durable and says how its sources go.
const healthEvery = 2 * time.Second

// SourceHealth is how the sources of logs go, as the reader wrote it last.
type SourceHealth struct {
	At      time.Time    `json:"at"`
	PID     int          `json:"pid"`
	Sources []feed.Stats `json:"sources"`
}

// SourceStats is how one source goes.
type SourceStats = feed.Stats

// Stale tells whether nobody writes it any more.
func (h *SourceHealth) Stale(now time.Time) bool { return now.Sub(h.At) > 15*healthEvery }

const healthFile = "health.json"

// look makes positions durable, says how the sources go, and tells of those that
// are silent for longer than ever.
func (r *reading) look(ctx context.Context) {
	h := SourceHealth{At: time.Now(), PID: os.Getpid()}
	for i, f := range r.feeds {
		if err := f.Sync(); err != nil {
			f.Trouble(fmt.Errorf("keep the position: %w", err))
		}
		if d, before, last, ok := f.Silence(r.orders.Sources[i].Config.Silence); ok {
			if err := r.up.EmitAll(ctx, silent(f.Name(), d, before, last)); err != nil {
				f.Unsaid()
			}
		}
		h.Sources = append(h.Sources, f.Stats())
	}
	if err := writeHealth(r.orders.Dir, &h); err != nil && ctx.Err() == nil {
		r.log.Warn("how the sources go cannot be written", "error", err)
	}
}

// silent is the verdict on a source that says nothing any more.
func silent(name string, d, before time.Duration, last time.Time) event.Event {
	now := time.Now()
	e := event.Event{ID: event.NewIDs(nil, time.Now).New(), Time: now, Kind: kindVerdict, Category: "configuration", Type: "info", Action: actionVerdict, Dataset: "lapwing.source"}
	e.Add("rule.id", silentRule)
	e.Add("rule.name", "Source of Logs Is Silent")
	e.Add("rule.level", "medium")
	e.Add("rule.description", "No line came of this source for longer than ever before: the program that writes it, its rotation, the network to it, or somebody who does not want to be seen. Look at it: lapwing status.")
	e.Extra = append(e.Extra, event.Field{Name: "threat.technique.id", Value: event.List("T1562.006")}, event.Field{Name: "lapwing.group", Value: event.List(name)})
	e.Add(sourceField, name)
	e.Add("lapwing.silent", d.Round(time.Second).String())
	e.Add("lapwing.silent_before", before.Round(time.Second).String())
	e.Add("lapwing.last", last.UTC().Format(time.RFC3339Nano))
	return e
}

const silentRule = "5a6d2c1e-0d7b-4f38-9c55-2e8f4b7a9d10"

// writeHealth puts h where the hub reads it.
func writeHealth(dir string, h *SourceHealth) error {
	data, err := json.Marshal(h)
	if err != nil {
		return err
	}
	file := filepath.Join(dir, healthFile)
	if err := os.WriteFile(file+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// maxHealth is how many bytes of it are read.
const maxHealth = 1 << 20

// Sources is how the sources of logs go; nil where there are none.
func (d Dir) Sources() (*SourceHealth, error) {
	f, err := os.Open(filepath.Join(d.sources(), healthFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // none is no error
	}
	if err != nil {
		return nil, fmt.Errorf("look at the sources: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	var h SourceHealth
	if err := json.NewDecoder(io.LimitReader(f, maxHealth)).Decode(&h); err != nil {
		return nil, fmt.Errorf("look at the sources: %w", err)
	}
	return &h, nil
}
