package receive

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/source/feed"
	"github.com/lapwing-defence/lapwing/internal/source/line"
)

const testToken = "0123456789abcdef0123"

func newHook(t *testing.T, sink *taker, tweak func(*Config)) *rig {
	t.Helper()
	f, err := feed.New(feed.Config{Name: "hook", Type: "webhook", Sink: sink})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Feed: f, Format: "json", TCP: listen(t), Token: []byte(testToken), Rate: 1000}
	if tweak != nil {
		tweak(&cfg)
	}
	w, err := NewWebhook(cfg)
	if err != nil {
		t.Fatal(err)
	}
	run(t, w.Run)
	return &rig{sink: sink, feed: f, tcp: cfg.TCP.Addr().String()}
}

// send gives the status and the body of the answer.
func (r *rig) send(t *testing.T, method, token, encoding string, body []byte) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+r.tcp+"/", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", token)
	}
	if encoding != "" {
		req.Header.Set("Content-Encoding", encoding)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(text)
}

func zipped(text string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, text)
	z.Close()
	return b.Bytes()
}

func TestWebhook(t *testing.T) {
	const good = "Bearer " + testToken
	for name, tt := range map[string]struct {
		method, token, encoding, body string
		status                        int
		want                          []string
		says                          string
	}{
		"an object":       {"", good, "", ` {"a" : 1,` + "\n" + ` "b":"x y"} `, 200, []string{`{"a":1,"b":"x y"}`}, `"taken":1`},
		"an array":        {"", good, "", `[{"a":1}, {"a":2}]`, 200, []string{`{"a":1}`, `{"a":2}`}, `"taken":2`},
		"an empty array":  {"", good, "", `[]`, 200, nil, `"taken":0`},
		"lines":           {"", good, "", "{\"a\":1}\n{\"a\":2}\n", 200, []string{`{"a":1}`, `{"a":2}`}, `"taken":2`},
		"packed":          {"", good, "gzip", string(zipped(`{"a":1}`)), 200, []string{`{"a":1}`}, `"taken":1`},
		"no token":        {"", "", "", `{}`, 401, nil, "Authorization"},
		"another token":   {"", "Bearer 0123456789abcdef0124", "", `{}`, 401, nil, "Authorization"},
		"another scheme":  {"", "Basic " + testToken, "", `{}`, 401, nil, "Authorization"},
		"GET":             {"GET", good, "", ``, 405, nil, "POST"},
		"nothing":         {"", good, "", "  \n", 400, nil, "empty"},
		"no JSON":         {"", good, "", "hello", 400, nil, "near byte"},
		"half":            {"", good, "", `{"a":1}` + "\n" + `{"a":`, 400, nil, "after 1 events"},
		"no object":       {"", good, "", `[{"a":1},7]`, 400, nil, "event 2 is no object"},
		"not packed":      {"", good, "gzip", `{"a":1}`, 400, nil, "gzip"},
		"packed in br":    {"", good, "br", `{"a":1}`, 415, nil, "br"},
		"an event beyond": {"", good, "", `{"a":"` + strings.Repeat("x", line.MaxText) + `"}`, 413, nil, "event 1 has"},
		"a body beyond":   {"", good, "", strings.Repeat(" ", maxBody+1) + "{}", 413, nil, "in parts"},
		"a bomb":          {"", good, "gzip", string(zipped(strings.Repeat(" ", maxUnpacked+1))), 413, nil, "in parts"},
		"too many events": {"", good, "", strings.Repeat("{}\n", maxEvents+1), 413, nil, "in parts"},
		"deep":            {"", good, "", strings.Repeat(`{"a":`, 20_000), 400, nil, "near byte"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newHook(t, &taker{}, nil)
			method := tt.method
			if method == "" {
				method = http.MethodPost
			}
			status, text := r.send(t, method, tt.token, tt.encoding, []byte(tt.body))
			if status != tt.status || !strings.Contains(text, tt.says) {
				t.Errorf("%d %s", status, text)
			}
			if got := r.sink.texts(); !slices.Equal(got, tt.want) {
				t.Errorf("lines %q", got)
			}
			if refused := r.feed.Stats().Refused; (refused == 1) != (tt.status != 200) {
				t.Errorf("%d refusals are counted", refused)
			}
		})
	}
}

func TestWebhookLimits(t *testing.T) {
	r := newHook(t, &taker{}, func(c *Config) { c.Rate = 2 })
	limited := false
	for range 20 {
		status, text := r.send(t, http.MethodPost, "Bearer "+testToken, "", []byte(`{}`))
		if limited = limited || status == 429; status != 200 && status != 429 {
			t.Fatalf("%d %s", status, text)
		}
	}
	if !limited {
		t.Error("twenty requests at once are taken at two a second")
	}
	if _, err := NewWebhook(Config{Feed: r.feed, TCP: listen(t), Token: []byte("short")}); err == nil {
		t.Error("a token of five bytes is taken")
	}
}

func TestWebhookSaysWhenNobodyTakes(t *testing.T) {
	sink := &taker{fail: errors.New("away")}
	r := newHook(t, sink, nil)
	client := http.Client{Timeout: time.Second}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+r.tcp+"/", strings.NewReader(`{"a":1}`))
	req.Header.Set("Authorization", "Bearer "+testToken)
	if res, err := client.Do(req); err == nil {
		res.Body.Close()
		if res.StatusCode == http.StatusOK {
			t.Error("what nobody took is acknowledged")
		}
	}
	sink.mu.Lock()
	sink.fail = nil
	sink.mu.Unlock()
	until(t, "it works again", func() bool {
		status, _ := r.send(t, http.MethodPost, "Bearer "+testToken, "", []byte(`{"a":1}`))
		return status == 200
	})
	marks := map[[16]byte]bool{}
	for _, l := range sink.lines {
		marks[l.Mark] = true
	}
	if len(marks) != 1 {
		t.Errorf("the same event sent again has %d marks", len(marks))
	}
}

// FuzzSplit: what is taken of a body are whole objects on one line each.
func FuzzSplit(f *testing.F) {
	f.Add([]byte(`[{"a":1},{"b":[1,2]}]`))
	f.Add([]byte("{\"a\":\n1}\n{}"))
	f.Fuzz(func(t *testing.T, body []byte) {
		lines, err := split(body, "json", time.Time{}, netip.Addr{})
		if err != nil && lines != nil {
			t.Error("lines of what is refused")
		}
		for _, l := range lines {
			if len(l.Text) > line.MaxText || l.Text[0] != '{' || bytes.ContainsAny(l.Text, "\n\r") {
				t.Errorf("%q", l.Text)
			}
		}
	})
}
