package config

import (
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

// Notify is one place where people are told. docs/guides/notify.md has examples.
type Notify struct {
	Name string `yaml:"name"`
	Type string `yaml:"type"` // webhook, slack, teams, ntfy, mail, syslog

	// Of webhook, slack, teams and ntfy. The URL of a webhook is often a secret
	// itself: URLFile names a file that holds it.
	URL     string `yaml:"url"`
	URLFile string `yaml:"url_file"`
	// SecretFile holds the key that signs a webhook, ntfy's token, or the mail
	// account's password.
	SecretFile string `yaml:"secret_file"`

	// Of mail and syslog.
	Address string   `yaml:"address"` // host:port
	TLS     string   `yaml:"tls"`     // mail: starttls (unless set), implicit, none; syslog: on (unless set), none
	CAFile  string   `yaml:"ca_file"` // authority of the server's certificate; the system's unless set
	User    string   `yaml:"user"`
	From    string   `yaml:"from"`
	To      []string `yaml:"to"`

	MinLevel  string        `yaml:"min_level"` // of alerts; medium unless set
	Most      int           `yaml:"most"`      // messages in per before a digest; 10 unless set
	Per       time.Duration `yaml:"per"`       // 10m unless set
	Again     time.Duration `yaml:"again"`     // before a matter is told again; 1h unless set
	Quiet     string        `yaml:"quiet"`     // 22:00-06:00, local time: honeytokens and lapwing's own health pass
	Heartbeat time.Duration `yaml:"heartbeat"` // sign of life; 0: none
}

var notifyTypes = []string{"webhook", "slack", "teams", "ntfy", "mail", "syslog"}

// QuietHours reads Quiet, as time after midnight; both are 0 for none.
func (n *Notify) QuietHours() (from, to time.Duration, err error) {
	if n.Quiet == "" {
		return 0, 0, nil
	}
	a, b, ok := strings.Cut(n.Quiet, "-")
	x, errX := time.Parse("15:04", strings.TrimSpace(a))
	y, errY := time.Parse("15:04", strings.TrimSpace(b))
	if !ok || errX != nil || errY != nil || x.Equal(y) {
		return 0, 0, fmt.Errorf("quiet %q: write it as 22:00-06:00", n.Quiet)
	}
	day := func(t time.Time) time.Duration {
		return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute
	}
	return day(x), day(y), nil
}

const maxNotify = 32

func (c *Config) checkNotify(k *checker) {
	if len(c.Notify) > maxNotify {
		k.say(fmt.Sprintf("%d targets", len(c.Notify)), fmt.Sprintf("at most %d", maxNotify), "notify")
	}
	names := map[string]bool{}
	for i := range c.Notify {
		n := &c.Notify[i]
		at := []any{"notify", i}
		if !nameRE.MatchString(n.Name) {
			k.say(fmt.Sprintf("target name %q", n.Name), "use 1 to 40 lower-case letters, digits and '-'", append(at, "name")...)
		}
		if names[n.Name] {
			k.say(fmt.Sprintf("target %q stands twice", n.Name), "give each its own name", append(at, "name")...)
		}
		names[n.Name] = true
		n.check(k, at)
	}
}

func (n *Notify) check(k *checker, at []any) {
	if n.Type == "" {
		k.say("a target without a type", "use one of: "+strings.Join(notifyTypes, ", "), at...)
		return
	}
	k.oneOf(n.Type, notifyTypes, append(at, "type")...)
	k.oneOf(n.MinLevel, []string{"informational", "low", "medium", "high", "critical"}, append(at, "min_level")...)
	if _, _, err := n.QuietHours(); err != nil {
		k.say(err.Error(), "", append(at, "quiet")...)
	}
	if n.Most < 0 || n.Most > 1000 {
		k.say("most is outside 1 to 1000", "", append(at, "most")...)
	}
	for key, d := range map[string]time.Duration{"per": n.Per, "again": n.Again, "heartbeat": n.Heartbeat} {
		if d != 0 {
			k.duration(d, time.Minute, 31*24*time.Hour, append(at, key)...)
		}
	}
	switch n.Type {
	case "mail", "syslog":
		n.checkServer(k, at)
	case "webhook", "slack", "teams", "ntfy":
		n.checkURL(k, at)
	}
}

func (n *Notify) checkURL(k *checker, at []any) {
	if (n.URL == "") == (n.URLFile == "") {
		k.say("a target of type "+n.Type+" needs its URL once", "write url, or url_file with the name of a file that holds it", at...)
		return
	}
	if u, err := url.Parse(n.URL); n.URL != "" && (err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !local(u.Hostname()))) {
		k.say("the URL is none that can be posted to safely", "write https://...; http only to this machine", append(at, "url")...)
	}
}

// local tells of a name of this machine.
func local(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (n *Notify) checkServer(k *checker, at []any) {
	host, _, err := net.SplitHostPort(n.Address)
	if err != nil {
		k.say(fmt.Sprintf("%q is not a host with a port", n.Address), `write address: "mail.example.net:587"`, append(at, "address")...)
	}
	words := map[string][]string{"mail": {"starttls", "implicit", "none"}, "syslog": {"on", "none"}}[n.Type]
	k.oneOf(n.TLS, words, append(at, "tls")...)
	if n.TLS == "none" && err == nil && !local(host) && n.SecretFile != "" {
		k.say("a password would go over the network in clear", "take tls: none away", append(at, "tls")...)
	}
	if n.Type != "mail" {
		return
	}
	if _, err := mail.ParseAddress(n.From); err != nil {
		k.say(fmt.Sprintf("from: %q is not a mail address", n.From), "", append(at, "from")...)
	}
	if len(n.To) == 0 {
		k.say("mail to nobody", "write to: [you@example.net]", at...)
	}
	for j, a := range n.To {
		if _, err := mail.ParseAddress(a); err != nil {
			k.say(fmt.Sprintf("%q is not a mail address", a), "", append(at, "to", j)...)
		}
	}
}

// maxSecret is the size of a file with a secret, in bytes.
const maxSecret = 4096

// Secrets reads what n's files hold, without the line end. An error names the
// file and the remedy; a file that others may read is one.
func (n *Notify) Secrets() (address, secret string, err error) {
	address = n.URL
	if n.URLFile != "" {
		if address, err = secretFile(n.URLFile); err != nil {
			return "", "", fmt.Errorf("notify %s: url_file: %w", n.Name, err)
		}
	}
	if n.SecretFile != "" {
		if secret, err = secretFile(n.SecretFile); err != nil {
			return "", "", fmt.Errorf("notify %s: secret_file: %w", n.Name, err)
		}
	}
	return address, secret, nil
}

func secretFile(name string) (string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return "", err //nolint:wrapcheck // it names the file
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s can be read by others than its owner: chmod 600 %s", name, name)
	}
	if info.Size() > maxSecret {
		return "", fmt.Errorf("%s has %d bytes; a secret has at most %d", name, info.Size(), maxSecret)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return "", err //nolint:wrapcheck // it names the file
	}
	s := strings.TrimSpace(string(data))
	if s == "" || slices.ContainsFunc([]byte(s), func(c byte) bool { return c < ' ' }) {
		return "", fmt.Errorf("%s holds no line of text", name)
	}
	return s, nil
}
