package training_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/exercise/score"
	"github.com/lapwing-defence/lapwing/internal/exercise/training"
)

func jsonOf(v any) (string, error) {
	text, err := json.Marshal(v)
	return string(text), err
}

// door remembers whom it let in.
type door struct {
	mu     sync.Mutex
	guests map[string]training.Guest
}

func (d *door) Traffic(string) []training.Traffic { return nil }

func (d *door) Seat(_ context.Context, g training.Guest) ([]training.Way, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.guests[g.Name] = g
	return []training.Way{{Kind: "socks5", Address: "127.0.0.1:1", User: g.Name}}, nil
}

func (d *door) guest(name string) training.Guest {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.guests[name]
}

// class is a room, the door to it and who sits in it.
type class struct {
	*training.Room
	door *door
	dir  string
	n    int
}

func open(t *testing.T, dir, text string, trainees ...string) *class {
	t.Helper()
	c := &class{door: &door{guests: map[string]training.Guest{}}, dir: dir}
	var err error
	c.Room, err = training.Open(t.Context(), training.Config{
		Scenario: load(t, text), Trainees: trainees, Dir: dir, Tokens: filepath.Join(dir, "tokens"), Door: c.door,
		Secret: func() string { c.n++; return fmt.Sprintf("secret-of-this-test-%p-%d", c, c.n) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// transport answers requests by a handler in this process.
type transport struct{ http.Handler }

func (h transport) RoundTrip(q *http.Request) (*http.Response, error) {
	if q.Body == nil {
		q.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, q)
	return w.Result(), nil
}

func (c *class) as(token string) *training.Client {
	return &training.Client{Transport: transport{c.Handler()}, Token: token}
}

func (c *class) trainee(name string) *training.Client { return c.as(c.door.guest(name).Secret) }

// eventually waits for what the exercise brings about by itself.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for until := time.Now().Add(2 * time.Minute); ; {
		if f() {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("in two minutes: not %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func fetch(ctx context.Context, g training.Guest, url string) (string, error) {
	d := g.Host.Dialer()
	tr := &http.Transport{DialContext: d.DialContext, DisableKeepAlives: true}
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := tr.RoundTrip(q)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return string(text), err
}

// TestKeptAtOnce: an alert is written down with the next look, not some time later.
func TestKeptAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := open(t, dir, head+levels, "anna")
	defer c.Close()
	ctx, anna := t.Context(), c.trainee("anna")
	must(anna.Next(ctx, false))(t)
	now := time.Now()
	c.Look(now)
	eventually(t, "an alert", func() bool { return len(must(anna.Alerts(ctx))(t)) > 0 })
	c.Look(now.Add(time.Millisecond))
	kept, err := os.ReadFile(filepath.Join(dir, "anna.exercise.json"))
	if err != nil || !bytes.Contains(kept, []byte("T1595.002")) {
		t.Errorf("the alert is not in what is kept: %v\n%s", err, kept)
	}
}

func TestPlayThrough(t *testing.T) {
	t.Parallel()
	c := open(t, t.TempDir(), head+levels, "anna")
	defer c.Close()
	ctx, anna := t.Context(), c.trainee("anna")
	task := must(anna.Task(ctx))(t)
	if task.Type != "info" || task.Of != 4 || task.State != "running" || task.Most != 460 {
		t.Errorf("the first task is %+v", task)
	}
	must(anna.Next(ctx, false))(t)

	// The adversary is at work: she looks who it is.
	var source string
	eventually(t, "an alert about the scan", func() bool {
		for _, a := range must(anna.Alerts(ctx))(t) {
			if strings.Contains(strings.Join(a.Techniques, " "), "T1595.002") {
				source = a.Source
			}
		}
		return source != ""
	})
	if got := must(anna.Records(ctx, source, 5))(t); len(got) == 0 || !bytes.Contains(got[0], []byte(source)) {
		t.Errorf("no record of %s: %s", source, got)
	}
	for _, missing := range must(anna.Records(ctx, "http.response.status_code=404", 50))(t) {
		if !bytes.Contains(missing, []byte(`"http.response.status_code":404`)) {
			t.Errorf("no answer 404: %s", missing)
		}
		source = "" // some were found
	}
	if source != "" {
		t.Error("no answer 404 is found")
	}
	source = must(anna.Alerts(ctx))(t)[0].Source
	if v := must(anna.Answer(ctx, 0, source))(t); !v.Right {
		t.Errorf("%s was not right: %+v", source, v)
	}

	// She reaches the network, until she cuts the server off.
	if page, err := fetch(ctx, c.door.guest("anna"), "http://web/"); err != nil || !strings.Contains(page, "<html") {
		t.Fatalf("the web server says %q, %v", page, err)
	}
	if _, err := anna.Respond(ctx, score.Isolate, "tap", false); err == nil || !strings.Contains(err.Error(), "your own machine") {
		t.Errorf("her own machine: %v", err)
	}
	if _, err := anna.Respond(ctx, score.Isolate, "nosuch", false); err == nil || !strings.Contains(err.Error(), "name a host") {
		t.Errorf("a host that is not there: %v", err)
	}
	got := must(anna.Respond(ctx, score.Isolate, "10.9.1.10", false))(t)
	if got.What != "web" || got.Verdict == nil || got.Verdict.Points != 200 {
		t.Errorf("isolated: %+v", got)
	}
	short, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if _, err := fetch(short, c.door.guest("anna"), "http://10.9.1.10/"); err == nil {
		t.Error("the host is cut off and answers")
	}
	for _, a := range []string{"b", "a,c", "web"} {
		must(anna.Answer(ctx, 0, a))(t)
	}
	s := must(anna.Status(ctx))(t)
	if s.Points != 460 || s.State != "done" || len(s.Isolated) != 1 || s.Host != "tap" || s.Ways[0].Kind != "socks5" {
		t.Errorf("the end: %+v", s)
	}
	p := must(c.Played("anna"))(t)
	var tasks float64
	for _, part := range p.Result.Parts {
		if part.Name == "tasks" {
			tasks = part.Points / part.Max
		}
	}
	if tasks != 1 || p.Result.Goals[0].Met != true || len(p.Result.Metrics.WrongHosts) > 0 {
		t.Errorf("the score's tasks %v, goals %+v", tasks, p.Result.Goals)
	}
}

func TestWhoMayAsk(t *testing.T) {
	c := open(t, t.TempDir(), head+levels, "anna", "bo")
	defer c.Close()
	ctx := t.Context()
	for name, token := range map[string]string{"nobody": "", "a guess": "secret", "the trainer as a trainee": c.Trainer()} {
		if _, err := c.as(token).Task(ctx); err == nil || !strings.Contains(err.Error(), "no trainee's") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := c.trainee("anna").Trainees(ctx); err == nil {
		t.Error("a trainee leads the exercise")
	}
	if _, err := c.trainee("anna").Reset(ctx, "bo"); err == nil {
		t.Error("a trainee resets another")
	}
	if _, err := c.as(c.Trainer()).Reset(ctx, "nosuch"); err == nil || !strings.Contains(err.Error(), "range trainees") {
		t.Errorf("nobody is reset: %v", err)
	}
}

func TestPauseAndReset(t *testing.T) {
	c := open(t, t.TempDir(), head+levels, "anna")
	defer c.Close()
	ctx, anna, lead := t.Context(), c.trainee("anna"), c.as(c.Trainer())
	if s := must(lead.Trainees(ctx))(t); s[0].State != "waiting" || s[0].Elapsed != 0 {
		t.Errorf("before she began: %+v", s[0])
	}
	must(anna.Next(ctx, false))(t)
	must(anna.Respond(ctx, score.Isolate, "vault", false))(t)
	eventually(t, "time goes by", func() bool { return must(anna.Status(ctx))(t).Elapsed > 0.01 })

	stopped := must(lead.Pause(ctx, "anna", false))(t)
	if _, err := anna.Answer(ctx, 0, "x"); err == nil || !strings.Contains(err.Error(), "stopped the exercise") {
		t.Errorf("an answer in a pause: %v", err)
	}
	time.Sleep(50 * time.Millisecond)
	if s := must(anna.Status(ctx))(t); s.State != "paused" || s.Elapsed != stopped.Elapsed {
		t.Errorf("in a pause: %s %v, then %v", s.State, stopped.Elapsed, s.Elapsed)
	}
	must(lead.Pause(ctx, "anna", true))(t)
	eventually(t, "time goes by again", func() bool { return must(anna.Status(ctx))(t).Elapsed > stopped.Elapsed })

	before := c.door.guest("anna")
	r := must(lead.Reset(ctx, "anna"))(t)
	t.Logf("reset in %.0f ms", r.Took)
	after := c.door.guest("anna")
	if after.Host == before.Host || after.Secret != before.Secret {
		t.Error("a reset gives another network and the same secret")
	}
	s := must(anna.Status(ctx))(t)
	if s.State != "waiting" || s.Elapsed != 0 || s.Level != 1 || s.Resets != 1 || len(s.Isolated) > 0 {
		t.Errorf("after a reset: %+v", s)
	}
	if _, err := fetch(ctx, after, "http://web/"); err != nil {
		t.Errorf("the new network: %v", err)
	}
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if _, err := fetch(short, before, "http://web/"); err == nil {
		t.Error("the old network still answers")
	}
}

// Two trainees have the same addresses and nothing else in common.
func TestTraineesAreApart(t *testing.T) {
	c := open(t, t.TempDir(), head+levels, "anna", "bo")
	defer c.Close()
	ctx, anna, bo := t.Context(), c.trainee("anna"), c.trainee("bo")
	must(anna.Next(ctx, false))(t)
	must(bo.Task(ctx))(t)
	if _, err := fetch(ctx, c.door.guest("anna"), "http://web/only-anna-asks-for-this"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is recorded", func() bool { return len(must(anna.Records(ctx, "only-anna-asks", 5))(t)) > 0 })
	if got := must(bo.Records(ctx, "only-anna-asks", 5))(t); len(got) > 0 {
		t.Errorf("bo sees what anna did: %s", got)
	}
	must(anna.Respond(ctx, score.Isolate, "web", false))(t)
	if _, err := fetch(ctx, c.door.guest("bo"), "http://web/"); err != nil {
		t.Errorf("anna cut her server off, and bo's is gone: %v", err)
	}
	a, b := c.door.guest("anna").Host, c.door.guest("bo").Host
	if a.Network() == b.Network() {
		t.Fatal("they share a network")
	}
	// A listener of bo's is reached from bo's network alone.
	ln, err := b.Listen(ctx, 7777)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for name, tt := range map[string]struct {
		from training.Guest
		want bool
	}{"bo": {c.door.guest("bo"), true}, "anna": {c.door.guest("anna"), false}} {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		conn, err := tt.from.Host.Dialer().DialContext(ctx, "tcp", "10.9.1.200:7777")
		cancel()
		if (err == nil) != tt.want {
			t.Errorf("%s reaches bo's machine: %v", name, err)
		}
		if err == nil {
			conn.Close()
		}
	}
	secret := func(name string) string {
		text, err := os.ReadFile(filepath.Join(c.dir, name+".course.json"))
		if err != nil {
			t.Fatal(err)
		}
		var k struct{ Variables map[string]string }
		if err := json.Unmarshal(text, &k); err != nil {
			t.Fatal(err)
		}
		return k.Variables["flag"]
	}
	if secret("anna") == "" || secret("anna") == secret("bo") {
		t.Errorf("their variables: %q and %q", secret("anna"), secret("bo"))
	}
}

// A trainee who floods loses his own records, not the adversary's.
func TestFloodIsCounted(t *testing.T) {
	t.Parallel()
	c := open(t, t.TempDir(), strings.Replace(head, "at: 1s", "at: 3s", 1)+levels, "anna")
	defer c.Close()
	ctx, anna := t.Context(), c.trainee("anna")
	must(anna.Task(ctx))(t)
	g := c.door.guest("anna")
	var wg sync.WaitGroup
	defer wg.Wait()
	flood, stop := context.WithCancel(ctx)
	defer stop()
	for range 8 {
		wg.Go(func() {
			for i := 0; flood.Err() == nil; i++ {
				fetch(flood, g, fmt.Sprintf("http://web/%d", i))
			}
		})
	}
	eventually(t, "records are passed over", func() bool { return must(anna.Status(ctx))(t).Exercise.PassedOver > 0 })
	eventually(t, "the adversary is seen all the same", func() bool {
		for _, a := range must(anna.Alerts(ctx))(t) {
			if strings.Contains(strings.Join(a.Techniques, " "), "T1595.002") && a.Source != "10.9.1.200" {
				return true
			}
		}
		return false
	})
}

// What a trainee does with his own hands is neither a false alarm nor a sight of
// the adversary, though both do the same to the same host at the same time.
func TestOwnDoingsAreNeutral(t *testing.T) {
	t.Parallel()
	c := open(t, t.TempDir(), strings.Replace(head, "action: http.path_probe", "expect: {level: technique, within: 10m}\n      action: http.path_probe", 1)+levels, "anna")
	defer c.Close()
	ctx, anna := t.Context(), c.trainee("anna")
	g := c.door.guest("anna")
	for i := range 60 { // before the stranger begins
		if _, err := fetch(ctx, g, fmt.Sprintf("http://web/no-such-%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "an alert about her", func() bool { return len(must(anna.Alerts(ctx))(t)) > 0 })
	must(anna.Task(ctx))(t)
	eventually(t, "an alert about the stranger", func() bool { return len(must(anna.Alerts(ctx))(t)) > 1 })
	p := must(c.Played("anna"))(t)
	verdicts := map[string]score.Verdict{}
	for _, a := range p.Result.Alerts {
		if a.Source != "" {
			verdicts[a.Source] = a.Verdict
		}
	}
	if verdicts["10.9.1.200"] != score.Neutral || p.Result.FalseAlarms != 0 || len(verdicts) != 2 {
		t.Errorf("verdicts %v, %d false alarms", verdicts, p.Result.FalseAlarms)
	}
	for _, j := range p.Result.Steps[0].Joins {
		if i := slices.IndexFunc(p.Result.Alerts, func(a score.AlertResult) bool { return a.ID == j.Alert }); p.Result.Alerts[i].Source == "10.9.1.200" {
			t.Errorf("the stranger's step is seen by an alert about her: %+v", j)
		}
	}
	if len(p.Result.Steps[0].Joins) == 0 {
		t.Error("the stranger is not seen")
	}
}

func TestRoomGoesOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx := t.Context()
	c := open(t, dir, head+levels, "anna")
	anna := c.trainee("anna")
	must(anna.Next(ctx, false))(t)
	must(anna.Hint(ctx, ""))(t)
	must(anna.Answer(ctx, 0, "nobody"))(t)
	must(anna.Respond(ctx, score.Isolate, "vault", false))(t)
	eventually(t, "an alert", func() bool { return len(must(anna.Alerts(ctx))(t)) > 0 })
	before, secret := must(anna.Status(ctx))(t), c.door.guest("anna").Secret
	alerts := must(anna.Alerts(ctx))(t)
	c.Close()

	c = open(t, dir, head+levels)
	defer c.Close()
	if got := c.door.guest("anna").Secret; got != secret {
		t.Error("the secret is another")
	}
	anna = c.trainee("anna")
	after := must(anna.Status(ctx))(t)
	if after.Level != 2 || after.Wrong != 1 || after.Hints != 1 || after.Elapsed < before.Elapsed || after.State != "running" || len(after.Isolated) != 1 {
		t.Errorf("before %+v\nafter %+v", before.Standing, after.Standing)
	}
	if got := must(anna.Alerts(ctx))(t); len(got) < len(alerts) || got[0].Rule != alerts[0].Rule {
		t.Errorf("the alerts of before: %+v, now %+v", alerts, got)
	}
}

func TestRoomsThatDoNotOpen(t *testing.T) {
	for _, tt := range []struct{ name, text, trainee, file, content, want string }{
		{"no levels", head, "anna", "", "", "no training"},
		{"a name that is a path", head + levels, "../anna", "", "", "lower-case letters"},
		{"an empty name", head + levels, "", "", "", "lower-case letters"},
		{"a torn file", head + levels, "anna", "anna.course.json", `{"format":1,"sce`, "anna.course.json"},
		{"another format", head + levels, "anna", "anna.course.json", `{"format":99,"trainee":"anna"}`, "not written by this program's version"},
		{"another scenario since", head + levels, "anna", "anna.course.json", `{"format":1,"trainee":"anna","variables":{"flag":"x"}}`, "has changed since"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if tt.file != "" {
				if err := os.WriteFile(filepath.Join(dir, tt.file), []byte(tt.content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			d := &door{guests: map[string]training.Guest{}}
			r, err := training.Open(t.Context(), training.Config{
				Scenario: load(t, tt.text), Trainees: []string{tt.trainee}, Dir: dir, Tokens: filepath.Join(dir, "tokens"), Door: d, Secret: func() string { return "s" },
			})
			if err == nil {
				r.Close()
				t.Fatal("it opened")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("the error is %q, want %q in it", err, tt.want)
			}
		})
	}
}
