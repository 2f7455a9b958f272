//go:build unix

package app

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/detect/live"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/ruleset"
	"github.com/lapwing-defence/lapwing/internal/sigma"
	"github.com/lapwing-defence/lapwing/internal/token"
)

// TestTokenInLogs: an account that is a token's is recognised in what a real
// machine's log says, at the intake, and a rule is loud about it. What a worker
// says of tokens by itself is not believed.
func TestTokenInLogs(t *testing.T) {
	d := Dir(t.TempDir())
	if err := d.Create(); err != nil {
		t.Fatal(err)
	}
	tok, err := d.openTokens()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	row := &token.Token{ID: token.ID{1}, Kind: "account", Host: "dc01", Path: "OU=Service", Created: now, State: token.Planted}
	if _, err := tok.master.Make(row, token.Surroundings{}); err != nil {
		t.Fatal(err)
	}
	if clash, err := tok.watch.Index.Add(row); err != nil || clash != nil {
		t.Fatal(clash, err)
	}
	if err := tok.watch.Register.Add(row); err != nil {
		t.Fatal(err)
	}
	judge, err := live.New(live.Config{Rules: ruleset.Config{Shipped: true, Want: ruleset.Want{MinLevel: sigma.Low}}})
	if err != nil {
		t.Fatal(err)
	}
	in := &intake{observer: "sensor", passwords: "hmac", key: []byte("k"), tokens: tok.watch}
	say := func(user string, more ...event.Field) (event.Event, []string) {
		e := event.Event{ID: "x", Time: now.Add(time.Hour), Kind: "event", Category: "authentication", Action: "logon-failed", Outcome: "failure", Dataset: "access", User: user, Source: netip.MustParseAddrPort("192.0.2.7:1000")}
		e.Add("lapwing.source", "auth")
		e.Add("host.name", "db01")
		e.Extra = append(e.Extra, more...)
		if _, ok := in.quick(nil, e.AppendJSON(nil), now); ok {
			t.Error("an event of a log is passed on without a look")
		}
		in.stamp(&e, now)
		var names []string
		for _, v := range judge.Judge(e.AppendJSON(nil)) {
			names = append(names, v.Rule.Title)
		}
		return e, names
	}
	const rule = "Planted Account Used on a Real Machine"
	e, names := say(strings.ToUpper(row.Names["user"]) + "@CORP.EXAMPLE")
	if id, _ := e.Get(token.IDField); id.Text() != row.ID.String() || !slices.Contains(names, rule) {
		t.Errorf("recognised as %q, told by %q", id.Text(), names)
	}
	if got := tokenTitle(&e, row.ID.String()); !strings.Contains(got, `stolen from "dc01 OU=Service" between 2026-05-06T07:08:09Z and 2026-05-06T08:08:09Z, used on db01 by 192.0.2.7`) {
		t.Errorf("title %q", got)
	}
	e, names = say("anna", event.Field{Name: token.TestField, Value: event.Bool(true)}, event.Field{Name: token.HostField, Value: event.String("dc01")})
	if slices.Contains(names, rule) {
		t.Errorf("another account: %q", names)
	}
	for _, f := range e.Extra {
		if strings.HasPrefix(f.Name, token.Fields) {
			t.Errorf("%s came from outside", f.Name)
		}
	}
}
