package week_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/logsource"
	"github.com/lapwing-defence/lapwing/internal/sigma"
	"github.com/lapwing-defence/lapwing/internal/track"
	"github.com/lapwing-defence/lapwing/internal/track/geo"
	"github.com/lapwing-defence/lapwing/internal/track/geo/geotest"
	"github.com/lapwing-defence/lapwing/internal/track/week"
)

// TestLogins: four uses of stolen credentials are each told at level medium or
// above, and what a hundred people do otherwise gives less than one alarm a day.
func TestLogins(t *testing.T) {
	path := filepath.Join(t.TempDir(), "geo.mmdb")
	rows := map[string]geotest.Row{}
	for _, n := range week.Nets() {
		rows[n.Prefix] = geotest.Row{Country: n.Country, Lat: n.Lat, Lon: n.Lon, Radius: 20, ASN: n.ASN, Org: "x"}
	}
	geotest.Write(t, path, rows)
	seeds := uint64(1)
	if os.Getenv("LAPWING_SOAK") != "" {
		seeds = 3
	}
	for seed := uint64(1); seed <= seeds; seed++ {
		places, err := geo.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		l := newLine(t, track.Config{Geo: places})
		told := map[string][]string{}
		wrong, once := map[string]int{}, map[string]bool{}
		alarms := 0
		all := week.Logins(seed)
		for _, x := range all {
			at := week.Began().Add(time.Duration(x.At * float64(time.Second)))
			l.rec.Reset()
			for _, p := range [][2]string{
				{"event.category", "authentication"},
				{"event.action", "logon"},
				{"event.outcome", "success"},
				{"user.name", x.User},
				{"source.ip", x.From.String()},
				{"lapwing.auth.factors", x.Factors},
				{"service.name", "vpn"},
			} {
				if p[1] != "" {
					l.rec.Set([]byte(p[0]), sigma.String(p[1]))
				}
			}
			l.rec.Time = at.UnixNano()
			l.route.Route(l.rec, &logsource.Head{Format: "json"})
			l.set.Add(l.rec, at)
			for _, r := range l.match.Match(l.rec) {
				switch key := r.Title + x.User + at.Format("0102"); {
				case r.Level < sigma.Low:
				case x.Evil != "":
					told[x.Evil] = append(told[x.Evil], r.Level.String()+" "+r.Title)
				case !once[key]:
					once[key] = true
					wrong[r.Level.String()+" "+r.Title]++
					if r.Level >= sigma.Medium {
						alarms++
					}
				}
			}
		}
		perDay := float64(alarms) / week.LoginDays
		t.Logf("seed %d: %d logins of %d people in %d days; %.2f false alarms of level medium and above a day", seed, len(all), week.Users, week.LoginDays, perDay)
		for _, k := range slices.Sorted(maps.Keys(wrong)) {
			t.Log("      false:", k, wrong[k])
		}
		for _, x := range all {
			if x.Evil == "" {
				continue
			}
			t.Logf("    %s: %q", x.Evil, told[x.Evil])
			if !slices.ContainsFunc(told[x.Evil], func(s string) bool { return !strings.HasPrefix(s, "low") }) {
				t.Errorf("seed %d: missed: %s", seed, x.Evil)
			}
		}
		if perDay >= 1 {
			t.Errorf("%.2f false alarms a day", perDay)
		}
	}
}
