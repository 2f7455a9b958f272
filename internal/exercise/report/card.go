package report

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/exercise/score"
)

// card writes the data card: what the set is, how it was labelled, what it is
// not good for.
func (d *Dataset) card(w io.Writer, dir string) error {
	t := &d.Run.Truth
	p := &printer{w: w}
	red, benign, own := counts(t)
	p.line("# %s", orElse(t.Name, t.Scenario))
	p.line("")
	p.line("Labelled traffic, events and alerts of one exercise in a virtual network, made by lapwing %s.", orElse(t.Version, "(unknown version)"))
	p.line("")
	p.line("| | |")
	p.line("|---|---|")
	p.line("| exercise | %s |", cellText(t.Exercise))
	p.line("| scenario | %s, seed %d: the same file and seed give the same acts again |", cellText(t.Scenario), t.Seed)
	p.line("| time | %s to %s UTC |", t.Started.UTC().Format("2006-01-02 15:04:05"), t.Ended.UTC().Format("2006-01-02 15:04:05"))
	p.line("| size | %d hosts, %d packets, %d dropped by full queues |", d.Run.hosts(), t.Packets, t.Dropped)
	p.line("| flows | %d malicious, %d benign, %d of people who take part and of the exercise's own checks |", red, benign, own)
	p.line("| alerts | %d, of which %d true, %d false |", len(d.Run.Result.Alerts), d.Run.Result.Metrics.TrueAlerts, d.Run.Result.FalseAlarms)
	p.line("| techniques | %s |", cellText(techniques(t)))
	p.line("")
	p.line("## Files")
	p.line("")
	p.line("| file | what |")
	p.line("|---|---|")
	for _, f := range files {
		if _, err := os.Stat(filepath.Join(dir, f[0])); err == nil {
			p.line("| %s | %s |", f[0], f[1])
		}
	}
	p.line("| SHA256SUMS | `sha256sum -c SHA256SUMS` |")
	p.line("")
	p.line("## How it was labelled")
	p.line("")
	p.line("Whoever acts writes down what he does: a connection is labelled before its first packet leaves, a record when it is")
	p.line("written. No label was concluded from an address, a port or a time afterwards. `Malicious` is a step of the adversary,")
	p.line("`Benign` the background, `Exercise` a person who took part, or the exercise itself, which asks whether services still answer.")
	p.line("")
	p.line("## What it is not good for")
	p.line("")
	for _, c := range caveats {
		p.line("* %s", c)
	}
	return p.err
}

// files are those that a set may have.
var files = [...][2]string{
	{"capture.pcapng", "packets; the label is each packet's comment: in Wireshark `frame.comment contains \"T1\"`"},
	{"flows.jsonl", "connections in the words of Zeek's conn.log, with `label` and `detailed-label`"},
	{"steps.jsonl", "what the adversary did: technique, hosts, times, flows by uid, records by id"},
	{"events.jsonl", "what sensors recorded (ECS names)"},
	{"events.ocsf.jsonl", "the same in the classes of OCSF"},
	{"alerts.jsonl", "what rules said of it, and whether they were right"},
	{"report.html", "the result as a page, with timeline and picture of the network"},
	{"report.json", "the result, for `lapwing range report`"},
	{"navigator-layer.json", "the result for the ATT&CK Navigator"},
	{"attack-flow.json", "the steps as an Attack Flow"},
	{"junit.xml", "the expected detections as test cases"},
	{"scenario.range.yaml", "the scenario"},
	{"run.json", "what it was run with"},
}

// caveats hold for every set.
var caveats = [...]string{
	"The hosts are emulated: one TCP/IP stack with the traits of several systems, services that imitate others, host records that a program wrote without any process behind them. A model may learn the emulation instead of the attack.",
	"The acts are inert. Nothing was exploited, encrypted or stolen; an exploit's bytes, a tool's own traffic and a person's hesitation are missing.",
	"The background is made by a program from a list. It is poorer, more regular and more polite than people; a rate of false alarms found here is not the one of your network.",
	"Attacks are far more frequent here than in life. Precision does not carry over.",
	"One network, one evening, one seed. Split training and test data by seed and scenario, never at random: flows of one run know each other. Leave addresses, ports, names, uids and times out of what a model may see.",
	"Good for: testing a pipeline end to end, comparing rules with each other, teaching. Not for: claims about what a product would find in the wild.",
}

func counts(t *score.Truth) (red, benign, own int) {
	for i := range t.Steps {
		red += len(t.Steps[i].Flows)
	}
	for i := range t.Activities {
		if t.Activities[i].Neutral {
			own += len(t.Activities[i].Flows)
		} else {
			benign += len(t.Activities[i].Flows)
		}
	}
	return red, benign, own
}

func techniques(t *score.Truth) string {
	var all []string
	for i := range t.Steps {
		if id := t.Steps[i].Technique; id != "" && !slices.Contains(all, id) {
			all = append(all, id)
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// cellText is text for a cell of a table: a name may hold what would end it.
func cellText(s string) string { return strings.ReplaceAll(plain(s), "|", `\|`) }
