//go:build unix

package cli

import (
	"bufio"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lapwing-defence/lapwing/internal/app"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/eventlog"
)

const eventsHelp = `Prints events, oldest first: those in the event log and those that are still in the journal, each once.
Works on a running instance and on a stopped data directory.

A query is a part of LogsQL. Conditions stand side by side (all must hold), or are joined by and, or, not and parentheses:

  wget                         a word anywhere in the event; "two words" together; wg* begins a word
  user.name:root               the word in this field
  user.name:=root              exactly this value; ="ro"* begins with; :* there is one; :"" there is none
  process.command_line:*tmp*   these characters; ~"^(wget|curl)" a regular expression (RE2)
  source.ip:192.0.2.0/24       an address or a network
  file.size:>=1000             a number
  event.action:in(login, command-executed)      one of these; i(WGET) in either case
  * | stats by (source.ip) count() hits         pipes of LogsQL; rows come as JSON

Quote what holds spaces or : ( ) | " in the query itself, and the whole from your shell.
The fields are in docs/formats/events.md.

Exit status: 0 fine, 2 error, 64 wrong usage.`

func newEvents(g *globals) *cobra.Command {
	var sel selection
	var follow bool
	c := &cobra.Command{
		Use: "events [QUERY]", Short: "Print the events that were kept", Long: eventsHelp,
		Example: "  lapwing events --since 1h\n  lapwing events -n 20 source.ip:198.51.100.7\n  lapwing events --json 'event.action:login event.outcome:success'\n  lapwing events '* | stats by (source.ip) count() hits | sort by (hits) desc | limit 10'",
		RunE: func(c *cobra.Command, words []string) error {
			dir, err := g.dir()
			if err != nil {
				return err
			}
			q := app.Query{Where: strings.Join(words, " "), Last: sel.n, Follow: follow, FromEnd: follow && sel.n == 0 && sel.since == 0}
			if sel.n < 0 || sel.since < 0 {
				return usageError{errors.New("events: -n and --since must not be negative")}
			}
			if sel.since > 0 {
				q.Since = time.Now().Add(-sel.since)
			}
			_, pipes, err := eventlog.Parse(q.Where)
			if err != nil {
				return err
			}
			out := bufio.NewWriterSize(g.Out, 32<<10)
			show := func(line []byte) error {
				if !g.quiet {
					out.Write(jsonText(line)) //nolint:errcheck // Flush tells
					out.WriteByte('\n')       //nolint:errcheck // as above
				}
				if follow {
					return out.Flush()
				}
				return nil
			}
			if pipes != "" {
				err = dir.Lines(c.Context(), q, show)
			} else {
				err = dir.Events(c.Context(), q, func(e event.Event) error {
					if g.json {
						return show(e.AppendJSON(nil))
					}
					return show([]byte(row(e))) // of printable characters alone
				})
			}
			if ferr := out.Flush(); err == nil {
				err = ferr
			}
			return err
		},
	}
	sel.flags(c)
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what comes, until interrupted; without -n or --since only that")
	return c
}

// sessionQuery asks for the events of sessions whose id begins so. The id of
// a session holds the time at which it began (UUIDv7), which narrows the search.
func sessionQuery(prefix string) app.Query {
	q := app.Query{Where: "lapwing.session.id:=" + strconv.Quote(prefix) + "*"}
	digits := strings.ReplaceAll(prefix, "-", "")
	if len(digits) < 8 {
		return q
	}
	digits = (digits + "0000")[:12]
	if b, err := hex.DecodeString(digits); err == nil {
		ms := int64(b[0])<<40 | int64(b[1])<<32 | int64(b[2])<<24 | int64(b[3])<<16 | int64(b[4])<<8 | int64(b[5])
		q.Since = time.UnixMilli(ms).Add(-time.Hour)
	}
	return q
}
