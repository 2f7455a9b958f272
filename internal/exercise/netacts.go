package exercise

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/exercise/act"
	"github.com/lapwing-defence/lapwing/internal/exercise/scenario"
	"github.com/lapwing-defence/lapwing/internal/exercise/score"
)

// errNothing says that an action found nobody to talk to.
var errNothing = errors.New("nothing answered")

// deed is an action with one target; it gives the outcome to be judged.
type deed func(ctx context.Context, w *actor, t act.Target) act.Outcome

// actor is an act with the tools that it may use: the dialer of its host.
type actor struct {
	*act.Actor
	lab *lab
	a   *activity
}

// netAct does what goes over the network, from the act's host.
func (l *lab) netAct(ctx context.Context, a *activity) error {
	m := l.hosts[a.from]
	if m == nil {
		return fmt.Errorf("there is no host %q", a.from)
	}
	to, err := l.targets(a)
	if err != nil {
		return err
	}
	d := m.net.Dialer()
	if a.label != "" {
		d = d.Labelled(a.label)
	}
	w := &actor{Actor: act.New(d, act.Config{Clock: l.pace, Seed: a.rand.Uint64(), Host: a.from}), lab: l, a: a}
	switch a.action {
	case "icmp.ping":
		return w.ping(ctx, to)
	case "tcp.probe":
		return w.probe(ctx, to)
	case "tcp.connect", "udp.probe":
		return w.sweep(ctx, to)
	}
	f := deeds()[a.action]
	if f == nil {
		return fmt.Errorf("the action %q cannot be done here", a.action)
	}
	done, last := 0, error(nil)
	for i, t := range to {
		if i > 0 && a.args.Has("delay") {
			if err := l.pace.Sleep(ctx, a.args.Duration("delay")); err != nil {
				return err
			}
		}
		if err := w.outcome(f(ctx, w, act.Target{Host: t.addr.String(), Port: portOf(a)})); err != nil {
			last = fmt.Errorf("%s: %w", t.name, err)
			continue
		}
		done++
	}
	if done > 0 {
		return nil
	}
	return last
}

// outcome notes what an action used, and words how it ended.
func (w *actor) outcome(o act.Outcome) error {
	for _, f := range o.Flows {
		w.a.flow(score.Flow{Tuple: score.Tuple{Proto: f.Transport, Src: f.Src, Dst: f.Dst}, Start: o.Started, End: o.Ended})
	}
	if o.OK() {
		return nil
	}
	return fmt.Errorf("%s: %s", o.Result, o.Reason)
}

// probing is how many probes may be under way; the rate says how fast they come.
const probing = 512

// probe asks ports half open, at the rate of its arguments, and does not wait for
// one answer before it asks the next.
func (w *actor) probe(ctx context.Context, to []target) error {
	d := w.lab.hosts[w.a.from].net.Dialer()
	if w.a.label != "" {
		d = d.Labelled(w.a.label)
	}
	pause := time.Duration(float64(time.Second) / max(w.a.args.Float("rate"), 0.001))
	slots := make(chan struct{}, probing)
	var under sync.WaitGroup
	defer under.Wait()
	for _, port := range w.a.args.Ints("ports") {
		for _, t := range to {
			if w.lab.hosts[w.a.from].spec.IP == t.addr {
				continue
			}
			if err := w.lab.pace.Sleep(ctx, pause); err != nil {
				return err
			}
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
			under.Go(func() {
				defer func() { <-slots }()
				ctx, cancel := w.lab.patience(ctx)
				defer cancel()
				d.Probe(ctx, t.addr, uint16(port)) //nolint:errcheck // silence is an answer too
			})
		}
	}
	return nil
}

// patience is how long a probe waits for its answer, by the range's own clock.
func (l *lab) patience(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	stop := l.clk.AfterFunc(3*time.Second, cancel)
	return ctx, func() { stop(); cancel() }
}

func (w *actor) ping(ctx context.Context, to []target) error {
	d := w.lab.hosts[w.a.from].net.Dialer()
	if w.a.label != "" {
		d = d.Labelled(w.a.label)
	}
	var mu sync.Mutex
	answers := 0
	var under sync.WaitGroup
	for i := range max(w.a.args.Int("repeat"), 1) {
		for _, t := range to {
			if i > 0 || len(to) > 1 {
				if err := w.lab.pace.Sleep(ctx, w.a.args.Duration("every")/time.Duration(len(to))); err != nil {
					under.Wait()
					return err
				}
			}
			under.Go(func() {
				ctx, cancel := w.lab.patience(ctx)
				defer cancel()
				if _, err := d.Ping(ctx, t.addr); err == nil {
					mu.Lock()
					answers++
					mu.Unlock()
				}
			})
		}
	}
	under.Wait()
	if answers == 0 {
		return errNothing
	}
	return nil
}

func (w *actor) sweep(ctx context.Context, to []target) error {
	s := act.Sweep{Rate: w.a.args.Float("rate")}
	for _, t := range to {
		s.Hosts = append(s.Hosts, t.addr.String())
	}
	for _, p := range w.a.args.Ints("ports") {
		s.Ports = append(s.Ports, uint16(p))
	}
	if w.a.action == "udp.probe" {
		return w.outcome(w.UDPProbe(ctx, s).Outcome)
	}
	p := w.TCPConnect(ctx, s, true)
	if err := w.outcome(p.Outcome); err != nil {
		return err
	}
	if len(p.Found) == 0 {
		return errNothing
	}
	return nil
}

// deeds are the actions with one target at a time.
func deeds() map[string]deed { //nolint:funlen // a table
	return map[string]deed{
		"dns.query": func(ctx context.Context, w *actor, t act.Target) act.Outcome {
			return w.DNSQuery(ctx, t, act.Ask{Names: w.a.args.Texts("names"), Type: w.a.args.Text("type"), Repeat: w.repeat()}).Outcome
		},
		"dns.tunnel_like": func(ctx context.Context, w *actor, t act.Target) act.Outcome {
			g := w.a.args
			return w.DNSTunnelLike(ctx, t, act.Tunnel{Domain: g.Text("domain"), Queries: g.Int("queries"), Label: g.Int("label_length"), Rate: g.Float("rate")}).Outcome
		},
		"beacon.dns": func(ctx context.Context, w *actor, t act.Target) act.Outcome {
			return w.DNSBeacon(ctx, t, w.a.args.Text("domain"), w.repeat()).Outcome
		},
		"http.get":       httpDeed,
		"http.post_form": httpDeed,
		"beacon.http":    httpDeed,
		"http.path_probe": func(ctx context.Context, w *actor, t act.Target) act.Outcome {
			q := w.request(t)
			q.Paths = scenario.Wordlist(w.a.args.Text("wordlist"))
			q.Repeat = act.Repeat{Every: time.Duration(float64(time.Second) / max(w.a.args.Float("rate"), 0.001))}
			return w.HTTP(ctx, w.a.action, t, q).Outcome
		},
		"ssh.banner": func(ctx context.Context, w *actor, t act.Target) act.Outcome { return w.SSHBanner(ctx, t).Outcome },
		"ssh.login": func(ctx context.Context, w *actor, t act.Target) act.Outcome {
			return in(w.SSHLogin(ctx, t, w.login()))
		},
		"telnet.login": func(ctx context.Context, w *actor, t act.Target) act.Outcome {
			return in(w.TelnetLogin(ctx, t, w.login()))
		},
		"ftp.login": func(ctx context.Context, w *actor, t act.Target) act.Outcome {
			return in(w.FTPLogin(ctx, t, w.login()))
		},
		"smb.negotiate": func(ctx context.Context, w *actor, t act.Target) act.Outcome { return w.SMBNegotiate(ctx, t).Outcome },
		"smb.login": func(ctx context.Context, w *actor, t act.Target) act.Outcome {
			return in(w.SMBLogin(ctx, t, w.login()))
		},
		"ldap.bind": func(ctx context.Context, w *actor, t act.Target) act.Outcome {
			return in(w.LDAPBind(ctx, t, w.login()))
		},
		"ldap.search": func(ctx context.Context, w *actor, t act.Target) act.Outcome {
			g := w.a.args
			class := map[string]string{"users": "user", "computers": "computer"}[g.Text("find")]
			return in(w.LDAPSearch(ctx, t, w.login(), g.Text("base"), class))
		},
		"sql.login": func(ctx context.Context, w *actor, t act.Target) act.Outcome {
			return in(w.SQLLogin(ctx, w.database(t), w.a.args.Text("protocol"), w.login()))
		},
		"sql.query": func(ctx context.Context, w *actor, t act.Target) act.Outcome {
			return in(w.SQLQuery(ctx, w.database(t), w.a.args.Text("protocol"), w.login(), w.a.args.Texts("ask")))
		},
		"rdp.probe": func(ctx context.Context, w *actor, t act.Target) act.Outcome {
			return w.RDPProbe(ctx, t, w.a.args.Text("user")).Outcome
		},
		"mqtt.connect": func(ctx context.Context, w *actor, t act.Target) act.Outcome {
			g := w.a.args
			return w.MQTTConnect(ctx, t, act.MQTT{Credential: w.credential(), Client: g.Text("client_id"), Topics: g.Texts("topics")}).Outcome
		},
		"modbus.read": func(ctx context.Context, w *actor, t act.Target) act.Outcome {
			g := w.a.args
			return w.ModbusRead(ctx, t, act.Registers{
				Unit: byte(g.Int("unit")), Kind: g.Text("kind"), Address: uint16(g.Int("address")), Count: uint16(g.Int("count")), Repeat: w.repeat(),
			}).Outcome
		},
		"snmp.get": func(ctx context.Context, w *actor, t act.Target) act.Outcome {
			words := scenario.Wordlist(w.a.args.Text("wordlist"))
			if len(words) == 0 {
				words = []string{w.a.args.Text("community")}
			}
			return w.SNMPGet(ctx, t, words, w.a.args.Texts("oids")).Outcome
		},
		"smtp.mail": func(ctx context.Context, w *actor, t act.Target) act.Outcome {
			g := w.a.args
			return w.SMTPMail(ctx, t, act.Mail{From: g.Text("mail_from"), To: g.Texts("rcpt_to"), Subject: g.Text("subject"), Body: g.Text("body"), Repeat: w.repeat()})
		},
		"imap.login": func(ctx context.Context, w *actor, t act.Target) act.Outcome {
			return in(w.IMAPLogin(ctx, t, w.login(), 0))
		},
		"pop3.login": func(ctx context.Context, w *actor, t act.Target) act.Outcome {
			return in(w.POPLogin(ctx, t, w.login(), 0))
		},
		"mail.read":      readMail,
		"password.spray": spray,
		"shell.type":     shell,
		"lateral.hop":    hop,
		"file.upload_marker": func(ctx context.Context, w *actor, t act.Target) act.Outcome {
			return in(w.Upload(ctx, w.carry(t), w.marker()))
		},
		"file.download_marker": func(ctx context.Context, w *actor, t act.Target) act.Outcome {
			return in(w.Download(ctx, w.carry(t), w.marker()))
		},
		"transfer.bytes": func(ctx context.Context, w *actor, t act.Target) act.Outcome {
			g := w.a.args
			return w.Transfer(ctx, t, act.Bytes{Size: int64(g.Int("size")), Down: g.Text("direction") == "down", HTTP: g.Text("protocol") == "http"}).Outcome
		},
	}
}

// in is the outcome of a login: one that fitted nowhere has been refused.
func in(l act.LoggedIn) act.Outcome {
	if l.OK() && !l.In {
		l.Result, l.Reason = act.Refused, fmt.Sprintf("none of %d logins fitted", l.Tries)
	}
	return l.Outcome
}

func (w *actor) repeat() act.Repeat {
	g := w.a.args
	return act.Repeat{Times: g.Int("repeat"), Every: g.Duration("every"), Jitter: g.Float("jitter")}
}

func (w *actor) credential() act.Credential {
	if c := w.lab.credential(w.a.args.Text("credential")); c != nil {
		if now, changed := w.lab.accounts.override(c.User); changed && now != "" && w.a.label == "" {
			return act.Credential{User: c.User, Password: now} // people are told, the adversary is not
		}
		return act.Credential{User: c.User, Password: c.Password}
	}
	return act.Credential{}
}

// login is what the arguments of a login say: a credential of the scenario, and
// before it what is guessed of a list that is built in.
func (w *actor) login() act.Login {
	g := w.a.args
	l := act.Login{Delay: g.Duration("delay"), Commands: g.Texts("commands"), Share: g.Text("share"), Paths: g.Texts("paths"), Site: g.Text("site")}
	for _, word := range scenario.Wordlist(g.Text("wordlist")) {
		if user, password, both := strings.Cut(word, ":"); both {
			l.Credentials = append(l.Credentials, act.Credential{User: user, Password: password})
			continue
		}
		l.Credentials = append(l.Credentials, act.Credential{User: cmp.Or(g.Text("user"), "root"), Password: word})
	}
	if c := w.credential(); c.User != "" {
		l.Credentials = append(l.Credentials, c)
	}
	return l
}

func (w *actor) request(t act.Target) act.Request {
	g := w.a.args
	q := act.Request{Paths: g.Texts("paths"), Host: g.Text("host_header"), Agent: g.Text("user_agent"), Headers: g.Pairs("headers"), TLS: t.Port == 443 || t.Port == 8443, Repeat: w.repeat()}
	if len(q.Paths) == 0 {
		q.Paths = []string{cmp.Or(g.Text("path"), "/")}
	}
	if q.Host == "" && w.a.target.External != "" {
		q.Host = w.a.target.External
	}
	if c := w.credential(); c.User != "" {
		q.Credential = &c
	}
	return q
}

func httpDeed(ctx context.Context, w *actor, t act.Target) act.Outcome {
	q := w.request(t)
	if w.a.action == "http.post_form" {
		q.Post, q.Form = true, map[string]string{}
		maps.Copy(q.Form, w.a.args.Pairs("fields"))
		if q.Credential != nil {
			q.Form["username"], q.Form["password"] = q.Credential.User, q.Credential.Password
			q.Credential = nil
		}
	}
	return w.HTTP(ctx, w.a.action, t, q).Outcome
}

func readMail(ctx context.Context, w *actor, t act.Target) act.Outcome {
	if w.a.args.Text("protocol") == "ews" {
		if t.Port == 0 {
			t.Port = 80
		}
		q := w.request(t)
		q.Paths, q.Agent = []string{"/EWS/Exchange.asmx"}, cmp.Or(w.a.args.Text("user_agent"), "ExchangeServicesClient/15.00.0913.015")
		q.Repeat = act.Repeat{Times: w.a.args.Int("count"), Every: 500 * time.Millisecond}
		return w.HTTP(ctx, w.a.action, t, q).Outcome
	}
	if w.a.args.Text("protocol") == "pop3" {
		t.Port = cmp.Or(t.Port, 110)
		return in(w.POPLogin(ctx, t, w.login(), w.a.args.Int("count")))
	}
	t.Port = cmp.Or(t.Port, 143)
	return in(w.IMAPLogin(ctx, t, w.login(), w.a.args.Int("count")))
}

// database gives a target the usual port of its protocol.
func (w *actor) database(t act.Target) act.Target {
	if p := map[string]uint16{"mysql": 3306, "postgres": 5432}[w.a.args.Text("protocol")]; p != 0 && w.a.target.Port == 0 {
		t.Port = p
	}
	return t
}

// sprayed is every password with every user, the fitting one last.
func (w *actor) sprayed() []act.Credential {
	g := w.a.args
	users := slices.Concat(g.Texts("users"), scenario.Wordlist(g.Text("userlist")))
	var out []act.Credential
	for _, p := range scenario.Wordlist(g.Text("wordlist")) {
		for _, u := range users {
			out = append(out, act.Credential{User: u, Password: p})
		}
	}
	if c := w.credential(); c.User != "" {
		out = append(out, c)
	}
	return out
}

func spray(ctx context.Context, w *actor, t act.Target) act.Outcome {
	g := w.a.args
	l := act.Login{Credentials: w.sprayed(), Delay: g.Duration("delay"), All: true}
	protocol := g.Text("protocol")
	if t.Port == 0 {
		t.Port = map[string]uint16{"http": 80, "ssh": 22, "imap": 143, "smb": 445, "ldap": 389, "ftp": 21}[protocol]
	}
	switch protocol {
	case "ssh":
		return w.SSHLogin(ctx, t, l).Outcome
	case "imap":
		return w.IMAPLogin(ctx, t, l, 0).Outcome
	case "smb":
		return w.SMBLogin(ctx, t, l).Outcome
	case "ldap":
		return w.LDAPBind(ctx, t, l).Outcome
	case "ftp":
		return w.FTPLogin(ctx, t, l).Outcome
	}
	q := w.request(t)
	paths := q.Paths
	q.Paths, q.Sprayed, q.Credential = nil, l.Credentials, nil
	for i := range l.Credentials {
		q.Paths = append(q.Paths, paths[i%len(paths)])
	}
	q.Repeat = act.Repeat{Every: l.Delay}
	return w.HTTP(ctx, w.a.action, t, q).Outcome
}

func shell(ctx context.Context, w *actor, t act.Target) act.Outcome {
	if w.a.args.Text("protocol") == "telnet" {
		if t.Port == 0 {
			t.Port = 23
		}
		return in(w.TelnetLogin(ctx, t, w.login()))
	}
	if t.Port == 0 {
		t.Port = 22
	}
	return in(w.SSHLogin(ctx, t, w.login()))
}

// hop goes from one host to the next; what the logs of a Windows target say of it
// is written too.
func hop(ctx context.Context, w *actor, t act.Target) act.Outcome {
	protocol := w.a.args.Text("protocol")
	if t.Port == 0 {
		t.Port = map[string]uint16{"ssh": 22, "smb": 445, "winrm": 5985, "wmi": 135, "rdp": 3389}[protocol]
	}
	var out act.Outcome
	switch protocol {
	case "smb":
		out = in(w.SMBLogin(ctx, t, w.login()))
	case "rdp":
		out = w.RDPProbe(ctx, t, w.credential().User).Outcome
	case "winrm", "wmi":
		out = w.TCPConnect(ctx, act.Sweep{Hosts: []string{t.Host}, Ports: []uint16{t.Port}}, false).Outcome
	default:
		return in(w.SSHLogin(ctx, t, w.login()))
	}
	w.arrived(ctx, t, protocol, out)
	return out
}

func (w *actor) marker() act.Marker {
	g := w.a.args
	return act.Marker{
		Protocol: g.Text("protocol"), Path: g.Text("path"), Credential: w.credential(), Size: g.Int("size"), TestFile: g.Text("kind") == "eicar", Agent: g.Text("user_agent"),
	}
}

// carry gives a transfer the usual port of its protocol.
func (w *actor) carry(t act.Target) act.Target {
	if t.Port == 0 {
		t.Port = map[string]uint16{"sftp": 22, "scp": 22, "ftp": 21, "http": 80}[w.a.args.Text("protocol")]
	}
	return t
}
