package scenario

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/exercise/record"
	"github.com/lapwing-defence/lapwing/internal/yamldoc"
)

// Converted is what Convert made of a plan.
type Converted struct {
	YAML    []byte   // a scenario that loads
	Steps   int      // steps that are emulated
	Skipped []string // what is not emulated, one line each
}

// maxAbilities bounds an imported plan.
const maxAbilities = 500

// ability is what a plan says of one step, of Caldera (abilities and adversary
// profiles) or of the Center for Threat-Informed Defense (emulation plans). Its
// commands are not read.
type ability struct {
	line                         int
	id, name, description        string
	tactic, technique, techTitle string
	group, step, source          string
}

// Convert reads a plan in YAML: a list of Caldera's abilities, an adversary
// profile with the abilities in the same file, or an emulation plan. What an
// action of ours can show becomes a step; all else is named in the notes as not
// emulated. Commands, payloads and addresses of the plan are left behind. The
// error is yamldoc.Faults, or that of reading.
func Convert(name string, r io.Reader) (*Converted, error) {
	text, err := io.ReadAll(io.LimitReader(r, MaxSize+1)) //nolint:forbidigo // limited
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(text) > MaxSize {
		return nil, yamldoc.Faults{{File: name, Text: fmt.Sprintf("more than %d bytes", MaxSize), Remedy: "import it in parts"}}
	}
	docs, err := yamldoc.Documents(name, text)
	if err != nil {
		return nil, err
	}
	p := &plan{title: "Imported plan"}
	for _, d := range docs {
		p.read(d)
	}
	if len(p.abilities) == 0 {
		return nil, yamldoc.Faults{{File: name, Line: 1, Text: "no abilities", Remedy: "give a list of Caldera's abilities, or an emulation plan: entries with id, tactic and technique"}}
	}
	if len(p.order) > maxAbilities {
		return nil, yamldoc.Faults{{File: name, Line: 1, Text: fmt.Sprintf("a profile of more than %d abilities", maxAbilities), Remedy: "import it in parts"}}
	}
	if len(p.abilities) > maxAbilities {
		return nil, yamldoc.Faults{{File: name, Line: p.abilities[maxAbilities].line, Text: fmt.Sprintf("more than %d abilities", maxAbilities), Remedy: "import it in parts"}}
	}
	p.sort()
	return p.convert(name)
}

// plan gathers abilities.
type plan struct {
	title     string
	order     []string // ids, of an adversary profile
	abilities []ability
}

func (p *plan) read(n *yamldoc.Node) {
	if n.Kind == yamldoc.List {
		for _, e := range n.Content {
			p.read(e)
		}
		return
	}
	if d := value(n, "emulation_plan_details"); d != nil {
		p.title = clean(text1(value(d, "adversary_name"))+", emulation plan", 100)
		return
	}
	if order := value(n, "atomic_ordering"); order != nil && order.Kind == yamldoc.List {
		p.title = clean(text1(value(n, "name")), 100)
		for _, id := range order.Content {
			p.order = append(p.order, text1(id))
		}
		return
	}
	t := value(n, "technique")
	if t == nil || value(n, "id") == nil {
		return
	}
	p.abilities = append(p.abilities, ability{
		line: n.Line, id: clean(text1(value(n, "id")), 60), name: clean(text1(value(n, "name")), 150), description: clean(text1(value(n, "description")), 300),
		tactic: strings.ToLower(strings.ReplaceAll(text1(value(n, "tactic")), " ", "-")), technique: strings.ToUpper(text1(value(t, "attack_id"))),
		techTitle: clean(text1(value(t, "name")), 150), group: clean(text1(value(n, "procedure_group")), 150), step: clean(text1(value(n, "procedure_step")), 60),
		source: clean(text1(value(n, "cti_source")), 300),
	})
}

// sort puts abilities in the order of the adversary profile, if there is one.
func (p *plan) sort() {
	if len(p.order) == 0 {
		return
	}
	at := func(a ability) int {
		if i := slices.Index(p.order, a.id); i >= 0 {
			return i
		}
		return len(p.order)
	}
	slices.SortStableFunc(p.abilities, func(a, b ability) int { return at(a) - at(b) })
}

// missing are the abilities of an adversary profile that did not come with it,
// each once.
func (p *plan) missing() []string {
	known := map[string]bool{}
	for i := range p.abilities {
		known[p.abilities[i].id] = true
	}
	var out []string
	for _, id := range p.order {
		if id = clean(id, 60); !known[id] {
			known[id] = true
			out = append(out, id)
		}
	}
	return out
}

// clean makes one short line of foreign text, without variables of ours.
func clean(s string, limit int) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "")), " ")
	s = strings.ReplaceAll(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s), "${", "$ {")
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit-3], "") + "..."
	}
	return s
}

// shownBy are techniques and what shows them in the network that Convert writes:
// the acting host, and action, target and args in YAML. Sub-techniques without an
// entry take their technique's.
var shownBy = map[string]struct{ from, act string }{
	"T1018":     {"attacker", `action: icmp.ping, target: {network: servers}, args: {repeat: 1}`},
	"T1021.001": {"server-win", `action: host.behaviour, args: {behaviour: admin-logon, from_host: attacker}`},
	"T1021.002": {"server-win", `action: host.behaviour, args: {behaviour: share-collect, from_host: attacker}`},
	"T1021.004": {"attacker", `action: lateral.hop, target: {host: server-linux}, args: {protocol: ssh, credential: found, commands: [id]}`},
	"T1021.006": {"server-win", `action: host.behaviour, args: {behaviour: winrm-shell, from_host: attacker}`},
	"T1046":     {"attacker", `action: tcp.probe, target: {network: servers}, args: {ports: [22, 80, 445, 3389]}`},
	"T1053.003": {"server-linux", `action: host.behaviour, args: {behaviour: cron-changed}`},
	"T1071.001": {"server-win", `action: beacon.http, target: {external: 203.0.113.10}, args: {repeat: 20, every: 20s, jitter: 10%}`},
	"T1071.004": {"server-win", `action: dns.query, target: {host: server-linux}, args: {names: [a1.c2.invalid, b2.c2.invalid], repeat: 10, every: 10s}`},
	"T1041":     {"server-win", `action: transfer.bytes, target: {external: 203.0.113.10, port: 80}, args: {size: 200000, protocol: http}`},
	"T1048":     {"server-win", `action: transfer.bytes, target: {external: 203.0.113.10, port: 80}, args: {size: 200000, protocol: http}`},
	"T1020":     {"server-win", `action: transfer.bytes, target: {external: 203.0.113.10, port: 80}, args: {size: 200000, protocol: http}`},
	"T1110":     {"attacker", `action: ssh.login, target: {host: server-linux}, args: {user: root, wordlist: "builtin:decoy-20"}`},
	"T1110.003": {"attacker", `action: password.spray, target: {host: server-linux}, args: {protocol: ssh, userlist: "builtin:staff-12", wordlist: "builtin:spray-1"}`},
	"T1572":     {"server-win", `action: host.behaviour, target: {external: 203.0.113.10}, args: {behaviour: vpn-tunnel}`},
	"T1595":     {"attacker", `action: http.path_probe, target: {host: server-linux}`},
	"T1566.002": {"attacker", `action: smtp.mail, target: {host: server-win}, args: {mail_from: a@lure.example, rcpt_to: [b@works.example]}`},
}

// deed finds what shows a technique: an entry above, or a behaviour of a host.
func deed(technique string) (from, act string, ok bool) {
	parent, _, sub := strings.Cut(technique, ".")
	ids := []string{technique}
	if sub {
		ids = append(ids, parent)
	}
	for _, id := range ids {
		if d, ok := shownBy[id]; ok {
			return d.from, d.act, true
		}
		if b, windows := behaviourOf(id); b != "" {
			from = "server-linux"
			if windows {
				from = "server-win"
			}
			return from, "action: host.behaviour, args: {behaviour: " + b + ", from_host: attacker}", true
		}
	}
	return "", "", false
}

// behaviourOf is the first behaviour that shows a technique, and whether it is one
// of Windows hosts.
func behaviourOf(technique string) (string, bool) {
	for _, windows := range []bool{true, false} {
		for _, b := range record.Behaviours() {
			if (b.Family == "windows") == windows && slices.Contains(b.Techniques, technique) {
				return b.Name, windows
			}
		}
	}
	return "", false
}

// mapped tells why an ability does not become a step, "" where it does.
func (a *ability) mapped() string {
	_, _, ok := deed(a.technique)
	switch {
	case !fits(techniquePattern, a.technique):
		return "its technique is no id of ATT&CK"
	case !slices.Contains(tactics, a.tactic):
		return "its tactic is none of ATT&CK's"
	case !ok:
		return "no action shows its technique"
	}
	return ""
}

const importHead = `# yaml-language-server: $schema=./range-1.schema.json
range: "1"
id: imported-plan
name: %s
description: "Imported from %s. The network and what stands for the plan's commands are ours: adapt them."
duration: %dm
clock: {mode: virtual}
variables:
  found_pass: {type: password}
networks:
  works: {cidr: 10.70.10.0/24, gateway: core}
  servers: {cidr: 10.70.20.0/24, gateway: core}
routers:
  core: {rules: [{from: any, to: any, action: allow}]}
hosts:
  attacker: {network: works, persona: linux-6, roles: [red]}
  server-linux: {network: servers, ip: 10.70.20.10, persona: linux-6, services: [{port: tcp/22, type: ssh, accept: [found]}, {port: tcp/80, type: http}, {port: udp/53, type: dns}]}
  server-win: {network: servers, ip: 10.70.20.20, persona: windows-server-2019, user: svc-web, services: [{port: tcp/80, type: http}, {port: tcp/445, type: smb}, {port: tcp/25, type: smtp}]}
  desk: {network: works, count: 3, persona: windows-10, roles: [green]}
credentials:
  found: {user: wart, password: "${vars.found_pass}"}
background:
  - {id: browse, from: desk, action: http.get, target: server-linux, paths: [/, /news], every: 2m, jitter: 50%%}
  - {id: care, from: desk-1, action: ssh.login, target: server-linux, args: {credential: found, commands: [uptime]}, every: 20m}
  - {id: mistyped, from: desk-2, action: ssh.login, target: server-linux, args: {user: wart, wordlist: "builtin:spray-1"}, every: 40m}
`

func (p *plan) convert(name string) (*Converted, error) {
	out := &Converted{}
	var steps, notes strings.Builder
	ids := map[string]int{}
	skip := func(format string, args ...any) {
		line := fmt.Sprintf("not emulated: "+format, args...)
		out.Skipped = append(out.Skipped, line)
		fmt.Fprintf(&notes, "  - %s\n", quote(clean(line, 900)))
	}
	for _, id := range p.missing() {
		skip("%s, which the profile names: it is not in the file", id)
	}
	for i := range p.abilities {
		a := &p.abilities[i]
		if why := a.mapped(); why != "" {
			skip("%s %s (%s): %s", a.technique, a.name, a.id, why)
			continue
		}
		from, act, _ := deed(a.technique)
		out.Steps++
		id := stepID(a, out.Steps, ids)
		fmt.Fprintf(&steps, "    - {id: %s, name: %s, technique: {attack_id: %s, name: %s}, tactic: %s, from: %s, %s, delay: {min: 30s, max: 2m}, procedure_group: %s, procedure_step: %s, source: %s,\n       description: %s}\n",
			id, quote(a.name), a.technique, quote(a.techTitle), a.tactic, from, act, quote(a.group), quote(a.step), quote(a.source), quote(a.description))
	}
	var b strings.Builder
	fmt.Fprintf(&b, importHead, quote(p.title), strings.Trim(quote(clean(name, 120)), `"`), 30+15*out.Steps)
	if notes.Len() > 0 {
		b.WriteString("notes:\n" + notes.String())
	}
	b.WriteString("adversary:\n  name: " + quote(p.title) + "\n")
	if out.Steps > 0 {
		b.WriteString("  steps:\n" + steps.String())
	}
	out.YAML = []byte(b.String())
	if _, err := Load("imported", strings.NewReader(b.String())); err != nil {
		return nil, fmt.Errorf("the scenario made of %s does not load: %w", name, err)
	}
	return out, nil
}

// stepID is the plan's id where it may stand as one, else a number.
func stepID(a *ability, n int, seen map[string]int) string {
	id := a.id
	if !fits(wordPattern, id) {
		id = "step-" + strconv.Itoa(n)
	}
	if seen[id]++; seen[id] > 1 {
		id = "step-" + strconv.Itoa(n) + "-" + strconv.Itoa(seen[id])
		seen[id]++
	}
	return quote(id)
}

// quote writes a text as YAML does between double quotes; what clean let through
// needs no other escape than these.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
