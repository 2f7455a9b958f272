package scenario

// Constructors of Spec, so that the tables read as the format does.

func text(limit float64) Spec     { return Spec{Type: TypeText, Max: limit, Pattern: printable} }
func line(limit float64) Spec     { return Spec{Type: TypeText, Max: limit, Pattern: oneLine} }
func matching(p string) Spec      { return Spec{Type: TypeText, Max: 1024, Pattern: p} }
func name(of string) Spec         { return Spec{Type: TypeName, Names: of, Pattern: wordPattern} }
func word(of ...string) Spec      { return Spec{Type: TypeWord, Words: of} }
func integer(lo, hi float64) Spec { return Spec{Type: TypeInteger, Min: lo, Max: hi} }
func number(lo, hi float64) Spec  { return Spec{Type: TypeNumber, Min: lo, Max: hi} }
func span(lo, hi float64) Spec    { return Spec{Type: TypeDuration, Min: lo, Max: hi} }
func boolean() Spec               { return Spec{Type: TypeBoolean} }
func plain(t Type) Spec           { return Spec{Type: t} }
func block(f ...Field) Spec       { return Spec{Type: TypeBlock, Fields: f} }

func list(limit float64, elem Spec) Spec { return Spec{Type: TypeList, Max: limit, Elem: &elem} }
func listOrOne(limit float64, elem Spec) Spec {
	return Spec{Type: TypeListOrOne, Max: limit, Elem: &elem}
}

func table(limit float64, key string, elem Spec) Spec {
	return Spec{Type: TypeTable, Max: limit, Pattern: key, Elem: &elem}
}
func either(one, other Spec) Spec { return Spec{Type: TypeEither, One: &one, Elem: &other} }

func some(s Spec) Spec { s.Min = 1; return s }

// Patterns of texts; each fits the whole.
const (
	wordPattern      = `[A-Za-z0-9][A-Za-z0-9_.-]{0,62}`
	hostPattern      = `[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`
	printable        = `[^\x00-\x08\x0b-\x1f\x7f]*`
	oneLine          = `[^\x00-\x1f\x7f]*`
	techniquePattern = `T[0-9]{4}(\.[0-9]{3})?`
	userPattern      = `[A-Za-z0-9][A-Za-z0-9 @._\\$-]{0,63}`
	pathPattern      = `/[!-~]{0,511}`
	filePattern      = `(/|[A-Za-z]:\\)[^\x00-\x1f\x7f]{0,255}`
	versionPattern   = `[0-9]{1,2}(\.[0-9]{1,2})?`
	rulePattern      = `(sigma|builtin):[A-Za-z0-9][A-Za-z0-9_/.-]{0,99}`
	oidPattern       = `[0-9]{1,3}(\.[0-9]{1,10}){1,40}`
	topicPattern     = `[!-~]{1,200}`
	mailPattern      = `[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]{1,190}`
	sharePattern     = `[A-Za-z0-9][A-Za-z0-9_.-]{0,62}\$?`
	agentPattern     = `[ -~]{1,300}`
	dnsPattern       = `[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9])?`
)

// What names refer to.
const (
	namesHost       = "host"
	namesPlace      = "host, group or network"
	namesNetwork    = "network"
	namesRouter     = "router"
	namesCredential = "credential"
	namesDetection  = "detection"
	namesStep       = "step"
)

const day = 24 * 3600

// fileSpec is the whole file.
func fileSpec() Spec {
	return block(
		Field{Name: "range", Doc: "version of this format", Spec: word("1"), Required: true},
		Field{Name: "id", Doc: "lower-case words joined by dashes", Spec: matching(hostPattern), Required: true},
		Field{Name: "name", Doc: "what people call it", Spec: some(line(120)), Required: true},
		Field{Name: "description", Doc: "what happens, for people", Spec: text(4000)},
		Field{Name: "level", Doc: "whom it is for", Spec: word("beginner", "intermediate", "advanced")},
		Field{Name: "duration", Doc: "when the exercise ends", Spec: span(1, 7*day), Required: true},
		Field{Name: "attack", Doc: "version of ATT&CK that the ids are from", Spec: block(
			Field{Name: "domain", Doc: "matrix", Spec: word("enterprise-attack", "ics-attack", "mobile-attack"), Default: "enterprise-attack"},
			Field{Name: "version", Doc: "such as 18.1", Spec: matching(versionPattern), Default: "18.1"},
		), Default: "{}"},
		Field{Name: "seed", Doc: "every random choice comes from it", Spec: integer(0, 1<<53), Default: "1"},
		Field{Name: "clock", Doc: "real time, or virtual time that jumps to where something happens", Spec: block(
			Field{Name: "mode", Doc: "real or virtual", Spec: word("real", "virtual"), Default: "real"},
			Field{Name: "speed", Doc: "of a real clock: 1 is as fast as life", Spec: number(0.1, 100), Default: "1"},
		), Default: "{}"},
		Field{Name: "notes", Doc: "for people; an import names here what it left out", Spec: list(2*maxAbilities, line(1000))},
		Field{Name: "variables", Doc: "values drawn for each trainee from the seed and his name", Spec: table(100, wordPattern, variableSpec())},
		Field{Name: "networks", Doc: "segments", Spec: some(table(MaxNetworks, hostPattern, networkSpec())), Required: true},
		Field{Name: "routers", Doc: "what joins networks", Spec: table(64, hostPattern, routerSpec())},
		Field{Name: "hosts", Doc: "machines", Spec: some(table(MaxHosts, hostPattern, hostSpec())), Required: true},
		Field{Name: "credentials", Doc: "users with passwords that services accept and steps use", Spec: table(1000, wordPattern, credentialSpec())},
		Field{Name: "tokens", Doc: "planted things whose use is an alarm", Spec: table(1000, wordPattern, block(
			Field{Name: "kind", Doc: "what it is", Spec: word("file", "credential"), Required: true},
			Field{Name: "description", Doc: "for people", Spec: line(500)},
		))},
		Field{Name: "background", Doc: "what people who work here do, again and again", Spec: list(500, backgroundSpec())},
		Field{Name: "adversary", Doc: "the intruder; none in a control run", Spec: adversarySpec(), Default: "{}"},
		Field{Name: "detections", Doc: "rules that notice steps", Spec: table(500, wordPattern, detectionSpec())},
		Field{Name: "training", Doc: "what trainees go through", Spec: trainingSpec(), Default: "{}"},
		Field{Name: "scoring", Doc: "how points are counted", Spec: scoringSpec(), Default: "{}"},
		Field{Name: "export", Doc: "files that a run leaves", Spec: list(16, word("pcapng", "flows.jsonl", "events.jsonl", "events.ocsf.jsonl", "steps.jsonl",
			"navigator-layer", "attack-flow", "report.html", "report.json", "junit"))},
	)
}

func variableSpec() Spec {
	return block(
		Field{Name: "type", Doc: "what is drawn", Spec: word("username", "password", "port", "ip", "token", "choice"), Required: true},
		Field{Name: "length", Doc: "of a password or token, in characters", Spec: integer(4, 64)},
		Field{Name: "network", Doc: "of an ip: a free address of it", Spec: name(namesNetwork)},
		Field{Name: "min", Doc: "of a port", Spec: integer(1, 65535)},
		Field{Name: "max", Doc: "of a port", Spec: integer(1, 65535)},
		Field{Name: "choices", Doc: "of a choice", Spec: list(1000, line(200))},
	)
}

func networkSpec() Spec {
	return block(
		Field{Name: "description", Doc: "for people", Spec: line(500)},
		Field{Name: "cidr", Doc: "private or documentation addresses", Spec: plain(TypePrefix), Required: true},
		Field{Name: "cidr6", Doc: "IPv6 beside it: fd00::/8 or 2001:db8::/32", Spec: plain(TypePrefix)},
		Field{Name: "gateway", Doc: "router; none: nothing leaves the segment", Spec: name(namesRouter)},
		Field{Name: "accessible_by_user", Doc: "trainees may enter here", Spec: boolean(), Default: "true"},
		Field{Name: "hidden", Doc: "not in the picture that trainees see", Spec: boolean()},
		Field{Name: "fill", Doc: "decoys on addresses that no host has", Spec: block(
			Field{Name: "persona", Doc: "of all of them, or mixed", Spec: name("persona"), Default: "mixed"},
			Field{Name: "density", Doc: "part of the addresses", Spec: plain(TypeShare), Default: "1"},
		)},
		Field{Name: "mtu", Doc: "bytes of the largest packet", Spec: integer(1280, 65535), Default: "1500"},
		Field{Name: "latency", Doc: "of each packet", Spec: span(0, 10)},
		Field{Name: "jitter", Doc: "more or less than the latency, at most as much", Spec: span(0, 10)},
		Field{Name: "loss", Doc: "of packets", Spec: plain(TypeShare)},
		Field{Name: "bandwidth", Doc: "unlimited without", Spec: plain(TypeBandwidth)},
	)
}

func routerSpec() Spec {
	ends := some(listOrOne(100, line(64)))
	return block(
		Field{Name: "persona", Doc: "system that it claims to be", Spec: name("persona"), Default: "router"},
		Field{Name: "default", Doc: "what no rule names", Spec: word("deny", "allow"), Default: "deny"},
		Field{Name: "nat", Doc: "networks of its own, or internet: what goes out there bears the router's address", Spec: listOrOne(64, matching(hostPattern))},
		Field{Name: "rules", Doc: "the first that fits counts", Spec: list(1000, block(
			Field{Name: "from", Doc: "networks, hosts, prefixes, any or internet", Spec: ends, Default: "any"},
			Field{Name: "to", Doc: "networks, hosts, prefixes, any or internet", Spec: ends, Default: "any"},
			Field{Name: "ports", Doc: "every one without", Spec: listOrOne(100, plain(TypePorts))},
			Field{Name: "action", Doc: "what happens", Spec: word("allow", "deny"), Required: true},
		))},
	)
}

func hostSpec() Spec {
	return block(
		Field{Name: "description", Doc: "for people", Spec: line(500)},
		Field{Name: "network", Doc: "where it is", Spec: name(namesNetwork), Required: true},
		Field{Name: "ip", Doc: "drawn from the seed without", Spec: plain(TypeAddress)},
		Field{Name: "ip6", Doc: "drawn where the network has IPv6", Spec: plain(TypeAddress)},
		Field{Name: "count", Doc: "so many of it: NAME-1, NAME-2 ...; NAME stands for all", Spec: integer(1, MaxHosts)},
		Field{Name: "persona", Doc: "system that it claims to be", Spec: name("persona"), Default: "linux-5"},
		Field{Name: "domain", Doc: "DNS domain", Spec: matching(dnsPattern)},
		Field{Name: "roles", Doc: "red: the intruder's; green: people work here; blue: the defenders'", Spec: list(4, word("red", "green", "blue", "server"))},
		Field{Name: "hidden", Doc: "not in the picture that trainees see", Spec: boolean()},
		Field{Name: "decoy", Doc: "nobody has business here", Spec: boolean()},
		Field{Name: "access", Doc: "entries for trainees: range serve opens wireguard and socks5", Spec: list(3, word("wireguard", "socks5", "web-terminal"))},
		Field{Name: "user", Doc: "who works here", Spec: matching(userPattern)},
		Field{Name: "services", Doc: "what answers", Spec: list(64, block(
			Field{Name: "port", Doc: "such as tcp/22", Spec: plain(TypePort), Required: true},
			Field{Name: "type", Doc: "kind of service", Spec: name("service"), Required: true},
			Field{Name: "banner", Doc: "the persona's without", Spec: line(200)},
			Field{Name: "site", Doc: "of http", Spec: name("site")},
			Field{Name: "accept", Doc: "credentials that let in", Spec: listOrOne(100, name(namesCredential))},
			Field{Name: "decoy", Doc: "this service alone is a decoy", Spec: boolean()},
		))},
		Field{Name: "files", Doc: "what lies on it", Spec: list(500, block(
			Field{Name: "path", Doc: "absolute", Spec: matching(filePattern), Required: true},
			Field{Name: "content", Doc: "text", Spec: text(64 << 10)},
			Field{Name: "honeytoken", Doc: "id of the token that it is", Spec: matching(wordPattern)},
		))},
		Field{Name: "mail", Doc: "what lies in mailboxes", Spec: list(1000, block(
			Field{Name: "user", Doc: "whose mailbox", Spec: matching(userPattern), Required: true},
			Field{Name: "from", Doc: "sender", Spec: line(200)},
			Field{Name: "subject", Doc: "first line", Spec: line(200)},
			Field{Name: "body", Doc: "text", Spec: text(16 << 10)},
		))},
	)
}

func credentialSpec() Spec {
	return block(
		Field{Name: "user", Doc: "name to log in with", Spec: matching(userPattern), Required: true},
		Field{Name: "password", Doc: "usually ${vars.NAME}", Spec: some(line(128)), Required: true},
		Field{Name: "decoy", Doc: "planted: its use is an alarm", Spec: boolean()},
		Field{Name: "token", Doc: "id of its token", Spec: matching(wordPattern)},
	)
}

func targetSpec() Spec {
	return block(
		Field{Name: "host", Doc: "one host", Spec: name(namesHost)},
		Field{Name: "hosts", Doc: "hosts or groups", Spec: some(listOrOne(1000, name(namesPlace)))},
		Field{Name: "network", Doc: "every address of a network", Spec: name(namesNetwork)},
		Field{Name: "external", Doc: "a documentation address, or a name below .invalid, .test or .example: answered inside", Spec: line(253)},
		Field{Name: "port", Doc: "the action's usual one without", Spec: integer(1, 65535)},
		Field{Name: "ipv6", Doc: "by the IPv6 addresses of its hosts", Spec: boolean()},
	)
}

func backgroundSpec() Spec {
	return block(
		Field{Name: "id", Doc: "its name", Spec: matching(wordPattern), Required: true},
		Field{Name: "from", Doc: "hosts or groups: each of them does it", Spec: some(listOrOne(1000, name(namesPlace))), Required: true},
		Field{Name: "action", Doc: "one of the closed list", Spec: name("action"), Required: true},
		Field{Name: "target", Doc: "a host, group or network by name, or a block as in steps", Spec: either(name(namesPlace), targetSpec())},
		Field{Name: "args", Doc: "what the action takes", Spec: plain(TypeArgs)},
		Field{Name: "paths", Doc: "short for args.paths", Spec: listOrOne(100, matching(pathPattern))},
		Field{Name: "every", Doc: "pause between", Spec: span(1, day), Required: true},
		Field{Name: "jitter", Doc: "of the pause", Spec: plain(TypeShare), Default: "30%"},
		Field{Name: "at", Doc: "since the start", Spec: span(0, 7*day)},
		Field{Name: "until", Doc: "since the start; to the end without", Spec: span(0, 7*day)},
	)
}

func adversarySpec() Spec {
	return block(
		Field{Name: "name", Doc: "who it is", Spec: line(120)},
		Field{Name: "description", Doc: "for people", Spec: text(4000)},
		Field{Name: "threat", Doc: "id of a threat profile", Spec: matching(wordPattern)},
		Field{Name: "steps", Doc: "in order", Spec: list(MaxSteps, stepSpec())},
	)
}

func stepSpec() Spec {
	return block(
		Field{Name: "id", Doc: "its name", Spec: matching(wordPattern), Required: true},
		Field{Name: "name", Doc: "for people", Spec: line(200)},
		Field{Name: "description", Doc: "for people", Spec: text(4000)},
		Field{Name: "technique", Doc: "of ATT&CK", Spec: block(
			Field{Name: "attack_id", Doc: "such as T1110.001", Spec: plain(TypeTechnique), Required: true},
			Field{Name: "name", Doc: "for people", Spec: line(200)},
		), Required: true},
		Field{Name: "emulates", Doc: "further techniques that it shows", Spec: list(20, plain(TypeTechnique))},
		Field{Name: "tactic", Doc: "of ATT&CK 18 or 19", Spec: word(tactics...), Required: true},
		Field{Name: "from", Doc: "host that acts; of host.* the one that keeps the records", Spec: name(namesHost), Required: true},
		Field{Name: "action", Doc: "one of the closed list", Spec: name("action"), Required: true},
		Field{Name: "target", Doc: "where it goes", Spec: targetSpec(), Default: "{}"},
		Field{Name: "args", Doc: "what the action takes", Spec: plain(TypeArgs)},
		Field{Name: "at", Doc: "since the start", Spec: span(0, 7*day)},
		Field{Name: "after", Doc: "steps that have ended; the one before it without at and after", Spec: listOrOne(100, name(namesStep))},
		Field{Name: "delay", Doc: "after that", Spec: either(span(0, day), block(
			Field{Name: "min", Doc: "shortest", Spec: span(0, day)},
			Field{Name: "max", Doc: "longest", Spec: span(0, day)},
		))},
		Field{Name: "on_failure", Doc: "stop ends the intruder's work", Spec: word(FailContinue, FailStop), Default: FailContinue},
		Field{Name: "expect", Doc: "what should be noticed", Spec: block(
			Field{Name: "level", Doc: "how well", Spec: word("telemetry", "general", "tactic", "technique"), Required: true},
			Field{Name: "within", Doc: "since the step began", Spec: span(1, 7*day), Required: true},
			Field{Name: "detections", Doc: "names of detections", Spec: list(50, name(namesDetection))},
			Field{Name: "all", Doc: "every one must fire, not one of them", Spec: boolean()},
			Field{Name: "optional", Doc: "a miss fails no run", Spec: boolean()},
		)},
		Field{Name: "procedure_group", Doc: "of an imported plan", Spec: line(200)},
		Field{Name: "procedure_step", Doc: "of an imported plan", Spec: line(200)},
		Field{Name: "source", Doc: "where it was read", Spec: line(500)},
	)
}

func detectionSpec() Spec {
	return block(
		Field{Name: "rule", Doc: "sigma:ID, sigma:NAME or builtin:NAME; of several, any counts", Spec: some(listOrOne(20, matching(rulePattern))), Required: true},
		Field{Name: "source", Doc: "what it reads", Spec: word("decoy", "netflow", "auth", "web", "dns", "mail", "cloud", "host", "process", "registry", "service", "file"), Required: true},
		Field{Name: "optional", Doc: "the rule may be missing, such as one of SigmaHQ's", Spec: boolean()},
	)
}

func trainingSpec() Spec {
	points, wait := integer(0, 10_000), span(0, 7*day)
	question := block(
		Field{Name: "type", Doc: "mcq, text, or lists with partial credit: hosts, techniques, alerts", Spec: word(AskChoice, AskText, AskHosts, AskTechniques, AskAlerts), Required: true},
		Field{Name: "text", Doc: "the question", Spec: some(text(4000)), Required: true},
		Field{Name: "choices", Doc: "of mcq", Spec: list(20, line(500))},
		Field{Name: "correct", Doc: "right answers: of mcq, hosts and techniques all of them, of text any, of alerts the steps that they are about", Spec: some(listOrOne(20, line(500))), Required: true},
		Field{Name: "points", Doc: "for a right answer", Spec: points},
	)
	return block(Field{Name: "levels", Doc: "one after the other", Spec: list(200, block(
		Field{Name: "id", Doc: "its name", Spec: matching(wordPattern), Required: true},
		Field{Name: "type", Doc: "what it is", Spec: word("info", "training", "question", "access", "response", "assessment"), Required: true},
		Field{Name: "title", Doc: "for people", Spec: line(200)},
		Field{Name: "content", Doc: "what trainees read", Spec: text(16 << 10)},
		Field{Name: "answer", Doc: "what solves it", Spec: block(
			Field{Name: "equals", Doc: "any of these; case does not count", Spec: some(listOrOne(50, line(500)))},
			Field{Name: "state", Doc: "of the lab: one of isolated, blocked, stopped, disabled, password_changed, read", Spec: block(
				Field{Name: "host", Doc: "of isolated and read", Spec: name(namesHost)},
				Field{Name: "isolated", Doc: "the host is cut off from the network, or with false joined", Spec: boolean()},
				Field{Name: "blocked", Doc: "an address, a host or a name outside that routers carry nothing from and to", Spec: line(255)},
				Field{Name: "stopped", Doc: "a service that answers no more, such as web01/tcp/80", Spec: plain(TypeService)},
				Field{Name: "disabled", Doc: "a user who gets in nowhere any more", Spec: matching(userPattern)},
				Field{Name: "password_changed", Doc: "a user whose password is another one now", Spec: matching(userPattern)},
				Field{Name: "read", Doc: "path of a file of the host, a honeytoken, that the trainee has looked at", Spec: matching(filePattern)},
			)},
		)},
		Field{Name: "points", Doc: "for solving it", Spec: points},
		Field{Name: "incorrect_answer_limit", Doc: "wrong answers before it is lost", Spec: integer(0, 1000)},
		Field{Name: "minimal_possible_solve_time", Doc: "solved faster, it is marked", Spec: wait},
		Field{Name: "deadline", Doc: "later, it gives no points", Spec: wait},
		Field{Name: "hints", Doc: "each costs", Spec: list(20, block(
			Field{Name: "id", Doc: "its name", Spec: matching(wordPattern), Required: true},
			Field{Name: "text", Doc: "the hint", Spec: some(text(4000)), Required: true},
			Field{Name: "cost", Doc: "points", Spec: points},
		))},
		Field{Name: "solution", Doc: "shown on demand", Spec: block(
			Field{Name: "text", Doc: "the solution", Spec: some(text(4000)), Required: true},
			Field{Name: "penalized", Doc: "no points after it was shown", Spec: boolean(), Default: "true"},
		)},
		Field{Name: "mitre_techniques", Doc: "that it teaches", Spec: list(50, plain(TypeTechnique))},
		Field{Name: "questions", Doc: "of an assessment", Spec: list(100, question)},
	))})
}

func scoringSpec() Spec {
	percent := number(0, 100)
	return block(
		Field{Name: "weights", Doc: "parts of the score", Spec: block(
			Field{Name: "detection", Doc: "steps noticed", Spec: percent, Default: "40"},
			Field{Name: "response", Doc: "right answers of kind response", Spec: percent, Default: "25"},
			Field{Name: "availability", Doc: "services that kept answering", Spec: percent, Default: "15"},
			Field{Name: "tasks", Doc: "levels solved", Spec: percent, Default: "20"},
		), Default: "{}"},
		Field{Name: "detection", Doc: "worth of a step by how it was noticed, percent", Spec: block(
			Field{Name: "none", Doc: "not at all", Spec: percent, Default: "0"},
			Field{Name: "telemetry", Doc: "recorded", Spec: percent, Default: "25"},
			Field{Name: "general", Doc: "an alert", Spec: percent, Default: "50"},
			Field{Name: "tactic", Doc: "an alert of the right tactic", Spec: percent, Default: "75"},
			Field{Name: "technique", Doc: "an alert of the right technique", Spec: percent, Default: "100"},
		), Default: "{}"},
		Field{Name: "time_to_detect", Doc: "late alerts are worth less", Spec: block(
			Field{Name: "full_until", Doc: "worth everything until", Spec: span(0, 7*day), Default: "1m"},
			Field{Name: "zero_at", Doc: "worth nothing from", Spec: span(0, 7*day), Default: "15m"},
		), Default: "{}"},
		Field{Name: "false_alarm", Doc: "alerts that no step explains", Spec: block(
			Field{Name: "penalty", Doc: "points each", Spec: percent, Default: "5"},
			Field{Name: "max", Doc: "points in all", Spec: percent, Default: "30"},
		), Default: "{}"},
		Field{Name: "hints", Doc: "when they are charged", Spec: block(
			Field{Name: "charge", Doc: "when they are charged", Spec: word("on_solve", "on_take"), Default: "on_solve"},
		), Default: "{}"},
		Field{Name: "availability", Doc: "services that are asked", Spec: block(
			Field{Name: "services", Doc: "such as web01/tcp/80", Spec: list(200, plain(TypeService))},
			Field{Name: "interval", Doc: "how often", Spec: span(1, day), Default: "30s"},
		), Default: "{}"},
	)
}
