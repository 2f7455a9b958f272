package scenario

import (
	"strconv"
	"strings"
	"sync"

	"github.com/lapwing-defence/lapwing/internal/yamldoc"
	"github.com/lapwing-defence/lapwing/rules"
)

// nicknames are words for rules that are shipped, and for groups of them.
var nicknames = map[string][]string{
	"builtin:decoy_touch": {
		"decoy/login", "decoy/guessing", "decoy/commands", "decoy/file", "decoy/download", "decoy/tunnel", "decoy/token", "decoy/token_file",
	},
	"builtin:decoy_login":      {"decoy/login"},
	"builtin:decoy_command":    {"decoy/commands"},
	"builtin:decoy_file":       {"decoy/file"},
	"builtin:decoy_download":   {"decoy/download"},
	"builtin:decoy_tunnel":     {"decoy/tunnel"},
	"builtin:decoy_spray":      {"decoy/guessing"},
	"builtin:decoy_bruteforce": {"decoy/guessing"},
	"builtin:honeytoken":       {"decoy/token", "decoy/token_file"},
	"builtin:beacon_score":     {"network/beacon"},
	"sigma:net_portscan":       {"network/net_portscan", "network/host_sweep"},
	"sigma:ssh_bruteforce":     {"linux/ssh_guessing"},
}

// ruleIDs are the rules that the words of a detection stand for. An optional
// one may name what is not shipped; its id stays as it is.
func (c *checker) ruleIDs(n *yamldoc.Node, d *Detection) []string {
	shipped := shippedRules()
	var out []string
	for _, w := range d.Rule {
		names := nicknames[w]
		if _, name, _ := strings.Cut(w, ":"); len(names) == 0 && strings.HasPrefix(w, "sigma:") {
			names = []string{name}
		}
		var ids []string
		for _, name := range names {
			ids = append(ids, shipped.ids[name]...)
		}
		switch {
		case len(ids) > 0:
			out = append(out, ids...)
		case d.Optional && strings.HasPrefix(w, "sigma:"):
			out = append(out, names...)
		default:
			c.fault(n.Line, suggest(w, shipped.words)+"; `lapwing rules list` names them; one of your own needs optional: true",
				"detections.%s: no rule %s is shipped", clip(d.Name), strconv.Quote(clip(w)))
		}
	}
	return out
}

// ruleNames are the ids of the shipped rules by id, by the name of their file,
// and by that with its directory.
type ruleNames struct {
	ids   map[string][]string
	words []string // that a detection may write
}

var shippedRules = sync.OnceValue(readRules) //nolint:gochecknoglobals // read once, never written

func readRules() ruleNames {
	out := ruleNames{ids: map[string][]string{}}
	for w := range nicknames {
		out.words = append(out.words, w)
	}
	dirs, _ := rules.FS.ReadDir(".") // it is embedded
	for _, d := range dirs {
		files, _ := rules.FS.ReadDir(d.Name())
		for _, f := range files {
			base, ok := strings.CutSuffix(f.Name(), ".yml")
			if !ok || strings.HasSuffix(base, ".test") {
				continue
			}
			text, err := rules.FS.ReadFile(d.Name() + "/" + f.Name())
			if err != nil {
				continue
			}
			out.words = append(out.words, "sigma:"+d.Name()+"/"+base)
			for line := range strings.Lines(string(text)) {
				if id, ok := strings.CutPrefix(line, "id: "); ok {
					id = strings.TrimSpace(id)
					out.ids[id] = []string{id}
					out.ids[base] = append(out.ids[base], id)
					out.ids[d.Name()+"/"+base] = append(out.ids[d.Name()+"/"+base], id)
				}
			}
		}
	}
	return out
}
