package training

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/exercise/score"
)

// Client asks a Room over a connection that the transport makes.
type Client struct {
	Transport http.RoundTripper
	Token     string // a trainee's, or the trainer's
}

const maxReply = 32 << 20 // bytes

// ErrRefused is wrapped where the answer is no, for a reason that the text tells.
var ErrRefused = errors.New("refused")

func (c *Client) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	q, err := http.NewRequestWithContext(ctx, method, "http://range"+path, body)
	if err != nil {
		return err
	}
	q.Header.Set("Authorization", "Bearer "+c.Token)
	resp, err := c.Transport.RoundTrip(q)
	if err != nil {
		return fmt.Errorf("ask the range: %w: start it with lapwing range serve", err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	if resp.StatusCode != http.StatusOK {
		text := make([]byte, 4096)
		n, _ := io.ReadFull(resp.Body, text)
		return fmt.Errorf("%w: %s", ErrRefused, strings.TrimSpace(string(text[:n])))
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxReply)).Decode(out); err != nil {
		return fmt.Errorf("read the answer of the range: %w", err)
	}
	return nil
}

// Task is what is asked now. The first look begins the exercise.
func (c *Client) Task(ctx context.Context) (t Task, err error) {
	err = c.do(ctx, http.MethodGet, "/task", nil, &t)
	return t, err
}

// Answer answers the level that is asked; question is the number, from 1, of one
// of an assessment's, 0 the first that is open.
func (c *Client) Answer(ctx context.Context, question int, text string) (v Verdict, err error) {
	err = c.do(ctx, http.MethodPost, "/answer", request{Question: question, Text: text}, &v)
	return v, err
}

// Hint takes a hint, "" the next one.
func (c *Client) Hint(ctx context.Context, id string) (h HintView, err error) {
	err = c.do(ctx, http.MethodPost, "/hint", request{Hint: id}, &h)
	return h, err
}

// Solution shows the solution.
func (c *Client) Solution(ctx context.Context) (text string, err error) {
	var out struct {
		Text string `json:"text"`
	}
	err = c.do(ctx, http.MethodPost, "/solution", request{}, &out)
	return out.Text, err
}

// Next goes on from an info level, or gives another one up.
func (c *Client) Next(ctx context.Context, giveUp bool) (t Task, err error) {
	err = c.do(ctx, http.MethodPost, "/next", request{GiveUp: giveUp}, &t)
	return t, err
}

// Responded is what became of something that was done against the adversary.
type Responded struct {
	Kind    score.Kind `json:"kind"`
	What    string     `json:"what"`
	Done    string     `json:"done"` // "cut off", "blocked"
	Lifted  bool       `json:"lifted"`
	Note    string     `json:"note,omitempty"`    // a new password
	Verdict *Verdict   `json:"verdict,omitempty"` // where that was asked
}

// Respond does something against the adversary, or with lift takes it back; see
// exercise.Order.
func (c *Client) Respond(ctx context.Context, kind score.Kind, what string, lift bool) (out Responded, err error) {
	err = c.do(ctx, http.MethodPost, "/respond", request{Kind: string(kind), What: what, Lift: lift}, &out)
	return out, err
}

// Status is how the trainee stands.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	err = c.do(ctx, http.MethodGet, "/status", nil, &s)
	return s, err
}

// Alerts are those raised so far, oldest first.
func (c *Client) Alerts(ctx context.Context) (all []AlertView, err error) {
	err = c.do(ctx, http.MethodGet, "/alerts", nil, &all)
	return all, err
}

// Records are the newest n records that hold the text, oldest first.
func (c *Client) Records(ctx context.Context, text string, n int) (all []json.RawMessage, err error) {
	err = c.do(ctx, http.MethodGet, "/records?"+url.Values{"q": {text}, "n": {strconv.Itoa(n)}}.Encode(), nil, &all)
	return all, err
}

// Trainees is how all stand, the best first; with the trainer's token.
func (c *Client) Trainees(ctx context.Context) (all []Standing, err error) {
	err = c.do(ctx, http.MethodGet, "/trainees", nil, &all)
	return all, err
}

// Pause stops a trainee's exercise, or with resume lets it go on.
func (c *Client) Pause(ctx context.Context, trainee string, resume bool) (s Standing, err error) {
	path := "/pause"
	if resume {
		path = "/resume"
	}
	err = c.do(ctx, http.MethodPost, path+"?"+url.Values{"trainee": {trainee}}.Encode(), nil, &s)
	return s, err
}

// Reset puts a trainee back to the beginning, on a new network.
func (c *Client) Reset(ctx context.Context, trainee string) (r Reset, err error) {
	err = c.do(ctx, http.MethodPost, "/reset?"+url.Values{"trainee": {trainee}}.Encode(), nil, &r)
	return r, err
}
