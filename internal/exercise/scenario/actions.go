package scenario

import (
	"time"

	"github.com/lapwing-defence/lapwing/internal/exercise/wire"
)

// Arguments that several actions share.

func repeats(def, every string) []Field {
	return []Field{
		{Name: "repeat", Doc: "how often", Spec: integer(1, 100_000), Default: def},
		{Name: "every", Doc: "pause between", Spec: span(0.01, day), Default: every},
		{Name: "jitter", Doc: "of the pause", Spec: plain(TypeShare), Default: "0"},
	}
}

func ports() []Field {
	return []Field{
		{Name: "ports", Doc: "in this order", Spec: some(list(1024, integer(1, 65535))), Required: true},
		{Name: "rate", Doc: "probes in a time", Spec: plain(TypeRate), Default: "50/s"},
	}
}

// login is how to log in: with a credential of the scenario, or by guessing with
// a word list that is built in.
func login() []Field {
	return []Field{
		{Name: "credential", Doc: "of the scenario", Spec: name(namesCredential)},
		{Name: "user", Doc: "whose password is guessed", Spec: matching(userPattern)},
		{Name: "wordlist", Doc: "passwords, or users with passwords", Spec: word(wordlistNames("passwords")...)},
		{Name: "delay", Doc: "between tries and commands", Spec: span(0, 3600), Default: "1s"},
	}
}

func typed() Field {
	return Field{Name: "commands", Doc: "typed into the shell of a fake host, which runs nothing", Spec: list(100, line(512))}
}

func agent() Field {
	return Field{Name: "user_agent", Doc: "what it says it is", Spec: matching(agentPattern)}
}

func web() []Field {
	return []Field{
		{Name: "host_header", Doc: "name asked for; the target's without", Spec: matching(dnsPattern)},
		agent(),
		{Name: "headers", Doc: "further ones", Spec: table(20, wordPattern, line(300))},
	}
}

func path(def string) Field {
	return Field{Name: "path", Doc: "where it lies", Spec: matching(pathPattern), Default: def}
}

func protocol(of ...string) Field {
	return Field{Name: "protocol", Doc: "how", Spec: word(of...), Default: of[0]}
}

func join2(groups ...[]Field) []Field {
	var out []Field
	for _, g := range groups {
		out = append(out, g...)
	}
	return out
}

// record are the arguments of every host.* action.
func recorded(f ...Field) []Field {
	return append(f, Field{Name: "user", Doc: "whose account; the host's user without", Spec: matching(userPattern)})
}

func told(name, doc string, required bool) Field {
	return Field{Name: name, Doc: doc, Spec: line(512), Required: required}
}

// Actions is the closed list of what can happen in a range.
var Actions = []Action{
	{
		Name: "icmp.ping", Doc: "echo requests", Targets: ToHost | ToNetwork | ToExternal, Args: repeats("3", "1s"),
		length: func(a Args, n int) time.Duration { return times(a.Duration("every"), a.Int("repeat")*n) },
	},
	{
		Name: "tcp.probe", Doc: "half-open probes of ports", Targets: ToHost | ToNetwork, Args: ports(),
		length: func(a Args, n int) time.Duration { return rated(a, n*len(a.Ints("ports"))) },
	},
	{
		Name: "tcp.connect", Doc: "full connections to ports; what the server says first is read", Targets: ToHost | ToNetwork | ToExternal, Args: ports(),
		length: func(a Args, n int) time.Duration { return rated(a, n*len(a.Ints("ports"))) },
	},
	{
		Name: "udp.probe", Doc: "datagrams to ports", Targets: ToHost | ToNetwork, Args: ports(),
		length: func(a Args, n int) time.Duration { return rated(a, n*len(a.Ints("ports"))) },
	},
	{Name: "dns.query", Doc: "questions to the inside DNS", Targets: ToHost | ToNothing, Port: 53, Args: join2([]Field{
		{Name: "names", Doc: "asked for", Spec: some(listOrOne(200, matching(dnsPattern))), Required: true},
		{Name: "type", Doc: "of record", Spec: word("A", "AAAA", "TXT", "MX", "NS", "PTR", "SRV"), Default: "A"},
	}, repeats("1", "1s")), length: func(a Args, n int) time.Duration { return times(repeated(a, n), max(len(a.Texts("names")), 1)) }},
	{Name: "dns.tunnel_like", Doc: "many long random names below one domain, as a tunnel asks", Targets: ToHost | ToNothing, Port: 53, Args: []Field{
		{Name: "domain", Doc: "below which", Spec: matching(dnsPattern), Required: true},
		{Name: "queries", Doc: "how many", Spec: integer(1, 10_000), Default: "200"},
		{Name: "label_length", Doc: "of each name", Spec: integer(8, 60), Default: "40"},
		{Name: "rate", Doc: "queries in a time", Spec: plain(TypeRate), Default: "10/s"},
	}, length: func(a Args, _ int) time.Duration { return rated(a, a.Int("queries")) }},
	{Name: "http.get", Doc: "requests for pages", Targets: ToHost | ToExternal, Port: 80, Args: join2([]Field{
		path("/"),
		{Name: "paths", Doc: "several, one after the other", Spec: list(200, matching(pathPattern))},
		{Name: "credential", Doc: "sent with each, as basic authentication", Spec: name(namesCredential)},
	}, web(), repeats("1", "10s")), length: repeated},
	{Name: "http.post_form", Doc: "a form sent", Targets: ToHost | ToExternal, Port: 80, Args: join2([]Field{
		path("/"),
		{Name: "fields", Doc: "of the form", Spec: table(20, wordPattern, line(300))},
		{Name: "credential", Doc: "as fields username and password", Spec: name(namesCredential)},
	}, web(), repeats("1", "10s")), length: repeated},
	{Name: "http.path_probe", Doc: "a list of paths asked for, as scanners do", Targets: ToHost, Port: 80, Args: join2([]Field{
		{Name: "wordlist", Doc: "which list", Spec: word(wordlistNames("paths")...), Default: "builtin:paths-60"},
		{Name: "rate", Doc: "requests in a time", Spec: plain(TypeRate), Default: "5/s"},
	}, web()), length: func(a Args, n int) time.Duration { return rated(a, n*len(Wordlist(a.Text("wordlist")))) }},
	{Name: "ssh.banner", Doc: "connects and reads the version", Targets: ToHost | ToNetwork, Port: 22},
	{Name: "ssh.login", Doc: "logs in or guesses, and types commands", Targets: ToHost, Port: 22, Args: append(login(), typed()), length: tried},
	{Name: "telnet.login", Doc: "logs in or guesses, and types commands", Targets: ToHost, Port: 23, Args: append(login(), typed()), length: tried},
	{Name: "ftp.login", Doc: "logs in or guesses, lists and reads", Targets: ToHost, Port: 21, Args: append(login(),
		Field{Name: "paths", Doc: "files read after it", Spec: list(50, matching(pathPattern))},
		Field{Name: "site", Doc: "words after SITE, as old flaws were asked for: a marker, no command", Spec: word("CPFR /range-marker", "HELP")}), length: tried},
	{Name: "smb.negotiate", Doc: "asks which dialects it speaks", Targets: ToHost | ToNetwork, Port: 445},
	{Name: "smb.login", Doc: "logs on or guesses, and opens a share", Targets: ToHost, Port: 445, Args: append(login(),
		Field{Name: "share", Doc: "opened after it", Spec: matching(sharePattern), Default: "IPC$"}), length: tried},
	{Name: "ldap.bind", Doc: "binds or guesses", Targets: ToHost, Port: 389, Args: login(), length: tried},
	{Name: "ldap.search", Doc: "binds and asks a directory for its users or computers", Targets: ToHost, Port: 389, Args: []Field{
		{Name: "credential", Doc: "to bind with", Spec: name(namesCredential), Required: true},
		{Name: "find", Doc: "what is asked for", Spec: word("users", "computers", "all"), Default: "users"},
		{Name: "base", Doc: "below which name", Spec: line(256)},
	}},
	{Name: "sql.login", Doc: "logs in or guesses", Targets: ToHost, Port: 1433, Args: append(login(), protocol("mssql", "mysql", "postgres")), length: tried},
	{Name: "sql.query", Doc: "logs in and asks one of a few questions; nothing is changed", Targets: ToHost, Port: 1433, Args: []Field{
		protocol("mssql", "mysql", "postgres"),
		{Name: "credential", Doc: "to log in with", Spec: name(namesCredential), Required: true},
		{Name: "ask", Doc: "questions, in this order", Spec: some(listOrOne(20, word(wire.SQLQuestions()...))), Required: true},
		{Name: "delay", Doc: "between questions", Spec: span(0, 3600), Default: "1s"},
	}, length: func(a Args, n int) time.Duration { return times(a.Duration("delay"), n*len(a.Texts("ask"))) }},
	{Name: "rdp.probe", Doc: "asks for a remote desktop, names a user, goes no further", Targets: ToHost | ToNetwork, Port: 3389, Args: []Field{
		{Name: "user", Doc: "named in the request", Spec: matching(userPattern)},
	}},
	{Name: "mqtt.connect", Doc: "connects to a broker and listens to topics", Targets: ToHost, Port: 1883, Args: []Field{
		{Name: "credential", Doc: "of the scenario; anonymous without", Spec: name(namesCredential)},
		{Name: "client_id", Doc: "its name", Spec: matching(wordPattern), Default: "sensor-1"},
		{Name: "topics", Doc: "listened to", Spec: list(20, matching(topicPattern))},
	}},
	{Name: "modbus.read", Doc: "reads registers; nothing is written", Targets: ToHost, Port: 502, Args: join2([]Field{
		{Name: "unit", Doc: "of the device", Spec: integer(0, 247), Default: "1"},
		{Name: "kind", Doc: "what is read", Spec: word("holding", "input", "coils", "discrete"), Default: "holding"},
		{Name: "address", Doc: "of the first", Spec: integer(0, 65535), Default: "0"},
		{Name: "count", Doc: "how many", Spec: integer(1, 125), Default: "10"},
	}, repeats("1", "5s")), length: repeated},
	{Name: "snmp.get", Doc: "asks a device about itself", Targets: ToHost | ToNetwork, Port: 161, Args: []Field{
		{Name: "community", Doc: "word that lets in", Spec: matching(wordPattern), Default: "public"},
		{Name: "wordlist", Doc: "tries these words instead", Spec: word(wordlistNames("communities")...)},
		{Name: "oids", Doc: "asked for", Spec: list(20, matching(oidPattern)), Default: "[1.3.6.1.2.1.1.1.0, 1.3.6.1.2.1.1.5.0]"},
	}},
	{Name: "smtp.mail", Doc: "hands a mail to a server", Targets: ToHost, Port: 25, Args: join2([]Field{
		{Name: "mail_from", Doc: "sender", Spec: matching(mailPattern), Required: true},
		{Name: "rcpt_to", Doc: "who gets it", Spec: some(listOrOne(50, matching(mailPattern))), Required: true},
		{Name: "subject", Doc: "first line", Spec: line(200), Default: "Hello"},
		{Name: "body", Doc: "text", Spec: text(4096), Default: "A mail of an exercise."},
	}, repeats("1", "10s")), length: repeated},
	{Name: "imap.login", Doc: "opens a mailbox or guesses", Targets: ToHost, Port: 143, Args: login(), length: tried},
	{Name: "pop3.login", Doc: "opens a mailbox or guesses", Targets: ToHost, Port: 110, Args: login(), length: tried},
	{Name: "mail.read", Doc: "reads the mails of a mailbox", Targets: ToHost, Args: []Field{
		{Name: "credential", Doc: "of the scenario", Spec: name(namesCredential), Required: true},
		protocol("imap", "pop3", "ews"),
		{Name: "count", Doc: "at most so many", Spec: integer(1, 1000), Default: "20"},
		agent(),
	}},
	{Name: "password.spray", Doc: "few passwords for many users", Targets: ToHost, Args: []Field{
		protocol("http", "ssh", "imap", "smb", "ldap", "ftp"),
		path("/owa/"),
		{Name: "users", Doc: "tried in this order", Spec: list(500, matching(userPattern))},
		{Name: "userlist", Doc: "users that are built in", Spec: word(wordlistNames("users")...)},
		{Name: "wordlist", Doc: "passwords", Spec: word(wordlistNames("passwords")...), Default: "builtin:spray-3"},
		{Name: "credential", Doc: "tried last, and it fits", Spec: name(namesCredential)},
		{Name: "paths", Doc: "of http: walked through, one for each try", Spec: list(50, matching(pathPattern))},
		{Name: "delay", Doc: "between tries", Spec: span(0, 3600), Default: "500ms"},
		agent(),
	}, length: func(a Args, n int) time.Duration {
		users := len(a.Texts("users")) + len(Wordlist(a.Text("userlist")))
		return times(a.Duration("delay"), n*users*len(Wordlist(a.Text("wordlist"))))
	}},
	{Name: "shell.type", Doc: "types commands into the shell of a fake host, which runs nothing", Targets: ToHost, Args: []Field{
		protocol("ssh", "telnet"),
		{Name: "credential", Doc: "to log in with", Spec: name(namesCredential), Required: true},
		{Name: "commands", Doc: "one line each", Spec: some(list(100, line(512))), Required: true},
		{Name: "delay", Doc: "between commands", Spec: span(0, 3600), Default: "2s"},
	}, length: tried},
	{Name: "file.upload_marker", Doc: "leaves a harmless file with a marker", Targets: ToHost, Args: marker("sftp", "scp", "ftp", "http")},
	{Name: "file.download_marker", Doc: "fetches a file", Targets: ToHost | ToExternal, Args: marker("http", "sftp", "scp", "ftp")},
	{
		Name: "beacon.http", Doc: "asks the same server again and again", Targets: ToHost | ToExternal, Port: 80,
		Args: join2([]Field{path("/b")}, web(), repeats("30", "20s")), length: repeated,
	},
	{
		Name: "beacon.dns", Doc: "asks for changing names below one domain again and again", Targets: ToHost | ToNothing, Port: 53,
		Args: join2([]Field{{Name: "domain", Doc: "below which", Spec: matching(dnsPattern), Required: true}}, repeats("30", "20s")), length: repeated,
	},
	{Name: "transfer.bytes", Doc: "moves bytes without meaning", Targets: ToHost | ToExternal, Port: 443, Args: []Field{
		{Name: "size", Doc: "bytes", Spec: integer(1, 64<<20), Required: true},
		{Name: "direction", Doc: "up: from the acting host", Spec: word("up", "down"), Default: "up"},
		protocol("tcp", "http"),
	}},
	{Name: "lateral.hop", Doc: "goes from one host to the next with a credential", Targets: ToHost, Args: []Field{
		protocol("ssh", "smb", "winrm", "wmi", "rdp"),
		{Name: "credential", Doc: "of the scenario", Spec: name(namesCredential), Required: true},
		{Name: "delay", Doc: "between commands", Spec: span(0, 3600), Default: "2s"},
		typed(),
	}, length: tried},
	{Name: "host.behaviour", Doc: "the records of a behaviour of the built-in list", Targets: ToHost | ToExternal | ToNothing, Args: recorded(
		Field{Name: "behaviour", Doc: "which; its peer and the outside are the target", Spec: name("behaviour"), Required: true},
		Field{Name: "from_host", Doc: "where the intruder comes from", Spec: name(namesHost)})},
	{Name: "host.process", Doc: "a record of a started process", Targets: ToNothing, Args: recorded(
		told("image", "path of the program", true), told("command_line", "as logged", false), told("parent_image", "path of the parent", false),
		told("original_file_name", "of the version resource", false), told("company", "of the version resource", false),
		told("product", "of the version resource", false), told("current_directory", "where", false),
		Field{Name: "integrity", Doc: "level", Spec: word("Low", "Medium", "High", "System"), Default: "Medium"})},
	{Name: "host.registry", Doc: "a record of a value set in the registry", Targets: ToNothing, Windows: true, Args: recorded(
		told("image", "program that sets it", true), told("object", "key and value", true), told("details", "what is set", true))},
	{Name: "host.service", Doc: "records of a service installed", Targets: ToNothing, Windows: true, Args: recorded(
		told("service", "its name", true), told("image", "path with switches", true), told("account", "it runs as", false))},
	{Name: "host.file", Doc: "a record of a file written", Targets: ToNothing, Args: recorded(
		told("image", "program that writes it", true), told("path", "of the file", true))},
	{Name: "host.logon", Doc: "records of a logon", Targets: ToNothing, Args: recorded(
		Field{Name: "from_host", Doc: "where the user comes from; the host itself without", Spec: name(namesHost)},
		Field{Name: "type", Doc: "of Windows: 2 screen, 3 network, 5 service, 10 remote desktop", Spec: integer(2, 11), Default: "3"},
		Field{Name: "failed", Doc: "it was refused", Spec: boolean(), Default: "false"},
		Field{Name: "admin", Doc: "with special rights", Spec: boolean(), Default: "false"},
		Field{Name: "repeat", Doc: "how often", Spec: integer(1, 1000), Default: "1"},
		Field{Name: "every", Doc: "pause between", Spec: span(0.01, day), Default: "1s"}), length: repeated},
	{Name: "host.network", Doc: "a record of a connection that a program opens", Targets: ToHost | ToExternal, Port: 443, Args: recorded(
		told("image", "program that opens it", true))},
	{Name: "host.powershell", Doc: "a record of a script block: its text, which nothing runs", Targets: ToNothing, Windows: true, Args: recorded(
		told("script", "as logged", true))},
	{Name: "host.dns", Doc: "a record of a name that a program asks for", Targets: ToNothing, Windows: true, Args: recorded(
		told("image", "program that asks", true), Field{Name: "name", Doc: "asked for", Spec: matching(dnsPattern), Required: true})},
	{Name: Wait, Doc: "nothing", Targets: ToNothing, Args: []Field{
		{Name: "for", Doc: "how long", Spec: span(0, day), Required: true},
	}, length: func(a Args, _ int) time.Duration { return a.Duration("for") }},
}

func marker(of ...string) []Field {
	return []Field{
		protocol(of...),
		{Name: "path", Doc: "of the file", Spec: matching(pathPattern), Required: true},
		{Name: "credential", Doc: "to log in with", Spec: name(namesCredential)},
		{Name: "size", Doc: "of an uploaded one, bytes; filled with the marker", Spec: integer(16, 1<<20), Default: "64"},
		{Name: "kind", Doc: "of an uploaded one: a line with the marker, or the test file that every scanner knows", Spec: word("text", "eicar"), Default: "text"},
		agent(),
	}
}
