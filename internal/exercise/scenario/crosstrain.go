package scenario

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/yamldoc"
)

// levels checks what trainees are asked.
func (c *checker) levels(root *yamldoc.Node, s *Scenario) {
	list := value(value(root, "training"), "levels")
	seen := map[string]bool{}
	for i := range s.Training.Levels {
		l := &s.Training.Levels[i]
		at := list.Content[i].Line
		if seen[l.ID] {
			c.fault(at, "give it another id", "training.levels[%d]: the id %s is there twice", i, clip(l.ID))
		}
		seen[l.ID] = true
		asks := slices.Contains([]string{"training", "question", "access", "response"}, l.Type)
		if asks && (l.Answer == nil || len(l.Answer.Equals) == 0 && l.Answer.State == nil) {
			c.fault(at, "write answer: {equals: TEXT} or answer: {state: {host: NAME, isolated: true}}", "training.levels[%s]: nothing solves it", l.ID)
		}
		if l.Type == "assessment" && len(l.Questions) == 0 {
			c.fault(at, "write questions:", "training.levels[%s]: it asks nothing", l.ID)
		}
		c.state(list.Content[i], s, l)
		for k := range l.Questions {
			c.question(value(list.Content[i], "questions").Content[k].Line, s, l, k)
		}
	}
	steps := value(value(root, "adversary"), "steps")
	for i := range s.Adversary.Steps {
		if h := s.host(s.Adversary.Steps[i].From); h != nil && len(h.Access) > 0 {
			c.fault(steps.Content[i].Line, "let it begin at another host", "step %s acts from %s, where trainees sit: what comes from there is theirs", s.Adversary.Steps[i].ID, h.Name)
		}
	}
	c.entries(root, s)
}

// entries checks that trainees get in, and may be where they are.
func (c *checker) entries(root *yamldoc.Node, s *Scenario) {
	ways := func(h Host) bool {
		return slices.Contains(h.Access, "socks5") || slices.Contains(h.Access, "wireguard")
	}
	if len(s.Training.Levels) > 0 && !slices.ContainsFunc(s.Hosts, ways) {
		c.fault(c.at(root, "training"), "give a host access: [socks5, wireguard]", "training: no host lets trainees in")
	}
	for i := range s.Hosts {
		h := &s.Hosts[i]
		if n := s.network(h.Network); len(h.Access) > 0 && n != nil && !n.AccessibleByUser {
			c.fault(c.at(root, "hosts", h.Group, "access"), "put it into another network, or leave accessible_by_user out", "hosts.%s: trainees sit in the network %s, which is shut for them", h.Name, n.Name)
		}
	}
}

// state checks that one thing is wanted, and that the scenario has it.
func (c *checker) state(level *yamldoc.Node, s *Scenario, l *Level) {
	if l.Answer == nil || l.Answer.State == nil {
		return
	}
	v, node := l.Answer.State, value(value(level, "answer"), "state")
	var keys []string
	for k := range entries(node) {
		if k != "host" {
			keys = append(keys, k)
		}
	}
	if len(keys) != 1 {
		c.fault(node.Line, "write one of isolated, blocked, stopped, disabled, password_changed and read", "training.levels[%s].answer.state: one state is waited for, not %d", l.ID, len(keys))
		return
	}
	what := "training.levels[" + l.ID + "].answer.state." + keys[0]
	at := value(node, keys[0]).Line
	ofHost := keys[0] == "isolated" || keys[0] == "read"
	switch {
	case ofHost && v.Host == "":
		c.fault(node.Line, "write host: NAME beside it", "%s: it does not say of which host", what)
		return
	case !ofHost && v.Host != "":
		c.fault(node.Line, "leave host out", "%s: host does not belong to it", what)
	case keys[0] == "isolated" && s.host(v.Host) != nil && len(s.host(v.Host).Access) > 0:
		c.fault(at, "name another host", "%s: %s is where trainees sit", what, v.Host)
	}
	switch keys[0] {
	case "blocked":
		c.blockable(at, s, v.Blocked, what)
	case "stopped":
		c.stoppable(at, s, v.Stopped, what)
	case "disabled":
		c.account(at, s, v.Disabled, what)
	case "password_changed":
		c.account(at, s, v.Changed, what)
	case "read":
		c.readable(at, s, v, what)
	}
}

func (s *Scenario) host(name string) *Host {
	for i := range s.Hosts {
		if s.Hosts[i].Name == name {
			return &s.Hosts[i]
		}
	}
	return nil
}

// blockable checks what routers are to carry nothing from and to.
func (c *checker) blockable(at int, s *Scenario, place, what string) {
	known := s.host(place) != nil
	if a, err := netip.ParseAddr(place); err == nil {
		known = slices.ContainsFunc(s.Hosts, func(h Host) bool { return h.IP == a || h.IP6 == a }) ||
			slices.ContainsFunc(internet, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	for i := range s.Adversary.Steps {
		known = known || strings.EqualFold(s.Adversary.Steps[i].Target.External, place)
	}
	for i := range s.Background {
		known = known || strings.EqualFold(s.Background[i].Target.External, place)
	}
	switch {
	case len(s.Routers) == 0:
		c.fault(at, "write routers:, or ask for isolated", "%s: there is no router that could block", what)
	case !known:
		c.fault(at, "write the address of a host or of the internet inside, a host, or a name outside that a step goes to", "%s: nothing is called %q", what, clip(place))
	}
}

func (c *checker) stoppable(at int, s *Scenario, ref *ServiceRef, what string) {
	h := s.host(ref.Host)
	if h == nil {
		c.fault(at, suggest(ref.Host, c.names[namesHost].list), "%s: there is no host %q", what, clip(ref.Host))
		return
	}
	if !slices.ContainsFunc(h.Services, func(v Service) bool { return v.Port == ref.Port }) {
		c.fault(at, "name a port of its services", "%s: nothing answers at %s of %s", what, ref.Port, h.Name)
	}
}

func (c *checker) account(at int, s *Scenario, user, what string) {
	var known []string
	for _, cr := range s.Credentials {
		known = append(known, cr.User)
	}
	for i := range s.Hosts {
		known = append(known, s.Hosts[i].User)
	}
	if !slices.ContainsFunc(known, func(u string) bool { return u != "" && strings.EqualFold(u, user) }) {
		c.fault(at, suggest(user, known), "%s: no credential and no host has the user %q", what, clip(user))
	}
}

func (c *checker) readable(at int, s *Scenario, v *State, what string) {
	h := s.host(v.Host)
	if h == nil {
		return // told
	}
	i := slices.IndexFunc(h.Files, func(f File) bool { return f.Path == v.Read })
	switch {
	case i < 0:
		c.fault(at, "plant it with files:", "%s: %s has no file %s", what, h.Name, clip(v.Read))
	case h.Files[i].Honeytoken == "":
		c.fault(at, "give the file honeytoken: NAME, by which its reading is seen", "%s: %s of %s is no honeytoken", what, clip(v.Read), h.Name)
	}
}

// question checks right answers.
func (c *checker) question(at int, s *Scenario, l *Level, k int) {
	q := &l.Questions[k]
	if q.Type == AskChoice && len(q.Choices) < 2 {
		c.fault(at, "write choices: with two or more", "training.levels[%s].questions[%d]: there is nothing to choose from", l.ID, k)
	}
	if q.Type != AskChoice && len(q.Choices) > 0 {
		c.fault(at, "leave choices out, or write type: mcq", "training.levels[%s].questions[%d]: choices belong to mcq", l.ID, k)
	}
	for i, right := range q.Correct {
		if slices.Contains(q.Correct[:i], right) {
			c.fault(at, "write it once", "training.levels[%s].questions[%d]: %q is there twice", l.ID, k, clip(right))
		}
		switch {
		case q.Type == AskChoice && !slices.Contains(q.Choices, right):
			c.fault(at, "name one of the choices", "training.levels[%s].questions[%d]: %q is no choice", l.ID, k, clip(right))
		case q.Type == AskHosts && s.host(right) == nil:
			c.fault(at, suggest(right, c.names[namesHost].list), "training.levels[%s].questions[%d]: there is no host %q", l.ID, k, clip(right))
		case q.Type == AskTechniques && !fits(techniquePattern, right):
			c.fault(at, "write an id of ATT&CK such as T1110.001", "training.levels[%s].questions[%d]: %q is no technique", l.ID, k, clip(right))
		case q.Type == AskAlerts && !slices.ContainsFunc(s.Adversary.Steps, func(t Step) bool { return t.ID == right }):
			c.fault(at, "name steps of the adversary", "training.levels[%s].questions[%d]: there is no step %q", l.ID, k, clip(right))
		}
	}
}
