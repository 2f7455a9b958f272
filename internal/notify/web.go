package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/alert"
)

// Post sends to a URL. It is the ground of all that speak HTTP.
type Post struct {
	URL    string
	Client *http.Client // nil: NewClient(nil)
}

// NewClient makes a client that follows no redirect to another host, checks
// certificates (against roots, where it is not nil) and gives up after 20 s.
func NewClient(t *tls.Config) *http.Client {
	if t == nil {
		t = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return &http.Client{
		Timeout:   20 * time.Second,
		Transport: &http.Transport{TLSClientConfig: t, MaxIdleConns: 4, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: 10 * time.Second, Proxy: http.ProxyFromEnvironment},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if len(via) > 3 || req.URL.Host != via[0].URL.Host {
				return errors.New("the target redirects elsewhere")
			}
			return nil
		},
	}
}

func (p *Post) post(ctx context.Context, body []byte, headers map[string]string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.URL, bytes.NewReader(body))
	if err != nil {
		return errors.New("the URL is none")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "lapwing")
	for k, v := range headers {
		req.Header.Set(k, v)
	}
	client := p.Client
	if client == nil {
		client = NewClient(nil)
	}
	res, err := client.Do(req)
	if err != nil {
		if ue, ok := errors.AsType[*url.Error](err); ok { // the URL itself is often the secret
			err = ue.Err
		}
		return fmt.Errorf("post to %s: %w", req.URL.Host, err)
	}
	defer res.Body.Close() //nolint:errcheck // it was read as far as it is wanted
	said := make([]byte, 300)
	n, _ := io.ReadFull(res.Body, said)
	io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) //nolint:errcheck // so that the connection can be used again
	if res.StatusCode/100 == 2 {
		return nil
	}
	err = fmt.Errorf("%s answers %s: %s", req.URL.Host, res.Status, inert(string(said[:n]), 200, false))
	switch res.StatusCode {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return fmt.Errorf("%w; %w", err, ErrNever)
	}
	return err
}

// Webhook posts a Message as JSON. With a secret, X-Lapwing-Signature holds
// "t=SECONDS,v1=HEX": HMAC-SHA256 over the seconds, a dot and the body, so that a
// receiver can tell ours from others' and old from new.
type Webhook struct {
	Post
	Secret []byte
	Now    func() time.Time
}

// Send posts m.
func (w *Webhook) Send(ctx context.Context, m *Message) error {
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("write a message: %w", err)
	}
	headers := map[string]string{"X-Lapwing-Id": m.ID}
	if len(w.Secret) > 0 {
		at := strconv.FormatInt(w.Now().Unix(), 10)
		headers["X-Lapwing-Signature"] = "t=" + at + ",v1=" + Sign(w.Secret, at, body)
	}
	return w.post(ctx, body, headers)
}

// Sign is what Webhook puts into v1.
func Sign(secret []byte, at string, body []byte) string {
	h := hmac.New(sha256.New, secret)
	io.WriteString(h, at+".") //nolint:errcheck // a hash never fails
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}

// plain is m as people read it where only text is shown.
func (m *Message) plain() string {
	var b strings.Builder
	b.WriteString(m.Text)
	for _, f := range m.Fields {
		fmt.Fprintf(&b, "\n%s: %s", f.Name, f.Value)
	}
	return strings.TrimSpace(b.String())
}

// Slack posts to an incoming webhook of Slack, or of what speaks like it
// (Mattermost, Rocket.Chat).
type Slack struct{ Post }

// Send posts m. Its text is escaped, so that nothing in it becomes a link or a mention.
func (s *Slack) Send(ctx context.Context, m *Message) error {
	esc := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "`", "'", "*", "∗", "_", "＿", "~", "∼", "@", "＠").Replace
	body, err := json.Marshal(map[string]any{"text": "*" + strings.ToUpper(m.Level) + "* " + esc(m.Title) + "\n" + esc(m.plain()), "unfurl_links": false, "unfurl_media": false})
	if err != nil {
		return fmt.Errorf("write a message: %w", err)
	}
	return s.post(ctx, body, nil)
}

// Teams posts an adaptive card to a workflow's webhook of Microsoft Teams.
type Teams struct{ Post }

// Send posts m. Text blocks of a card are shown as they are but for Markdown, which is escaped.
func (t *Teams) Send(ctx context.Context, m *Message) error {
	esc := strings.NewReplacer("*", "\\*", "_", "\\_", "[", "\\[", "]", "\\]", "`", "'", "#", "\\#", "<", "‹", ">", "›").Replace
	block := func(text, weight, size string) map[string]any {
		return map[string]any{"type": "TextBlock", "text": text, "wrap": true, "weight": weight, "size": size}
	}
	facts := make([]map[string]string, 0, len(m.Fields))
	for _, f := range m.Fields {
		facts = append(facts, map[string]string{"title": esc(f.Name), "value": esc(f.Value)})
	}
	card := map[string]any{
		"type": "AdaptiveCard", "version": "1.4", "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
		"body": []any{block(strings.ToUpper(m.Level)+": "+esc(m.Title), "Bolder", "Medium"), block(esc(m.Text), "Default", "Default"), map[string]any{"type": "FactSet", "facts": facts}},
	}
	body, err := json.Marshal(map[string]any{"type": "message", "attachments": []any{map[string]any{"contentType": "application/vnd.microsoft.card.adaptive", "content": card}}})
	if err != nil {
		return fmt.Errorf("write a message: %w", err)
	}
	return t.post(ctx, body, nil)
}

// Ntfy publishes to a topic of ntfy.
type Ntfy struct {
	Post  // the URL of the server with the topic: https://ntfy.sh/TOPIC
	Token string
}

// Send publishes m as JSON, with a priority after its level.
func (n *Ntfy) Send(ctx context.Context, m *Message) error {
	u, err := url.Parse(n.URL)
	if err != nil {
		return errors.New("the URL is none")
	}
	topic := strings.Trim(u.Path, "/")
	if i := strings.LastIndexByte(topic, '/'); i >= 0 {
		topic = topic[i+1:]
	}
	u.Path = strings.TrimSuffix(u.Path, topic)
	priority := map[alert.Level]int{alert.Critical: 5, alert.High: 4, alert.Medium: 3, alert.Low: 2, alert.Informational: 2}[m.level()]
	if m.Kind == Honeytoken {
		priority = 5
	}
	body, err := json.Marshal(map[string]any{"topic": topic, "title": m.Title, "message": m.plain(), "priority": priority, "tags": []string{string(m.Kind)}})
	if err != nil {
		return fmt.Errorf("write a message: %w", err)
	}
	headers := map[string]string{}
	if n.Token != "" {
		headers["Authorization"] = "Bearer " + n.Token
	}
	p := Post{URL: u.String(), Client: n.Client}
	return p.post(ctx, body, headers)
}
