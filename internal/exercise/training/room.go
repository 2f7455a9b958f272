package training

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/durable"
	"github.com/lapwing-defence/lapwing/internal/exercise"
	"github.com/lapwing-defence/lapwing/internal/exercise/scenario"
	"github.com/lapwing-defence/lapwing/internal/exercise/score"
)

// Config is what Open takes.
type Config struct {
	Scenario *scenario.Scenario
	Trainees []string // beside those whom Dir knows
	Dir      string   // where it is kept what they have reached; made if it is missing
	Tokens   string   // directory that takes a file with the secret of each; what was there goes
	Door     Door
	Secret   func() string // makes a trainee's secret
	Rules    []string      // directories of further rules
	Version  string        // of the program
	Log      *slog.Logger  // nil: silent
}

// MaxTrainees is how many one Room takes: each has a network and an engine of
// rules of his own.
const MaxTrainees = 64

// Errors of a Room.
var (
	ErrNoTrainee = errors.New("there is no such trainee")
	ErrName      = errors.New("a trainee's name has 1 to 32 lower-case letters, digits, dots, dashes and begins with a letter")
	ErrNoLevels  = errors.New("the scenario has no training: play it with lapwing range run, or write training: {levels: ...} into it")
	ErrFull      = fmt.Errorf("one room takes at most %d trainees", MaxTrainees)
)

// Room is a class: trainees at work on networks of their own.
type Room struct {
	cfg     Config
	trainer string // token

	mu    sync.Mutex
	desks []*desk // in the order of names
}

// Open seats the trainees: new ones, and those whom the directory knows, where
// they were. Each one's time stands still until his first request.
func Open(ctx context.Context, cfg Config) (*Room, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if len(cfg.Scenario.Training.Levels) == 0 {
		return nil, fmt.Errorf("%s: %w", cfg.Scenario.ID, ErrNoLevels)
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("keep what trainees reach: %w", err)
	}
	if err := durable.Clean(cfg.Dir); err != nil {
		return nil, err
	}
	if err := os.RemoveAll(cfg.Tokens); err != nil {
		return nil, fmt.Errorf("take the tokens of before away: %w", err)
	}
	if err := os.MkdirAll(cfg.Tokens, 0o700); err != nil {
		return nil, fmt.Errorf("keep the tokens: %w", err)
	}
	names, err := everybody(cfg.Dir, cfg.Trainees)
	if err != nil {
		return nil, err
	}
	r := &Room{cfg: cfg, trainer: cfg.Secret()}
	for _, name := range names {
		d, err := r.seat(ctx, name)
		if err != nil {
			r.Close()
			return nil, err
		}
		r.desks = append(r.desks, d)
	}
	return r, nil
}

// everybody are the names given and those that are known.
func everybody(dir string, given []string) ([]string, error) {
	valid := regexp.MustCompile(`^[a-z][a-z0-9.-]{0,31}$`)
	names := slices.Clone(given)
	for _, n := range given {
		if !valid.MatchString(n) {
			return nil, fmt.Errorf("trainee %q: %w", n, ErrName)
		}
	}
	known, err := filepath.Glob(filepath.Join(dir, "*"+courseSuffix))
	if err != nil {
		return nil, err
	}
	for _, k := range known {
		if n := strings.TrimSuffix(filepath.Base(k), courseSuffix); valid.MatchString(n) {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) == 0 {
		names = []string{"trainee"}
	}
	if len(names) > MaxTrainees {
		return nil, fmt.Errorf("%d trainees: %w", len(names), ErrFull)
	}
	return names, nil
}

// Trainer is the token of whoever leads the exercise; it is new with every Open.
func (r *Room) Trainer() string { return r.trainer }

// Run looks after the exercises until ctx ends.
func (r *Room) Run(ctx context.Context) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			for _, d := range r.all() {
				d.look(now)
			}
		}
	}
}

// Close writes everything down and ends the networks.
func (r *Room) Close() {
	for _, d := range r.all() {
		d.close()
	}
}

func (r *Room) all() []*desk {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.desks)
}

func (r *Room) desk(name string) (*desk, error) {
	for _, d := range r.all() {
		if d.name() == name {
			return d, nil
		}
	}
	return nil, fmt.Errorf("%w: %q: see lapwing range trainees", ErrNoTrainee, name)
}

// Admission is how a trainee gets in.
type Admission struct {
	Trainee   string `json:"trainee"`
	Ways      []Way  `json:"ways"`
	TokenFile string `json:"token_file"`
	Host      string `json:"host"` // that he sits at
}

// Admissions are how the trainees get in.
func (r *Room) Admissions() []Admission {
	var out []Admission
	for _, d := range r.all() {
		d.mu.Lock()
		a := Admission{Trainee: d.name(), Ways: d.ways, TokenFile: d.tokenFile(), Host: d.live.Place().Spec.Name}
		d.mu.Unlock()
		out = append(out, a)
	}
	return out
}

// Played is a trainee's exercise as it stands, scored; nil where it has not begun.
func (r *Room) Played(name string) (*exercise.Played, error) {
	d, err := r.desk(name)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.kept.Began {
		return nil, nil
	}
	return d.live.Played(d.course.Tasks()), nil
}

// Standing is how a trainee stands.
type Standing struct {
	Trainee  string             `json:"trainee"`
	State    string             `json:"state"` // waiting, running, paused, over or done
	Elapsed  float64            `json:"elapsed_s"`
	Level    int                `json:"level"` // that is asked, from 1; Levels+1 after the last
	Levels   int                `json:"levels"`
	Points   int                `json:"points"`
	Most     int                `json:"most"`
	Wrong    int                `json:"wrong"`
	Hints    int                `json:"hints"`
	Fast     int                `json:"fast"` // levels solved sooner than a person can
	Resets   int                `json:"resets"`
	Isolated []string           `json:"isolated,omitempty"`
	Measures []string           `json:"measures,omitempty"` // else that stand: "www01/tcp/80 stopped"
	Services []Availability     `json:"services,omitempty"`
	Traffic  []Traffic          `json:"traffic,omitempty"`
	Exercise exercise.LiveStats `json:"exercise"`
	Refused  int64              `json:"requests_refused"`
	Fault    string             `json:"fault,omitempty"` // of keeping
}

// Standings are those of all, the best first.
func (r *Room) Standings() []Standing {
	var out []Standing
	for _, d := range r.all() {
		d.mu.Lock()
		out = append(out, d.standing())
		d.mu.Unlock()
	}
	slices.SortStableFunc(out, func(a, b Standing) int {
		if a.Points != b.Points {
			return b.Points - a.Points
		}
		return strings.Compare(a.Trainee, b.Trainee)
	})
	return out
}

// standing is how the trainee stands. d.mu is held.
func (d *desk) standing() Standing {
	s := Standing{
		Trainee: d.name(), State: d.state(), Elapsed: d.live.Elapsed().Seconds(), Levels: len(d.sc.Training.Levels), Level: d.course.at() + 1,
		Resets: d.kept.Resets, Exercise: d.live.Stats(), Refused: d.awry.Load(),
	}
	if s.Level == 0 {
		s.Level = s.Levels + 1
	}
	s.Points, s.Most = d.course.Points()
	for _, l := range d.course.State.Levels {
		s.Wrong += l.Wrong
		s.Hints += len(l.Hints)
		if l.Fast {
			s.Fast++
		}
	}
	done, _ := d.live.Responses()
	for i := range done {
		switch r := &done[i]; {
		case !r.Lifted.IsZero():
		case r.Kind == score.Isolate:
			s.Isolated = append(s.Isolated, r.Host)
		default:
			s.Measures = append(s.Measures, r.What()+" "+r.Done())
		}
	}
	for _, v := range d.live.Services() {
		a := Availability{ID: v.ID, Checks: len(v.Checks)}
		for _, c := range v.Checks {
			a.Up = c.Up
			if c.Up {
				a.Answered++
			}
		}
		s.Services = append(s.Services, a)
	}
	s.Traffic = d.room.cfg.Door.Traffic(d.name())
	if f := d.fault.Load(); f != nil {
		s.Fault = *f
	}
	return s
}

// Availability is how often a service that must stay reachable was.
type Availability struct {
	ID       string `json:"id"` // web01/tcp/80
	Checks   int    `json:"checks"`
	Answered int    `json:"answered"`
	Up       bool   `json:"up"` // at the last check
}

func (d *desk) state() string {
	select {
	case <-d.live.Over():
		return "over"
	default:
	}
	switch {
	case !d.kept.Began:
		return "waiting"
	case d.kept.Paused:
		return "paused"
	case d.course.at() < 0:
		return "done"
	}
	return "running"
}
