//go:build unix

package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lapwing-defence/lapwing/internal/app"
	"github.com/lapwing-defence/lapwing/internal/token"
	"github.com/lapwing-defence/lapwing/internal/token/plant"
)

func newToken(g *globals) *cobra.Command {
	var kinds strings.Builder
	for _, k := range token.Kinds() {
		fmt.Fprintf(&kinds, "\n  %-10s %s", k.Name, k.Summary)
	}
	return group(&cobra.Command{
		Use: "token", Short: "Planted credentials that give away who uses them: new, plant, verify, list, rotate, remove",
		Long: "A token is a credential, a link or a row that nobody has a reason to use. It leads to one of your decoys, and its use is one alert that says\n" +
			"on which machine it was stolen, where it was used, and between which times it was taken. Nothing in a planted file says what it is.\n\nKinds:" +
			kinds.String() + "\n\nAn id may be cut to its first letters.\n\nExit status: 0 fine, 1 a token did not fire (verify), 2 error, 64 wrong usage.",
		Example: "  lapwing token plant ssh --host files --dir /home/backup\n  lapwing token verify\n  lapwing token list",
	}, tokenNew(g), tokenPlant(g), tokenVerify(g), tokenList(g), tokenRotate(g), tokenRemove(g))
}

// wanted are the flags that describe a token to be drawn.
type wanted struct {
	app.NewToken
	days int
}

func (w *wanted) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&w.Host, "host", "", "name of the machine that it is planted on")
	f.StringVar(&w.Path, "path", "", "where on it, as you want to read it in an alert")
	f.StringVar(&w.Owner, "owner", "", "user whose it seems to be")
	f.StringVar(&w.Note, "note", "", "anything that you want to remember")
	f.StringVar(&w.To, "to", "", "fake host that it leads to (default: the first that fits)")
	f.StringVar(&w.Zone, "zone", "", "DNS zone or mail domain whose queries or mails you see (dns, mail, rows, account)")
	f.StringVar(&w.Address, "address", "", "address or name by which that machine reaches the decoy (default: what the decoy listens on)")
	f.IntVar(&w.days, "days", 90, "after so many days list says that it is to be rotated; 0: never")
}

// draw asks for the token.
func (w *wanted) draw(ctx context.Context, dir app.Dir, kind string) (app.TokenFiles, error) {
	n := w.NewToken
	n.Kind, n.Expires = kind, time.Duration(w.days)*24*time.Hour
	if n.Host == "" {
		return app.TokenFiles{}, usageError{errors.New("say on which machine it is to lie: --host NAME")}
	}
	return dir.DrawToken(ctx, n)
}

func tokenNew(g *globals) *cobra.Command {
	var w wanted
	c := &cobra.Command{
		Use: "new KIND --host NAME", Short: "Draw a token and write it into the register", Args: cobra.ExactArgs(1),
		Long:    "Draws a token; nothing is planted yet. lapwing token plant ID does that, and lapwing token plant KIND does both at once." + statusHelp,
		Example: "  lapwing token new ssh --host files --owner backup --path /home/backup",
		RunE: func(c *cobra.Command, args []string) error {
			dir, err := g.dir()
			if err != nil {
				return err
			}
			f, err := w.draw(c.Context(), dir, args[0])
			if err != nil {
				return err
			}
			if g.json {
				return json.NewEncoder(g.Out).Encode(f.Token)
			}
			if f.Token.Door.Address == "" {
				return g.say("%s  %s for %s; plant it with lapwing token plant %s", f.Token.ID, f.Token.Kind, f.Token.Host, f.Token.ID)
			}
			return g.say("%s  %s for %s, leads to %s; plant it with lapwing token plant %s", f.Token.ID, f.Token.Kind, f.Token.Host, f.Token.Door.Address, f.Token.ID)
		},
	}
	w.flags(c)
	return c
}

func tokenList(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "list [ID]", Short: "The register: what lies where", Args: cobra.MaximumNArgs(1),
		Long: "Lists id, kind, machine and place, state, when it was planted and last tested. With --json everything that is known of each, also of\n" +
			"those that were rotated and removed: their use is told for ever. No secret is in it." + statusHelp,
		Example: "  lapwing token list\n  lapwing token list --json",
		RunE: func(c *cobra.Command, args []string) error {
			dir, err := g.dir()
			if err != nil {
				return err
			}
			id := ""
			if len(args) > 0 {
				id = args[0]
			}
			return g.print(func(out *bufio.Writer) error {
				return dir.Tokens(c.Context(), id, func(line []byte, t *token.Token) error {
					if g.json {
						return putLine(out, jsonText(line))
					}
					return putLine(out, tokenLine(t, time.Now()))
				})
			})
		},
	}
}

func tokenLine(t *token.Token, now time.Time) []byte {
	day := func(at time.Time) string {
		if at.IsZero() {
			return "never"
		}
		return at.Local().Format("2006-01-02 15:04")
	}
	state := string(t.State)
	if t.Expired(now) {
		state += ", to be rotated"
	}
	s := fmt.Sprintf("%s  %-10s %-24s %s  planted %s, tested %s", t.ID, t.Kind, state, safe(t.Host+" "+t.Path, 80), day(t.Planted), day(t.Tested))
	if t.Uses > 0 {
		s += fmt.Sprintf(", USED %d times, last %s", t.Uses, day(t.LastUsed))
	}
	return []byte(s)
}

func tokenPlant(g *globals) *cobra.Command {
	var w wanted
	var p planting
	c := &cobra.Command{
		Use: "plant ID|KIND", Short: "Put a token where it is to be found", Args: cobra.ExactArgs(1),
		Long: "Writes a bundle to look at and install: a directory, or a tar archive where -o ends in .tar, with the files, a manifest and a note.\n" +
			"With --dir it plants at once into a directory of this machine, such as somebody's home: nothing is overwritten, no symbolic link\n" +
			"is followed, and a file is added to only where that changes nothing for its owner. --dry-run shows what would be done." + statusHelp,
		Example: "  lapwing token plant ssh --host files -o files-key/\n  lapwing token plant ssh --host files --owner backup --dir /home/backup\n  lapwing token plant mfzq2k4n5b7xw3ty -o key.tar",
		RunE: func(c *cobra.Command, args []string) error {
			dir, err := g.dir()
			if err != nil {
				return err
			}
			if p.dir != "" && p.out != "" {
				return usageError{errors.New("--dir and -o: one of them")}
			}
			if p.dir != "" {
				if p.dir, err = filepath.Abs(p.dir); err != nil {
					return err
				}
				if w.Path == "" {
					w.Path = p.dir
				}
			}
			f, err := p.take(c.Context(), dir, args[0], &w)
			if err != nil {
				return err
			}
			return p.plant(c.Context(), g, dir, f)
		},
	}
	w.flags(c)
	c.Flags().StringVar(&p.dir, "dir", "", "directory of this machine to plant it in")
	c.Flags().StringVarP(&p.out, "output", "o", "", "directory or .tar file of the bundle; it must not exist (default: HOST-KIND-ID here)")
	c.Flags().StringArrayVar(&p.users, "users", nil, "file with names that are valid somewhere, one a line or as in passwd, such as an export of your directory; beside this machine's own")
	c.Flags().BoolVar(&p.dry, "dry-run", false, "show what --dir would do, and do nothing")
	return c
}

// planting says where a token is put.
type planting struct {
	dir, out string
	users    []string // files of valid names
	dry      bool
}

// take finds the token of an id that is not planted yet, or draws one of a kind.
func (p *planting) take(ctx context.Context, dir app.Dir, what string, w *wanted) (app.TokenFiles, error) {
	if _, err := token.FindKind(what); err == nil {
		if p.dry {
			return app.TokenFiles{}, usageError{errors.New("--dry-run needs a token: draw one with lapwing token new")}
		}
		return w.draw(ctx, dir, what)
	}
	t, err := oneToken(ctx, dir, what)
	if err != nil {
		return app.TokenFiles{}, err
	}
	if t.State != token.Drawn {
		return app.TokenFiles{}, fmt.Errorf("token %s is %s already: draw another one, or lapwing token rotate %s", t.ID, t.State, t.ID)
	}
	return dir.TokenFiles(ctx, t.ID, false)
}

// oneToken finds the token whose id begins so.
func oneToken(ctx context.Context, dir app.Dir, id string) (t *token.Token, err error) {
	n := 0
	err = dir.Tokens(ctx, id, func(_ []byte, one *token.Token) error { t = one; n++; return nil })
	switch {
	case err != nil:
		return nil, err
	case n == 0:
		return nil, fmt.Errorf("%.40q is neither a kind nor the id of a token: lapwing token --help names the kinds, lapwing token list the ids", id)
	case n > 1:
		return nil, fmt.Errorf("%d tokens begin with %.20q: write more of the id", n, id)
	}
	return t, nil
}

func (p *planting) plant(ctx context.Context, g *globals, dir app.Dir, f app.TokenFiles) error {
	done := app.TokenPlanted{Way: "bundle"}
	var err error
	switch {
	case len(f.Files) == 0:
		done.Way = "hand"
	case p.dir != "":
		done.Way, done.Path = "dir", p.dir
		done.Files, err = p.here(ctx, g, f)
	default:
		done.Files, err = p.bundle(f)
	}
	if err != nil || p.dry {
		return err
	}
	t, err := dir.TokenPlanted(ctx, f.Token.ID, done)
	if err != nil {
		return fmt.Errorf("it is planted, but not written down: %w", err)
	}
	if g.json {
		return json.NewEncoder(g.Out).Encode(struct {
			token.Token
			Values map[string]string `json:"values,omitempty"`
		}{t, f.Values})
	}
	for _, name := range slices.Sorted(maps.Keys(f.Values)) {
		g.say("%s: %s", name, f.Values[name]) //nolint:errcheck // the next line tells
	}
	if done.Way == "hand" {
		return g.say("%s  %s for %s: put it where it is to be found", t.ID, t.Kind, t.Host)
	}
	if p.dir == "" {
		return g.say("%s  %s for %s: the bundle is in %s; look at it, install it as its note says, then lapwing token verify %s", t.ID, t.Kind, t.Host, p.out, t.ID)
	}
	for _, part := range t.Files {
		if !part.Dir {
			g.say("planted %s", filepath.Join(p.dir, filepath.FromSlash(part.Path))) //nolint:errcheck // the next line tells
		}
	}
	return g.say("%s  %s on %s, leads to %s; try it with lapwing token verify %s", t.ID, t.Kind, t.Host, t.Door.Address, t.ID)
}

// here plants into a directory of this machine.
func (p *planting) here(ctx context.Context, g *globals, f app.TokenFiles) ([]token.Part, error) {
	d, err := plant.Open(p.dir)
	if err != nil {
		return nil, err
	}
	defer d.Close() //nolint:errcheck // only read from
	if err := plant.Valid(ctx, d, p.users, f.Token, f.Files); err != nil {
		return nil, fmt.Errorf("token %s: %w", f.Token.ID, err)
	}
	steps, err := plant.Plan(d, f.Files)
	if err != nil {
		return nil, fmt.Errorf("token %s in %s: %w", f.Token.ID, p.dir, err)
	}
	if p.dry {
		return nil, showSteps(g.Out, steps)
	}
	return plant.Apply(d, steps)
}

// showSteps shows what would be done, secrets and all: it is for who plants.
func showSteps(w io.Writer, steps []plant.Step) error {
	for _, s := range steps {
		what := "new file"
		if s.Append {
			what = "added to"
		}
		if _, err := fmt.Fprintf(w, "%s %s, mode %04o\n", what, quoteText(s.Path), s.Mode); err != nil {
			return err
		}
		for line := range strings.Lines(string(s.Content)) {
			if _, err := fmt.Fprintf(w, "+%s\n", quoteText(strings.TrimRight(line, "\n"))); err != nil {
				return err
			}
		}
	}
	return nil
}

// bundle writes the bundle; after an error nothing of it is left.
func (p *planting) bundle(f app.TokenFiles) ([]token.Part, error) {
	name := f.Token.Host + "-" + f.Token.Kind + "-" + f.Token.ID.String()[:6]
	name = strings.Map(func(r rune) rune {
		if r == '/' || r < 0x20 {
			return '_'
		}
		return r
	}, name)
	if p.out == "" {
		p.out = name + "/"
	}
	files, parts, err := plant.Bundle(f.Token, f.Files)
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(p.out, ".tar") {
		err := writeNew(p.out, func(w io.Writer) error { return plant.Tar(w, name, files) })
		return parts, err
	}
	return parts, writeBundle(p.out, files)
}

func writeBundle(dir string, files []token.File) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) > 0 {
		return errors.Join(err, fmt.Errorf("the directory %s is not empty: choose another", dir))
	}
	d, err := plant.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close() //nolint:errcheck // what was written is on the disk
	steps, err := plant.Plan(d, files)
	if err == nil {
		_, err = plant.Apply(d, steps)
	}
	return err
}

func tokenRemove(g *globals) *cobra.Command {
	var keep bool
	c := &cobra.Command{
		Use: "remove ID", Short: "Take a token away", Args: cobra.ExactArgs(1),
		Long: "Removes what was planted with --dir, where it is as it was put; what was changed since stays, is named, and the token stays in force.\n" +
			"Of a bundle it says what to remove. Use of a removed token is told for ever, marked as late." + statusHelp,
		Example: "  lapwing token remove mfzq2k\n  lapwing token remove mfzq2k --gone",
		RunE: func(c *cobra.Command, args []string) error {
			dir, err := g.dir()
			if err != nil {
				return err
			}
			t, err := oneToken(c.Context(), dir, args[0])
			if err != nil {
				return err
			}
			if t.State == token.Planted && !keep {
				if err := takeAway(g, t); err != nil {
					return err
				}
			}
			end, err := dir.TokenEnded(c.Context(), t.ID, token.Removed, nil)
			if err != nil {
				return err
			}
			if g.json {
				return json.NewEncoder(g.Out).Encode(end)
			}
			return g.say("%s  is removed; its use is told all the same", t.ID)
		},
	}
	c.Flags().BoolVar(&keep, "gone", false, "it is gone already: change the register alone")
	return c
}

// takeAway removes what was planted, or says what a person is to remove.
func takeAway(g *globals, t *token.Token) error {
	if t.Way != "dir" {
		for _, p := range t.Files {
			g.say("remove %s on %s yourself: it was planted by hand", filepath.Join(t.Path, filepath.FromSlash(p.Path)), t.Host) //nolint:errcheck // as below
		}
		return nil
	}
	d, err := plant.Open(t.Path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close() //nolint:errcheck // nothing is written at its end
	return plant.Remove(d, t.Files)
}

func tokenRotate(g *globals) *cobra.Command {
	var w wanted
	var p planting
	c := &cobra.Command{
		Use: "rotate ID", Short: "Put a fresh token in the place of one", Args: cobra.ExactArgs(1),
		Long: "Draws a token of the same kind for the same place. One that was planted with --dir is exchanged there; for another a bundle is written.\n" +
			"Use of the old one is told for ever, marked as late: it says that it was stolen before now." + statusHelp,
		Example: "  lapwing token rotate mfzq2k",
		RunE: func(c *cobra.Command, args []string) error {
			dir, err := g.dir()
			if err != nil {
				return err
			}
			old, err := oneToken(c.Context(), dir, args[0])
			if err != nil {
				return err
			}
			if old.State != token.Planted {
				return fmt.Errorf("token %s is %s: only what is planted is rotated", old.ID, old.State)
			}
			w.NewToken = app.NewToken{Zone: old.Zone, Host: old.Host, Path: old.Path, Owner: old.Owner, Note: old.Note, To: old.Door.Decoy, Address: old.Door.Address}
			f, err := w.draw(c.Context(), dir, old.Kind)
			if err != nil {
				return err
			}
			if old.Way == "dir" {
				p.dir = old.Path
				if err := takeAway(g, old); err != nil {
					return fmt.Errorf("the old token stays: %w", err)
				}
			}
			if err := p.plant(c.Context(), g, dir, f); err != nil {
				return err
			}
			_, err = dir.TokenEnded(c.Context(), old.ID, token.Rotated, &f.Token.ID)
			return err
		},
	}
	c.Flags().IntVar(&w.days, "days", 90, "after so many days list says that it is to be rotated; 0: never")
	c.Flags().StringVarP(&p.out, "output", "o", "", "directory or .tar file of the bundle, where one is written")
	return c
}
