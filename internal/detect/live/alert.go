package live

import (
	"strings"

	"github.com/lapwing-defence/lapwing/internal/alert"
	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// Rule words a Sigma rule as an alert names it: techniques and tactics come
// from its tags (attack.t1110.003, attack.credential-access).
func Rule(r *sigma.Rule) alert.Rule {
	out := alert.Rule{ID: r.ID, Name: r.Title, Description: r.Description}
	if l, ok := alert.ParseLevel(r.Level.String()); ok {
		out.Level = l
	}
	for _, t := range r.Tags {
		t, ok := strings.CutPrefix(strings.ToLower(t), "attack.")
		switch {
		case !ok || t == "":
		case t[0] == 't' && len(t) >= 5 && t[1] >= '0' && t[1] <= '9':
			out.Techniques = append(out.Techniques, strings.ToUpper(t))
		case t[0] != 's' && t[0] != 'g' || len(t) < 2 || t[1] < '0' || t[1] > '9': // no software, no group
			out.Tactics = append(out.Tactics, strings.ReplaceAll(t, "_", "-"))
		}
	}
	return out
}
