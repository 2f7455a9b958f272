//go:build unix

package app

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/casebook"
	"github.com/lapwing-defence/lapwing/internal/token"
)

// tokens is what the hub knows of honeytokens.
type tokens struct {
	master *token.Master
	watch  *token.Watch
}

func (d Dir) openTokens() (*tokens, error) {
	key, err := d.key("token")
	if err != nil {
		return nil, err
	}
	m, err := token.NewMaster(key)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(d.Path("tokens"), 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	r, err := token.OpenRegister(d.tokenRows())
	if err != nil {
		return nil, err
	}
	w, err := token.NewWatch(m, r)
	if err != nil {
		return nil, err
	}
	return &tokens{m, w}, nil
}

// keep writes what was counted of uses into the register until stop.
func (t *tokens) keep(ctx context.Context, log *slog.Logger) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	flush := func() {
		if err := t.watch.Register.Flush(); err != nil {
			log.Error("the uses of tokens were not written down; their alerts are", "error", err)
		}
	}
	wg.Go(func() {
		tick := time.NewTicker(5 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				flush()
				return
			case <-tick.C:
				flush()
			}
		}
	})
	return func() { cancel(); wg.Wait() }
}

// NewToken says what token is wanted.
type NewToken struct {
	Kind    string        `json:"kind"`
	Host    string        `json:"host"`
	Path    string        `json:"path"`
	Owner   string        `json:"owner"`
	Note    string        `json:"note"`
	To      string        `json:"to"`      // fake host that it leads to, "" for the first that fits
	Address string        `json:"address"` // as it is to stand in the token, "" for the decoy's own
	Zone    string        `json:"zone"`    // DNS zone or mail domain that the operator sees
	Expires time.Duration `json:"expires"` // 0: never
	Next    *token.ID     `json:"next"`    // the token whose place it takes, nil for none
	Who     string        `json:"who"`
}

// TokenFiles is a token with what is to be planted.
type TokenFiles struct {
	Token *token.Token `json:"token"`
	Files []token.File `json:"files"`
	// Values are what is to be put somewhere by hand.
	Values map[string]string `json:"values,omitempty"`
	Dial   string            `json:"dial,omitempty"` // where a test is to knock
}

func (k *desk) handleTokens(mux *http.ServeMux) {
	mux.HandleFunc("GET /tokens", k.page(k.getTokens))
	mux.HandleFunc("POST /tokens", k.page(k.postToken))
	mux.HandleFunc("GET /tokens/{id}/files", k.page(k.getTokenFiles))
	mux.HandleFunc("POST /tokens/{id}/planted", k.page(k.postPlanted))
	mux.HandleFunc("POST /tokens/{id}/ended", k.page(k.postEnded))
	mux.HandleFunc("POST /tokens/{id}/unread", k.page(k.postUnread))
	mux.HandleFunc("POST /tokens/{id}/expect", k.page(k.postExpect))
	mux.HandleFunc("GET /tokens/{id}/tested", k.page(k.getTested))
}

func (k *desk) getTokens(w *lineWriter, r *http.Request) error {
	id := strings.ToLower(r.URL.Query().Get("id"))
	for _, t := range k.tokens.watch.Register.All() {
		if strings.HasPrefix(t.ID.String(), id) {
			if err := w.json(t); err != nil {
				return err
			}
		}
	}
	return nil
}

// arg reads the order of a request.
func arg(r *http.Request, v any) error {
	if err := json.Unmarshal([]byte(r.URL.Query().Get("order")), v); err != nil {
		return refuse(http.StatusBadRequest, "read the order: %v", err)
	}
	return nil
}

// find gives the token that a request is about.
func (k *desk) find(r *http.Request) (*token.Token, error) {
	t, err := k.tokens.watch.Register.Find(r.PathValue("id"))
	if err != nil {
		return nil, refuse(http.StatusNotFound, "%v", err)
	}
	return t, nil
}

func (k *desk) note(ctx context.Context, who, act string, t *token.Token, why string) error {
	return k.book.Note(ctx, casebook.Act{At: time.Now(), Who: who, Act: act, Target: "token " + t.ID.String(), Why: why, Result: "success"})
}

// postToken draws a token and makes it known, before anybody can plant it.
func (k *desk) postToken(w *lineWriter, r *http.Request) error {
	var o NewToken
	if err := arg(r, &o); err != nil {
		return err
	}
	k.acts.Lock()
	defer k.acts.Unlock()
	t := &token.Token{Zone: o.Zone, Kind: o.Kind, Host: o.Host, Path: o.Path, Owner: o.Owner, Note: o.Note, Created: time.Now(), CreatedBy: o.Who, State: token.Drawn}
	for _, name := range []string{o.Host, cmp.Or(o.Owner, "root"), cmp.Or(o.Zone, "none")} {
		if !isName(name) {
			return refuse(http.StatusBadRequest, "%.100q is no name of a machine, a user or a zone: they have letters, digits and . - _ :", name)
		}
	}
	if len(o.Path)+len(o.Note) > 2000 {
		return refuse(http.StatusBadRequest, "path and note have more than 2,000 bytes together")
	}
	if o.Expires > 0 {
		t.Expires = t.Created.Add(o.Expires)
	}
	near, err := k.aim(t, o)
	if err != nil {
		return err
	}
	made, err := k.draw(r.Context(), t, near)
	if err != nil {
		return err
	}
	if err := k.tokens.watch.Register.Add(t); err != nil {
		return err
	}
	if err := k.note(r.Context(), o.Who, "token-new", t, o.Kind+" for "+o.Host); err != nil {
		return err
	}
	return w.json(TokenFiles{Token: t, Files: made.Files, Values: made.Values})
}

// draw gives t an id and names that no other token has.
func (k *desk) draw(ctx context.Context, t *token.Token, near token.Surroundings) (made token.Made, err error) {
	for range 16 {
		if t.ID, err = token.NewID(rand.Reader); err != nil {
			return made, err
		}
		t.Names = nil
		if made, err = k.tokens.master.Make(t, near); err != nil {
			return made, refuse(http.StatusBadRequest, "%v", err)
		}
		known, err := k.known(ctx, t)
		if err != nil {
			return made, err
		}
		if known {
			continue
		}
		clash, err := k.tokens.watch.Index.Add(t)
		if err != nil {
			return made, err
		}
		if clash == nil {
			return made, nil
		}
	}
	return made, errors.New("no name could be drawn that is not a token's already")
}

// logDays is how far back the logs are asked for a name that a token is to have.
const logDays = 30

var errKnown = errors.New("known")

// known tells whether a name of t occurs in the events of the last 30 days:
// somebody has it, or tries it anyhow.
func (k *desk) known(ctx context.Context, t *token.Token) (bool, error) {
	for _, key := range []string{"user", "mail"} {
		name := t.Names[key]
		if name == "" {
			continue
		}
		q, err := Query{Where: "user.name:" + strconv.Quote(name), Since: time.Now().AddDate(0, 0, -logDays)}.archiveQuery()
		if err != nil {
			return false, err
		}
		err = k.Read(ctx, q, func([]byte) error { return errKnown })
		if errors.Is(err, errKnown) {
			return true, nil
		}
		if err != nil {
			return false, fmt.Errorf("look for %q in the logs of the last %d days: %w", name, logDays, err)
		}
	}
	return false, nil
}

// getTokenFiles makes the content of a token once more.
func (k *desk) getTokenFiles(w *lineWriter, r *http.Request) error {
	t, err := k.find(r)
	if err != nil {
		return err
	}
	var doors []door
	if t.Door.Type != "" {
		if doors, err = k.dir.loadDoors(); err != nil {
			return refuse(http.StatusConflict, "%v", err)
		}
	}
	out := TokenFiles{Token: t}
	if r.URL.Query().Get("dial") != "" && t.Door.Type != "" {
		at, err := ownDoor(r.Context(), t.Door, doors)
		if err != nil {
			return refuse(http.StatusConflict, "%v", err)
		}
		out.Dial = at.String()
	}
	made, err := k.tokens.master.Make(t, choose(doors, []string{t.Door.Type}, t.Door.Decoy).near())
	if err != nil {
		return refuse(http.StatusConflict, "%v", err)
	}
	out.Files, out.Values = made.Files, made.Values
	return w.json(out)
}

// TokenPlanted says where a token lies now.
type TokenPlanted struct {
	Path  string       `json:"path"`
	Way   string       `json:"way"`
	Files []token.Part `json:"files"`
	Who   string       `json:"who"`
}

func (k *desk) postPlanted(w *lineWriter, r *http.Request) error {
	var o TokenPlanted
	if err := arg(r, &o); err != nil {
		return err
	}
	return k.change(w, r, o.Who, "token-plant", func(t *token.Token) error {
		if t.State != token.Drawn {
			return refuse(http.StatusConflict, "it is %s already: draw another one", t.State)
		}
		t.State, t.Planted, t.PlantedBy, t.Way, t.Files = token.Planted, time.Now(), o.Who, o.Way, o.Files
		if o.Path != "" {
			t.Path = o.Path
		}
		return nil
	})
}

// change changes the token of a request, notes it and answers with it.
func (k *desk) change(w *lineWriter, r *http.Request, who, act string, fn func(*token.Token) error) error {
	k.acts.Lock()
	defer k.acts.Unlock()
	t, err := k.find(r)
	if err != nil {
		return err
	}
	if t, err = k.tokens.watch.Register.Change(t.ID, fn); err != nil {
		return err
	}
	if err := k.note(r.Context(), who, act, t, string(t.State)+" on "+t.Host); err != nil {
		return err
	}
	return w.json(t)
}

// TokenEnded says that a token is not where it was any more.
type TokenEnded struct {
	State token.State `json:"state"` // rotated or removed
	Next  *token.ID   `json:"next,omitempty"`
	Who   string      `json:"who"`
}

func (k *desk) postEnded(w *lineWriter, r *http.Request) error {
	var o TokenEnded
	if err := arg(r, &o); err != nil {
		return err
	}
	if o.State != token.Rotated && o.State != token.Removed {
		return refuse(http.StatusBadRequest, "a token ends as rotated or removed")
	}
	return k.change(w, r, o.Who, "token-"+string(o.State), func(t *token.Token) error {
		if t.State == token.Rotated || t.State == token.Removed {
			return refuse(http.StatusConflict, "it is %s already", t.State)
		}
		t.State, t.Ended, t.EndedBy, t.Next = o.State, time.Now(), o.Who, o.Next
		return nil
	})
}

// postUnread writes down that nobody was seen to have read a token until now.
func (k *desk) postUnread(w *lineWriter, r *http.Request) error {
	t, err := k.find(r)
	if err != nil {
		return err
	}
	if t, err = k.tokens.watch.Register.Change(t.ID, func(t *token.Token) error { t.Unread = time.Now(); return nil }); err != nil {
		return err
	}
	return w.json(t)
}

// TokenExpectation is a signed expectation.
type TokenExpectation struct {
	Text string `json:"expectation"`
}

func (k *desk) postExpect(w *lineWriter, r *http.Request) error {
	v := r.URL.Query()
	t, err := k.find(r)
	if err != nil {
		return err
	}
	source, err := netip.ParseAddrPort(v.Get("source"))
	if err != nil {
		return refuse(http.StatusBadRequest, "the address that a test comes from: %v", err)
	}
	if err := k.note(r.Context(), v.Get("who"), "token-test", t, "from "+source.String()); err != nil {
		return err
	}
	now := time.Now()
	text, err := k.tokens.master.Sign(token.Expectation{ID: t.ID, Source: source, From: now, Until: now.Add(token.TestTime), Who: v.Get("who")})
	if err != nil {
		return err
	}
	if err := k.tokens.watch.Expected.Open(text, now); err != nil {
		return refuse(http.StatusConflict, "%v", err)
	}
	return w.json(TokenExpectation{text})
}

// TokenTested is how a test came out.
type TokenTested struct {
	Seen bool          `json:"seen"`
	At   time.Time     `json:"@timestamp,omitzero"`
	By   token.By      `json:"by,omitempty"`
	Took time.Duration `json:"took,omitempty"` // from the expectation to the decoy's event
}

// testWait is how long the event of a test may be under way to the hub.
const testWait = 30 * time.Second

func (k *desk) getTested(w *lineWriter, r *http.Request) error {
	t, err := k.find(r)
	if err != nil {
		return err
	}
	text := r.URL.Query().Get("expectation")
	seen, ok := k.tokens.watch.Expected.Seen(text)
	if !ok {
		return refuse(http.StatusNotFound, "no such test is open")
	}
	timer := time.NewTimer(testWait)
	defer timer.Stop()
	select {
	case <-seen:
	case <-timer.C:
		return w.json(TokenTested{})
	case <-r.Context().Done():
		return r.Context().Err()
	}
	met := k.tokens.watch.Expected.When(text)
	if _, err := k.tokens.watch.Register.Change(t.ID, func(t *token.Token) error { t.Tested = met.At; return nil }); err != nil {
		return err
	}
	return w.json(TokenTested{Seen: true, At: met.At, By: met.By, Took: met.At.Sub(met.From)})
}
