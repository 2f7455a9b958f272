package main

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/sharedtest"
)

// newDecoys is an instance with one host and a decoy of each type on it.
func newDecoys(t *testing.T, types ...string) *instance {
	t.Helper()
	dir, err := os.MkdirTemp("", "lw") //nolint:usetesting // the path of a socket is short by law
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	in := &instance{t: t, dir: dir}
	var conf strings.Builder
	conf.WriteString("hosts:\n  - name: files\n    persona: debian-server\n    login: {accept: [{user: root, password: admin}]}\n    decoys:\n")
	for _, typ := range types {
		in.addr = freePort(t)
		fmt.Fprintf(&conf, "      - {type: %s, listen: %q}\n", typ, in.addr)
	}
	if err := os.WriteFile(filepath.Join(dir, "c.yaml"), []byte(conf.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	in.start()
	t.Cleanup(in.stop)
	return in
}

// thief is who has found what was planted.
type thief struct {
	*testing.T
	home string
	row
}

// tool runs a client with nothing of this machine's configuration; that it is
// refused is what the decoy does.
func (u thief) tool(args ...string) {
	u.Helper()
	if args[0] == "kubectl" || args[0] == "aws" { // no package of Debian 12 has one that is new enough
		if _, err := exec.LookPath(args[0]); err != nil {
			u.Skip(err)
		}
	}
	sharedtest.Program(u, args[0])
	c := exec.Command(args[0], args[1:]...)
	c.Dir = u.home
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		if !strings.HasPrefix(name, "AWS_") && !strings.HasPrefix(name, "PIP_") && !strings.HasPrefix(name, "npm_") && !strings.HasPrefix(name, "GIT_") && !strings.Contains(strings.ToLower(name), "proxy") {
			c.Env = append(c.Env, v)
		}
	}
	c.Env = append(c.Env, "HOME="+u.home, "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_NOSYSTEM=1", "PIP_CONFIG_FILE="+filepath.Join(u.home, "pip.conf"), "npm_config_fetch_retries=0", "npm_config_update_notifier=false", "AWS_EC2_METADATA_DISABLED=true")
	if args[0] != "soffice" { // it asks the proxy for everything; the others ask it for what does not go to the decoy, which so goes nowhere
		c.Env = append(c.Env, "http_proxy=http://127.0.0.1:9", "https_proxy=http://127.0.0.1:9", "no_proxy=127.0.0.1")
	}
	began := time.Now()
	out, err := c.CombinedOutput()
	u.Logf("%s took %v: %v\n%.600s", args[0], time.Since(began).Round(time.Millisecond), err, out)
}

// planted is the content of the planted file whose path has part in it.
func (u thief) planted(part string) (path, text string) {
	u.Helper()
	filepath.WalkDir(u.home, func(p string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.Contains(strings.TrimPrefix(p, u.home), part) {
			path = p
		}
		return nil
	})
	data, err := os.ReadFile(path)
	if err != nil {
		u.Fatalf("no planted file is called like %q: %v", part, err)
	}
	return path, string(data)
}

// after is what stands in a line after a word.
func after(text, word string) string {
	_, rest, _ := strings.Cut(text, word)
	line, _, _ := strings.Cut(rest, "\n")
	return line
}

// TestTokenClients uses each planted file with the client that it is for, as
// its owner would: the alert names the token and the machine.
func TestTokenClients(t *testing.T) {
	in := newDecoys(t, "http", "https", "redis", "ldap", "postgres")
	slow := map[string]bool{"pip": true, "npmrc": true, "aws": true, "docx": true, "xlsx": true}
	for _, tt := range []struct {
		kind, by string
		use      func(u thief)
	}{
		{"netrc", "password", func(u thief) {
			u.tool("curl", "-s", "--netrc", "http://"+in.door("http")+"/backup/")
		}},
		{"git", "password", func(u thief) {
			path, _ := u.planted(".git/config")
			u.tool("git", "-C", filepath.Dir(filepath.Dir(path)), "fetch")
		}},
		{"pip", "password", func(u thief) {
			path, _ := u.planted("pip.conf")
			if err := os.Rename(path, filepath.Join(u.home, "pip.conf")); err != nil {
				u.Fatal(err)
			}
			u.tool("python3", "-m", "pip", "download", "--no-cache-dir", "--disable-pip-version-check", "--retries", "0", "internal-tools")
		}},
		{"npmrc", "password", func(u thief) {
			u.tool("npm", "view", "@"+u.Names["scope"]+"/tools", "version")
		}},
		{"aws", "access key", func(u thief) {
			u.tool("aws", "--profile", u.Names["profile"], "sts", "get-caller-identity")
		}},
		{"kubeconfig", "certificate", func(u thief) {
			path, _ := u.planted(".kube/")
			u.tool("kubectl", "--kubeconfig", path, "--request-timeout=20s", "get", "pods")
		}},
		{"docker", "password", func(u thief) {
			_, text := u.planted(".docker/")
			u.tool("curl", "-s", "-H", "Authorization: Basic "+strings.Trim(after(text, `"auth": `), `"`), "http://"+in.door("http")+"/v2/")
		}},
		{"env", "password", func(u thief) {
			_, text := u.planted("env")
			store, err := url.Parse(after(text, "REDIS_URL="))
			if err != nil {
				u.Fatal(err)
			}
			u.tool("redis-cli", "-u", store.String(), "ping")
		}},
		{"ldap", "password", func(u thief) {
			_, text := u.planted("nslcd.conf")
			u.tool("ldapsearch", "-x", "-H", after(text, "uri "), "-D", after(text, "binddn "), "-w", after(text, "bindpw "), "-b", after(text, "base "))
		}},
		{"pgpass", "password", func(u thief) {
			path, text := u.planted(".pgpass")
			f := strings.Split(strings.TrimSpace(text), ":")
			u.Setenv("PGPASSFILE", path)
			u.tool("psql", "-w", "-h", f[0], "-p", f[1], "-U", f[3], "-d", f[2], "-c", "select 1")
		}},
		{"html", "url path", func(u thief) {
			_, text := u.planted(".html")
			link, _, _ := strings.Cut(after(text, `<img src="`), `"`)
			u.tool("curl", "-s", "-o", "/dev/null", link)
		}},
		{"docx", "url path", func(u thief) { u.opened(".docx") }},
		{"xlsx", "url path", func(u thief) { u.opened(".xlsx") }},
	} {
		t.Run(tt.kind, func(t *testing.T) {
			if slow[tt.kind] && testing.Short() {
				t.Skip("its client is slow")
			}
			r, home := in.plantToken(tt.kind)
			if out, status := in.try("token", "verify", r.ID); status != 0 || !strings.Contains(out, "fired") {
				t.Errorf("verify: %d, %s", status, out)
			}
			tt.use(thief{t, home, r})
			line := in.hit(r.ID)
			if level := `"rule.level":"critical"`; !strings.Contains(line, "web01") || strings.Contains(line, level) == (tt.by == "url path") {
				t.Errorf("the alert: %s", line)
			}
			events := in.lapwing("events", `lapwing.token.id:`+r.ID, "--json")
			if !strings.Contains(events, `"lapwing.token.by":"`+tt.by+`"`) || strings.Contains(events, `"lapwing.spoofable":true`) != (tt.by == "url path") {
				t.Errorf("its %s gave it away:\n%s", tt.by, events)
			}
		})
	}
}

// opened opens a document with LibreOffice, which shows what it links to.
func (u thief) opened(ending string) {
	u.Helper()
	path, _ := u.planted(ending)
	u.tool("soffice", "--headless", "--convert-to", "pdf", "--outdir", u.TempDir(), path)
}

// door is the address of the decoy of a type.
func (in *instance) door(typ string) string {
	in.t.Helper()
	data, err := os.ReadFile(filepath.Join(in.dir, "c.yaml"))
	if err != nil {
		in.t.Fatal(err)
	}
	return strings.Trim(strings.TrimSuffix(after(string(data), "type: "+typ+", listen: "), "}"), `"`)
}
