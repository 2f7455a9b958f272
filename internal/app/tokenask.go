//go:build unix

package app

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/netip"

	"github.com/lapwing-defence/lapwing/internal/token"
)

func orderArgs(v any) (map[string][]string, error) {
	data, err := json.Marshal(v)
	return map[string][]string{"order": {string(data)}}, err
}

// tell sends a call about tokens and reads the one line of the answer into v.
func (d Dir) tell(ctx context.Context, c call, v any) error {
	return d.do(ctx, c, func(r io.Reader) error { return json.NewDecoder(r).Decode(v) })
}

func tokenPath(id token.ID, what string) string { return "/tokens/" + id.String() + "/" + what }

// Tokens calls fn with each row of the register whose id begins so.
func (d Dir) Tokens(ctx context.Context, id string, fn func(line []byte, t *token.Token) error) error {
	return list(ctx, d, "/tokens", Ask{ID: id}, fn)
}

// DrawToken makes a token known and gives its content.
func (d Dir) DrawToken(ctx context.Context, n NewToken) (f TokenFiles, err error) {
	n.Who = operator()
	args, err := orderArgs(n)
	if err != nil {
		return f, err
	}
	err = d.tell(ctx, call{method: http.MethodPost, path: "/tokens", args: args, store: true}, &f)
	return f, err
}

// TokenFiles gives the content of a token once more; with dial, where a test of
// it is to knock: a decoy of ours, or an error.
func (d Dir) TokenFiles(ctx context.Context, id token.ID, dial bool) (f TokenFiles, err error) {
	c := call{method: http.MethodGet, path: tokenPath(id, "files"), args: map[string][]string{}, follow: dial}
	if dial {
		c.args.Set("dial", "1")
	}
	err = d.tell(ctx, c, &f)
	return f, err
}

// TokenPlanted writes down that a token was planted.
func (d Dir) TokenPlanted(ctx context.Context, id token.ID, p TokenPlanted) (t token.Token, err error) {
	p.Who = operator()
	args, err := orderArgs(p)
	if err != nil {
		return t, err
	}
	err = d.tell(ctx, call{method: http.MethodPost, path: tokenPath(id, "planted"), args: args}, &t)
	return t, err
}

// TokenEnded writes down that a token was rotated or removed.
func (d Dir) TokenEnded(ctx context.Context, id token.ID, state token.State, next *token.ID) (t token.Token, err error) {
	args, err := orderArgs(TokenEnded{state, next, operator()})
	if err != nil {
		return t, err
	}
	err = d.tell(ctx, call{method: http.MethodPost, path: tokenPath(id, "ended"), args: args}, &t)
	return t, err
}

// TokenUnread writes down that nobody was seen to have read a token until now.
func (d Dir) TokenUnread(ctx context.Context, id token.ID) error {
	return d.tell(ctx, call{method: http.MethodPost, path: tokenPath(id, "unread")}, &token.Token{})
}

// ExpectToken opens an expectation for a test from source, now.
func (d Dir) ExpectToken(ctx context.Context, id token.ID, source netip.AddrPort) (string, error) {
	var e TokenExpectation
	args := map[string][]string{"source": {source.String()}, "who": {operator()}}
	err := d.tell(ctx, call{method: http.MethodPost, path: tokenPath(id, "expect"), args: args, follow: true}, &e)
	return e.Text, err
}

// TokenTested waits for the use that was expected.
func (d Dir) TokenTested(ctx context.Context, id token.ID, expectation string) (t TokenTested, err error) {
	args := map[string][]string{"expectation": {expectation}}
	err = d.tell(ctx, call{method: http.MethodGet, path: tokenPath(id, "tested"), args: args, follow: true}, &t)
	return t, err
}
