package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/lapwing-defence/lapwing/internal/entry"
	exercised "github.com/lapwing-defence/lapwing/internal/exercise/report"
	"github.com/lapwing-defence/lapwing/internal/exercise/training"
)

// Where a range that is served keeps things, below the data directory.
const (
	rangeDir       = "range"
	rangeSocket    = "range.sock"
	rangeTokens    = "tokens" // a file for each trainee
	rangeTokenFile = "trainer.token"
	maxRangeSocket = 100 // bytes of its path; sockaddr_un holds 108
)

type serveFlags struct {
	trainees  []string
	listen    string
	wireguard string
	rules     []string
}

func newRangeServe(g *globals) *cobra.Command {
	f := &serveFlags{}
	c := &cobra.Command{
		Use: "serve SCENARIO", Short: "Hold an exercise for people", Args: cobra.ExactArgs(1),
		Long: "Makes a network for each trainee, with values of his own, plays the scenario on it by the clock of the wall and asks him its levels. " +
			"It prints how each gets in, and serves until it is interrupted. A trainee's time begins with his first lapwing range task or join.\n\n" +
			"What trainees reach is kept below range/ of the data directory: started again, each goes on where he was. " +
			"At the end the report of each is kept, for lapwing range report.\n\n" +
			"The ways in are open to this machine only; whoever sits elsewhere comes by ssh -L. No alert, record or response of an exercise meets those of a running instance.\n\n" +
			"Exit status: 0 it was interrupted, 2 error, 64 wrong usage.",
		Example: "  lapwing range serve flax-typhoon-short\n  lapwing range serve flax-typhoon-short --trainee anna --trainee bo\n  lapwing range serve office.range.yaml --listen 127.0.0.1:1080",
		RunE:    func(c *cobra.Command, args []string) error { return g.rangeServe(c.Context(), f, args[0]) },
	}
	c.Flags().StringArrayVar(&f.trainees, "trainee", nil, "a trainee's name; may be given several times (default those who were here before, else trainee)")
	c.Flags().StringVar(&f.listen, "listen", "127.0.0.1:0", "address of the SOCKS5 way in")
	c.Flags().StringVar(&f.wireguard, "wireguard", "127.0.0.1:0", "address of the WireGuard way in of the first trainee, the next port for each further one; with port 0 each keeps a free one")
	c.Flags().StringArrayVar(&f.rules, "rules", nil, "further Sigma rules: a file or a directory; the shipped ones always judge")
	return c
}

func (g *globals) rangeServe(ctx context.Context, f *serveFlags, name string) error {
	sc, _, err := openScenario(name)
	if err != nil {
		return err
	}
	base, err := g.rangeBase()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(base, 0o700); err != nil {
		return fmt.Errorf("keep the range: %w", err)
	}
	ln, err := listenRange(ctx, filepath.Join(base, rangeSocket))
	if err != nil {
		return err
	}
	defer ln.Close() //nolint:errcheck // the server has closed it
	door, err := newDoors(ctx, f, base, sc.ID)
	if err != nil {
		return err
	}
	defer door.close()
	room, err := training.Open(ctx, training.Config{
		Scenario: sc, Trainees: f.trainees, Dir: filepath.Join(base, "class", sc.ID), Tokens: filepath.Join(base, rangeTokens), Door: door, Secret: entry.NewSecret,
		Rules: f.rules, Version: g.version, Log: g.log(),
	})
	if err != nil {
		return err
	}
	defer room.Close()
	if err := os.WriteFile(filepath.Join(base, rangeTokenFile), []byte(room.Trainer()+"\n"), 0o600); err != nil {
		return fmt.Errorf("write the trainer's token: %w", err)
	}
	return g.holdClass(ctx, class{room: room, door: door, ln: ln})
}

// class is what serves an exercise.
type class struct {
	room *training.Room
	door *doors
	ln   net.Listener
}

// holdClass serves until ctx ends, and keeps the reports then.
func (g *globals) holdClass(ctx context.Context, c class) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	srv := &http.Server{
		Handler: c.room.Handler(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	var wg sync.WaitGroup
	ended := make(chan error, 2)
	wg.Go(func() { c.room.Run(ctx) })
	wg.Go(func() { ended <- c.door.serve(ctx) })
	wg.Go(func() { ended <- srv.Serve(c.ln) })
	g.tellWays(c.room)
	var err error
	select {
	case <-ctx.Done():
	case err = <-ended:
	}
	stop()
	srv.Close() //nolint:errcheck // nobody waits for an answer
	wg.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return errors.Join(err, g.keepClass(c.room))
}

// tellWays prints how each trainee gets in.
func (g *globals) tellWays(room *training.Room) {
	for _, a := range room.Admissions() {
		if g.json {
			line, _ := json.Marshal(a)       // plain values
			fmt.Fprintf(g.Out, "%s\n", line) //nolint:errcheck // the terminal is gone
			continue
		}
		fmt.Fprintf(g.Out, "%s sits at %s:\n", a.Trainee, a.Host) //nolint:errcheck // as above
		for _, w := range a.Ways {
			fmt.Fprintf(g.Out, "  %s\n", wayIn(w, a.TokenFile)) //nolint:errcheck // as above
		}
		fmt.Fprintf(g.Out, "  begins with: lapwing range join --trainee %s\n", a.Trainee) //nolint:errcheck // as above
	}
	if g.json {
		fmt.Fprintln(g.Out, `{"ready":true}`) //nolint:errcheck // as above
	} else {
		fmt.Fprintln(g.Out, "ready") //nolint:errcheck // as above
	}
}

// keepClass keeps the report of each trainee who began.
func (g *globals) keepClass(room *training.Room) error {
	data, err := g.dir()
	if err != nil {
		return err
	}
	for _, a := range room.Admissions() {
		p, err := room.Played(a.Trainee)
		if err != nil || p == nil {
			continue
		}
		r := exercised.New(p.Truth, p.Rules, p.Result)
		dir := filepath.Join(string(data), exercisesDir, time.Now().UTC().Format("20060102T150405.000")+"-"+p.Truth.Scenario+"-"+a.Trainee)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("keep the report of %s: %w", a.Trainee, err)
		}
		if err := exercised.Save(dir, r); err != nil {
			return err
		}
		if !g.quiet && !g.json {
			fmt.Fprintf(g.Err, "the report of %s: lapwing range report %s\n", a.Trainee, filepath.Base(dir)) //nolint:errcheck // the terminal is gone
		}
	}
	return nil
}

func (g *globals) rangeBase() (string, error) {
	data, err := g.dir()
	if err != nil {
		return "", err
	}
	return data.Path(rangeDir), nil
}

// listenRange opens the socket that trainees and the trainer ask. One that a
// killed process left is taken over.
func listenRange(ctx context.Context, path string) (net.Listener, error) {
	if len(path) > maxRangeSocket {
		return nil, fmt.Errorf("the data directory's path is too long for a socket below it (%d bytes in all, at most %d): name another with --data DIR", len(path), maxRangeSocket)
	}
	var d net.Dialer
	if c, err := d.DialContext(ctx, "unix", path); err == nil {
		c.Close() //nolint:errcheck // it said what was asked
		return nil, errors.New("a range is being served from this data directory: end it first, or name another with --data DIR")
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("take the socket of the range: %w", err)
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("open the socket of the range: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return ln, nil
}

// rangeClient asks the range that is served; the token is in the file.
func (g *globals) rangeClient(file string) (*training.Client, error) {
	base, err := g.rangeBase()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the token: %w: is lapwing range serve running with this data directory?", err)
	}
	return rangeClientOf(filepath.Join(base, rangeSocket), strings.TrimSpace(string(text))), nil
}

func rangeClientOf(socket, token string) *training.Client {
	return &training.Client{Token: token, Transport: &http.Transport{
		DisableKeepAlives: true, ResponseHeaderTimeout: time.Minute,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
	}}
}

// trainer asks as the one who leads the exercise.
func (g *globals) trainer() (*training.Client, error) {
	base, err := g.rangeBase()
	if err != nil {
		return nil, err
	}
	return g.rangeClient(filepath.Join(base, rangeTokenFile))
}

// tokenVar names a trainee's token where he may not read the data directory.
const tokenVar = "LAPWING_RANGE_TOKEN"

// trainee asks as the trainee of that name; without one as the only one there is.
func (g *globals) trainee(name string) (*training.Client, error) {
	base, err := g.rangeBase()
	if err != nil {
		return nil, err
	}
	if token := os.Getenv(tokenVar); token != "" && name == "" {
		return rangeClientOf(filepath.Join(base, rangeSocket), token), nil
	}
	want := name
	if want == "" {
		want = "*"
	}
	if name != "" && strings.ContainsAny(name, `*?[\/`) {
		return nil, usageError{fmt.Errorf("--trainee %q: that is no name", name)}
	}
	files, err := filepath.Glob(filepath.Join(base, rangeTokens, want))
	if err != nil {
		return nil, err
	}
	switch {
	case len(files) == 1:
		return g.rangeClient(files[0])
	case len(files) == 0 && name != "":
		return nil, fmt.Errorf("there is no trainee %s in %s: lapwing range serve SCENARIO --trainee %s makes one", name, base, name)
	case len(files) == 0:
		return nil, fmt.Errorf("nobody trains in %s: start with lapwing range serve SCENARIO", base)
	}
	names := make([]string, 0, len(files))
	for _, f := range files {
		names = append(names, filepath.Base(f))
	}
	return nil, usageError{fmt.Errorf("say who you are with --trainee NAME, one of %s", strings.Join(names, ", "))}
}
