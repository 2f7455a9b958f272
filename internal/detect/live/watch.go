package live

import (
	"context"
	"fmt"
	"hash/fnv"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/ruleset"
)

// watchEvery is how often the rule files are looked at.
const watchEvery = 2 * time.Second

// Watch reloads when a rule file changed, appeared or went, until ctx ends. A
// set in which a rule is refused is told once and not used.
func (e *Engine) Watch(ctx context.Context, clk clock.Clock, log *slog.Logger) {
	if len(e.cfg.Rules.Paths) == 0 {
		return
	}
	for clk.Sleep(ctx, watchEvery) == nil {
		now := fingerprint(e.cfg.Rules)
		if now == e.seen {
			continue
		}
		e.seen = now
		rules, dropped, err := e.Reload()
		if err != nil {
			log.Error("the changed rules are not used, the old ones go on", "error", err)
			continue
		}
		log.Info("rules reloaded", "rules", rules, "correlation groups dropped", dropped)
	}
}

// fingerprint changes when a rule file or the tables of placeholders do.
func fingerprint(cfg ruleset.Config) uint64 {
	h := fnv.New64a()
	if info, err := os.Stat(cfg.Placeholders); err == nil {
		fmt.Fprintln(h, info.Size(), info.ModTime().UnixNano()) //nolint:errcheck // a hash takes all
	}
	for _, p := range cfg.Paths {
		if to, err := filepath.EvalSymlinks(p); err == nil {
			p = to // a walk does not begin through a link
		}
		filepath.WalkDir(p, func(path string, d fs.DirEntry, err error) error { //nolint:errcheck // the callback gives none
			if err != nil {
				fmt.Fprintln(h, path, err) //nolint:errcheck // a hash takes all
				return nil
			}
			if d.IsDir() || !ruleset.IsRule(d.Name()) {
				return nil
			}
			if info, err := os.Stat(path); err == nil { // of what a link leads to
				fmt.Fprintln(h, path, info.Size(), info.ModTime().UnixNano()) //nolint:errcheck // a hash takes all
			}
			return nil
		})
	}
	return h.Sum64()
}
