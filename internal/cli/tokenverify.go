//go:build unix

package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"github.com/lapwing-defence/lapwing/internal/app"
	"github.com/lapwing-defence/lapwing/internal/token"
	"github.com/lapwing-defence/lapwing/internal/token/fire"
	"github.com/lapwing-defence/lapwing/internal/token/plant"
)

func tokenVerify(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "verify [ID]...", Short: "Use tokens on purpose and see that they fire", Args: cobra.ArbitraryArgs,
		Long: "Uses each token as a thief would, against the decoy that it leads to, which must be one of this running instance. The hub is told two\n" +
			"seconds before, by a signed note that names the token and the connection: that one use is written down as a test and raises no\n" +
			"alert, every other one does. Without ID, all that are planted." +
			"\n\nExit status: 0 every token fired, 1 one did not, 2 error, 64 wrong usage.",
		Example: "  lapwing token verify\n  lapwing token verify mfzq2k",
		RunE: func(c *cobra.Command, args []string) error {
			dir, err := g.dir()
			if err != nil {
				return err
			}
			var all []*token.Token
			for _, id := range args {
				t, err := oneToken(c.Context(), dir, id)
				if err != nil {
					return err
				}
				all = append(all, t)
			}
			if len(args) == 0 {
				err = dir.Tokens(c.Context(), "", func(_ []byte, t *token.Token) error {
					if t.State == token.Planted {
						all = append(all, t)
					}
					return nil
				})
			}
			if err != nil {
				return err
			}
			return verifyAll(c.Context(), g, dir, all)
		},
	}
}

// Verified is what verify says of a token.
type Verified struct {
	ID     token.ID `json:"id"`
	Kind   string   `json:"kind"`
	Host   string   `json:"host"`
	Fired  bool     `json:"fired"`
	By     token.By `json:"by,omitempty"`
	Millis float64  `json:"milliseconds,omitempty"` // from the note to the decoy's event
	Read   string   `json:"read,omitempty"`         // of what lies in a directory of this machine: no, yes, or changed
	Error  string   `json:"error,omitempty"`
}

func verifyAll(ctx context.Context, g *globals, dir app.Dir, all []*token.Token) error {
	if len(all) == 0 {
		return errors.New("no token is planted: lapwing token plant")
	}
	missed := false
	for _, t := range all {
		v := Verified{ID: t.ID, Kind: t.Kind, Host: t.Host}
		got, err := verifyOne(ctx, dir, t)
		switch {
		case err != nil:
			v.Error = err.Error()
		case !got.Seen:
			v.Error = "the decoy was used, and no use of the token was seen in time"
		default:
			v.Fired, v.By, v.Millis = true, got.By, float64(got.Took)/float64(time.Millisecond)
		}
		v.Read = lookAt(ctx, dir, t)
		missed = missed || !v.Fired
		if g.json {
			err = json.NewEncoder(g.Out).Encode(v)
		} else if v.Fired {
			err = g.say("%s  %-10s %s: fired after %.0f ms, recognised by its %s%s", t.ID, t.Kind, safe(t.Host, 60), v.Millis, v.By, readWords[v.Read])
		} else {
			_, err = fmt.Fprintf(g.Out, "%s  %-10s %s: DID NOT FIRE: %s\n", t.ID, t.Kind, safe(t.Host, 60), safe(v.Error, 500))
		}
		if err != nil {
			return err
		}
	}
	if missed {
		return exitStatus(1)
	}
	return nil
}

var readWords = map[string]string{"no": "; nobody was seen to have read it", "yes": "; SOMEBODY HAS READ IT", "changed": "; IT WAS CHANGED OR REMOVED where it lies"}

// lookAt tells of a token in a directory of this machine whether it is as it was
// put and whether it was read, and writes down that it was not.
func lookAt(ctx context.Context, dir app.Dir, t *token.Token) string {
	if t.Way != "dir" || t.State != token.Planted {
		return ""
	}
	d, err := plant.Open(t.Path)
	if err != nil {
		return "changed"
	}
	defer d.Close() //nolint:errcheck // only read
	if plant.Check(d, t.Files) != nil {
		return "changed"
	}
	said := ""
	for _, p := range t.Files {
		if !p.Whole {
			continue
		}
		unread, known := d.Unread(p.Path, p.Time)
		if known && !unread {
			return "yes"
		}
		if known {
			said = "no"
		}
	}
	if said == "no" && dir.TokenUnread(ctx, t.ID) != nil {
		return ""
	}
	return said
}

// verifyOne uses one token.
func verifyOne(ctx context.Context, dir app.Dir, t *token.Token) (app.TokenTested, error) {
	f, err := dir.TokenFiles(ctx, t.ID, true)
	if err != nil {
		return app.TokenTested{}, err
	}
	if f.Dial == "" {
		return app.TokenTested{}, fmt.Errorf("%w: it leads to no decoy", fire.ErrNoWay)
	}
	nd := net.Dialer{Timeout: 10 * time.Second}
	nd.SetMultipathTCP(false)
	conn, err := nd.DialContext(ctx, "tcp", f.Dial)
	if err != nil {
		return app.TokenTested{}, fmt.Errorf("reach the decoy: %w", err)
	}
	source, err := netip.ParseAddrPort(conn.LocalAddr().String())
	if err != nil {
		return app.TokenTested{}, errors.Join(err, conn.Close())
	}
	var expectation string
	err = fire.Fire(ctx, fire.Shot{Token: f.Token, Made: token.Made{Files: f.Files, Values: f.Values}, Conn: conn, Armed: func() (err error) {
		expectation, err = dir.ExpectToken(ctx, t.ID, source)
		return err
	}})
	if err != nil {
		return app.TokenTested{}, err
	}
	return dir.TokenTested(ctx, t.ID, expectation)
}
