//go:build unix

package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/alert"
	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/config"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/notify"
	"github.com/lapwing-defence/lapwing/internal/respond"
)

// tokenRules are the rules that a honeytoken fires.
var tokenRules = []string{"5d1c0a52-8e0b-4f0e-9a57-2c3b7e61d411", "8a3f6f0e-44b5-4a0a-9c61-7c0d6f1c2b57"}

// openNotify makes the notifier of a configuration. nil: nobody is to be told.
func (d Dir) openNotify(c *config.Config, observer string) (*notify.Notifier, error) {
	if len(c.Notify) == 0 {
		return nil, nil //nolint:nilnil // as documented
	}
	ids := event.NewIDs(nil, time.Now)
	n := notify.Config{Dir: d.Path("notify"), Clock: clock.System(), NewID: ids.New, Host: observer}
	for i := range c.Notify {
		t := &c.Notify[i]
		s, secrets, err := sender(t, observer)
		if err != nil {
			return nil, err
		}
		p := notify.Policy{MinLevel: alert.Medium, Most: t.Most, Per: t.Per, Again: t.Again, Heartbeat: t.Heartbeat}
		if t.MinLevel != "" {
			p.MinLevel, _ = alert.ParseLevel(t.MinLevel)
		}
		if p.QuietFrom, p.QuietTo, err = t.QuietHours(); err != nil {
			return nil, fmt.Errorf("notify %s: %w", t.Name, err)
		}
		n.Secrets = append(n.Secrets, secrets...)
		n.Targets = append(n.Targets, notify.Target{Name: t.Name, Sender: s, Policy: p})
	}
	if err := os.MkdirAll(n.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	return notify.New(n)
}

// sender makes what speaks to a target, with the secrets in it.
func sender(t *config.Notify, observer string) (notify.Sender, []string, error) {
	address, secret, err := t.Secrets()
	if err != nil {
		return nil, nil, err
	}
	cfg, err := clientTLS(t)
	if err != nil {
		return nil, nil, err
	}
	post := notify.Post{URL: address, Client: notify.NewClient(cfg)}
	secrets := []string{secret}
	if t.URLFile != "" {
		secrets = append(secrets, address)
	}
	switch t.Type {
	case "webhook":
		return &notify.Webhook{Post: post, Secret: []byte(secret), Now: time.Now}, secrets, nil
	case "slack":
		return &notify.Slack{Post: post}, secrets, nil
	case "teams":
		return &notify.Teams{Post: post}, secrets, nil
	case "ntfy":
		return &notify.Ntfy{Post: post, Token: secret}, secrets, nil
	}
	host, port, err := net.SplitHostPort(t.Address)
	if err != nil {
		return nil, nil, fmt.Errorf("notify %s: %w", t.Name, err)
	}
	cfg.ServerName = host
	if t.Type == "syslog" {
		s := &notify.Syslog{Address: t.Address, Host: observer, Version: "1", TLS: cfg}
		if t.TLS == "none" {
			s.TLS = nil
		}
		return s, secrets, nil
	}
	m := &notify.Mail{Host: host, Implicit: t.TLS == "implicit", Plain: t.TLS == "none", TLS: cfg, User: t.User, Password: secret, From: t.From, To: t.To}
	if m.Port, err = strconv.Atoi(port); err != nil {
		return nil, nil, fmt.Errorf("notify %s: port %q is no number", t.Name, port)
	}
	return m, secrets, nil
}

// clientTLS is how t's server is checked.
func clientTLS(t *config.Notify) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CAFile == "" {
		return c, nil
	}
	data, err := os.ReadFile(filepath.Clean(t.CAFile))
	if err != nil {
		return nil, fmt.Errorf("notify %s: ca_file: %w", t.Name, err)
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("notify %s: ca_file: %s holds no certificate in PEM", t.Name, t.CAFile)
	}
	return c, nil
}

// tellPeople tells what the judge finds, until stop.
func tellPeople(ctx context.Context, n *notify.Notifier, g *judge, log *slog.Logger) (stop func()) {
	if n == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	alerts, missed, leave := g.feed()
	var wg sync.WaitGroup
	wg.Go(func() { n.Run(ctx) })
	wg.Go(func() {
		defer leave()
		for {
			select {
			case <-ctx.Done():
				return
			case a := <-alerts:
				if err := n.Tell(alertMessage(&a)); err != nil {
					log.Warn("an alert cannot be kept for those who are to be told", "error", err)
				}
				if k := missed(); k > 0 {
					n.Tell(notify.Message{ //nolint:errcheck // the next alert tells
						Kind: notify.Health, Level: alert.High.String(), Title: fmt.Sprintf("%d alerts came faster than they could be told", k), Text: "Look at \"lapwing alerts\".",
					})
				}
			}
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

// alertMessage words an alert.
func alertMessage(a *alert.Alert) notify.Message {
	m := notify.Message{Kind: notify.Alert, Level: a.Rule.Level.String(), Key: a.Key, Title: a.Rule.Name + ": " + a.Title, Text: a.Rule.Description}
	if slices.Contains(tokenRules, a.Rule.ID) {
		m.Kind = notify.Honeytoken
	}
	add := func(name, value string) {
		if value != "" {
			m.Fields = append(m.Fields, notify.Field{Name: name, Value: value})
		}
	}
	if a.Source.IsValid() {
		add("source.ip", a.Source.String())
	}
	add("user.name", a.User)
	add("lapwing.host", a.Host)
	add("lapwing.source", a.Log)
	add("threat.technique.id", strings.Join(a.Rule.Techniques, ", "))
	add("count", strconv.FormatInt(a.Count, 10))
	add("first", a.First.UTC().Format(time.RFC3339))
	add("alert", a.ID)
	return m
}

// noticeMessage words what who decides has to say. The word that approves a
// proposal goes to people, and stands nowhere else.
func noticeMessage(n *respond.Notice) notify.Message {
	m := notify.Message{Kind: notify.Health, Level: alert.High.String(), Key: "respond " + n.Kind, Title: n.Text}
	switch n.Kind {
	case "proposal":
		m.Kind, m.Level, m.Key = notify.Decision, alert.Medium.String(), ""
		m.Text = "To let it stand: lapwing approve " + n.Approval
	case "policy", "storm-over", "recovered", "lifted":
		m.Kind, m.Level, m.Key = notify.Decision, alert.Low.String(), ""
	}
	if d := n.Decision; d != nil {
		m.Fields = append(m.Fields, notify.Field{Name: "lapwing.decision.id", Value: d.ID}, notify.Field{Name: "lapwing.decision.prefix", Value: d.Prefix.String()}, notify.Field{Name: "rule.id", Value: d.Rule})
	}
	return m
}

// NotifyTest sends a test to one target of a configuration, or to all for "".
// The result has what each answered, nil for taken.
func NotifyTest(ctx context.Context, c *config.Config, name string) (map[string]error, error) {
	if len(c.Notify) == 0 {
		return nil, errors.New("nobody is to be told: write targets under notify: in the configuration (docs/guides/notify.md)")
	}
	observer := c.Name
	if observer == "" {
		observer, _ = os.Hostname()
	}
	dir, err := os.MkdirTemp("", "lapwing-notify-") // a test does not touch what waits in the spools
	if err != nil {
		return nil, fmt.Errorf("make a directory: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // it is empty
	n, err := Dir(dir).openNotify(c, observer)
	if err != nil {
		return nil, err
	}
	return n.Try(ctx, name)
}
