package hunt

import (
	"time"

	"github.com/lapwing-defence/lapwing/internal/ruleset"
	"github.com/lapwing-defence/lapwing/internal/scan/indicator"
)

// maxIndicated bounds what one record is reported for.
const maxIndicated = 16

// indicated reports each indicator that a value of the record fits, if it was
// valid when the record was written.
func (j *judge) indicated(id uint64, raw []byte) {
	var at time.Time
	if j.rec.Time != 0 {
		at = time.Unix(0, j.rec.Time)
	}
	n := 0
	seen := map[string]bool{}
	for name, v := range j.rec.Shown() {
		j.h.cfg.Indicators.Value(v.Text, at, func(hit indicator.Hit) {
			if n >= maxIndicated || seen[hit.Source+hit.Value] {
				return
			}
			seen[hit.Source+hit.Value] = true
			n++
			m := j.found(ruleset.IndicatorRule(hit.Indicator), id, raw)
			m.Details = name + ": " + hit.Value + "  " + m.Details
			j.out.matches = append(j.out.matches, m)
		})
	}
}
