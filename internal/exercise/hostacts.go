package exercise

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/exercise/act"
	"github.com/lapwing-defence/lapwing/internal/exercise/record"
	"github.com/lapwing-defence/lapwing/internal/exercise/scenario"
	"github.com/lapwing-defence/lapwing/internal/exercise/score"
)

// errNoRecords says that a device's logs are not emulated.
var errNoRecords = errors.New("this host writes no host records: choose one with a Windows or Linux persona")

// hostAct does what only the logs of a host show: it writes the records that a
// behaviour would leave, and touches nothing.
func (l *lab) hostAct(ctx context.Context, a *activity) error {
	m := l.hosts[a.from]
	if m == nil || m.records == nil {
		return fmt.Errorf("%s: %w", a.from, errNoRecords)
	}
	for i := range max(a.args.Int("repeat"), 1) {
		if i > 0 {
			if err := l.pace.Sleep(ctx, a.args.Duration("every")); err != nil {
				return err
			}
		}
		es, err := l.recordsOf(m, a)
		if err != nil {
			return err
		}
		l.leave(ctx, a, m, es)
	}
	return nil
}

// leave hands records to the defence and notes them as traces of the act.
func (l *lab) leave(ctx context.Context, a *activity, m *machine, es []event.Event) {
	for _, e := range es {
		e.Host = m.spec.Name
		a.trace(score.Trace{At: e.Time, Host: m.spec.Name, User: e.User, Record: e.ID})
		if m.watched {
			l.sink.Emit(ctx, e) //nolint:errcheck // the recorder tells of its own faults
		}
	}
}

func (l *lab) recordsOf(m *machine, a *activity) ([]event.Event, error) {
	g, r := a.args, m.records
	user := g.Text("user")
	if user == "" {
		user = m.spec.User
	}
	switch a.action {
	case "host.behaviour":
		p := record.Params{User: g.Text("user"), Peer: a.target.Host, External: l.outside[a.target.External]}
		if from := l.hosts[g.Text("from_host")]; from != nil {
			p.From = netip.AddrPortFrom(from.spec.IP, ephemeral(a))
		}
		return r.Emulate(g.Text("behaviour"), p)
	case "host.process":
		if !windows(m) {
			return r.Exec(user, strings.Fields(cmp.Or(g.Text("command_line"), g.Text("image")))...), nil
		}
		return r.Process(record.Process{
			Image: g.Text("image"), CommandLine: g.Text("command_line"), User: user, Parent: g.Text("parent_image"), Dir: g.Text("current_directory"),
			Integrity: g.Text("integrity"), Original: g.Text("original_file_name"), Company: g.Text("company"), Product: g.Text("product"),
		}), nil
	case "host.registry":
		return r.Registry(g.Text("image"), g.Text("object"), g.Text("details"), user), nil
	case "host.service":
		return r.Service(g.Text("service"), g.Text("image"), g.Text("account"), user), nil
	case "host.file":
		return r.File(g.Text("image"), g.Text("path"), user), nil
	case "host.logon":
		if now, changed := l.accounts.override(user); changed && now == "" {
			return nil, fmt.Errorf("%s: %w", user, errDisabled)
		}
		return l.logon(m, a, user), nil
	case "host.network":
		c := record.Connection{Image: g.Text("image"), User: user, ToName: a.target.External}
		to, err := l.targets(a)
		if err != nil {
			return nil, err
		}
		c.To = netip.AddrPortFrom(to[0].addr, portOf(a))
		return r.Network(c), nil
	case "host.powershell":
		return r.Script(g.Text("script"), user), nil
	case "host.dns":
		return r.DNS(g.Text("image"), g.Text("name"), strings.Join(l.zone(g.Text("name")), ";"), user), nil
	}
	return nil, fmt.Errorf("no host record for the action %q", a.action)
}

func (l *lab) logon(m *machine, a *activity, user string) []event.Event {
	g := a.args
	var from netip.AddrPort
	if h := l.hosts[g.Text("from_host")]; h != nil {
		from = netip.AddrPortFrom(h.spec.IP, ephemeral(a))
	}
	if !windows(m) {
		return m.records.SSHLogin(user, from, !g.Bool("failed"), true)
	}
	return m.records.Logon(record.Logon{User: user, Type: g.Int("type"), From: from, Failed: g.Bool("failed"), Admin: g.Bool("admin"), Station: strings.ToUpper(g.Text("from_host"))})
}

// everyday writes what people and systems do all day into the logs of a host.
func (l *lab) everyday(ctx context.Context, t *timeline, m *machine) {
	r := t.rng("everyday", m.spec.Name)
	b := &scenario.Background{ID: "everyday", Action: "host.behaviour"}
	for {
		wait := time.Duration((30 + 150*r.Float64()) * float64(time.Second))
		if l.pace.Sleep(ctx, wait) != nil {
			return
		}
		a := &activity{id: b.ID, from: m.spec.Name, rand: r}
		began := l.clk.Now()
		l.leave(ctx, a, m, m.records.Benign())
		t.noted(b, m.spec.Name, a, began)
	}
}

func windows(m *machine) bool { return m.host.Persona().Family == "windows" }

func ephemeral(a *activity) uint16 { return uint16(49152 + a.rand.IntN(16000)) }

// arrived writes what the logs of a Windows host say of the programs that somebody
// starts who came over the network; that he came its services have written.
func (w *actor) arrived(ctx context.Context, t act.Target, protocol string, out act.Outcome) {
	m := w.lab.hosts[w.lab.nameOf(t.Host)]
	if m == nil || m.records == nil || !windows(m) || out.Result == act.Unreachable {
		return
	}
	user := w.credential().User
	if !out.OK() {
		return
	}
	for _, c := range w.a.args.Texts("commands") {
		parent := `C:\Windows\System32\` + map[string]string{"winrm": "wsmprovhost.exe", "wmi": `wbem\WmiPrvSE.exe`}[protocol]
		if protocol == "smb" {
			parent = `C:\Windows\System32\services.exe`
		}
		w.lab.leave(ctx, w.a, m, m.records.Process(record.Process{
			Image: `C:\Windows\System32\cmd.exe`, CommandLine: "cmd.exe /c " + c, User: user, Parent: parent, Integrity: "High",
		}))
		if w.lab.pace.Sleep(ctx, w.a.args.Duration("delay")) != nil {
			return
		}
	}
}

func (l *lab) nameOf(addr string) string {
	a, _ := netip.ParseAddr(addr)
	return l.names[a]
}
