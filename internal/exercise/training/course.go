// Package training leads people through the levels of a scenario: it asks,
// judges answers, gives hints for points, keeps time, and keeps what each person
// has reached, so that a restart takes nothing from anybody.
//
// A Course is one person's way through the levels; it knows no network. A Room
// holds a class: each trainee has a Course and an exercise (exercise.Live) of his
// own, on a network that no other trainee's can reach. Handler is how trainees and
// the trainer speak to a Room; Client asks it.
package training

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/exercise/scenario"
	"github.com/lapwing-defence/lapwing/internal/exercise/score"
)

// The kinds of level that a Course treats differently; training, question and
// access levels are all solved by a typed answer.
const (
	kindInfo       = "info"
	kindResponse   = "response"
	kindAssessment = "assessment"
)

// What became of a level.
const (
	Asked   = "open"     // the one that is asked now, or one still to come
	Solved  = "solved"   //
	Lost    = "lost"     // no attempt is left
	Late    = "late"     // solved after its time limit: no points
	GivenUp = "given_up" // passed over by the trainee
)

// Errors of a Course, for people.
var (
	ErrDone     = errors.New("every level is done")
	ErrNotAsked = errors.New("this level asks nothing: go on with lapwing range next")
	ErrState    = errors.New("this level is solved by what you do, not by an answer: lapwing range isolate, block, stop, disable or password")
	ErrQuestion = errors.New("there is no such question in this level")
	ErrAnswered = errors.New("this question is answered")
	ErrHint     = errors.New("there is no such hint, or it was taken")
	ErrSolution = errors.New("this level has no solution to show")
	ErrUnsolved = errors.New("this level is not solved: answer it, or give it up with lapwing range next --give-up")
	ErrEmpty    = errors.New("an answer has some text")
	ErrLong     = errors.New("an answer has at most 1,000 bytes")
)

const maxAnswer = 1000 // bytes

// State is what a person has reached. It is kept as JSON.
type State struct {
	Levels []LevelState `json:"levels"` // in the order of the scenario
}

// LevelState is one level. Times are the exercise's own: pauses do not count.
type LevelState struct {
	ID        string          `json:"id"`
	Status    string          `json:"status"`
	Opened    time.Duration   `json:"opened"`
	Closed    time.Duration   `json:"closed,omitempty"`
	At        time.Time       `json:"at,omitzero"` // when it was closed
	Wrong     int             `json:"wrong,omitempty"`
	Hints     []HintState     `json:"hints,omitempty"`
	Shown     bool            `json:"solution_shown,omitempty"`
	Fast      bool            `json:"fast,omitempty"` // solved sooner than a person can
	Questions []QuestionState `json:"questions,omitempty"`
}

// HintState is a hint that was taken.
type HintState struct {
	ID string    `json:"id"`
	At time.Time `json:"at"`
}

// QuestionState is one question of an assessment.
type QuestionState struct {
	Answered bool    `json:"answered,omitempty"`
	Right    bool    `json:"right,omitempty"`
	Share    float64 `json:"share,omitempty"` // of the points, where a part was right
}

// Lab is what a Course asks of the exercise.
type Lab interface {
	Holds(*scenario.State) bool
	Elapsed() time.Duration
	Explained() map[string][]string // steps, by the number of an alert that is about them
}

// Course is one person's way through the levels. It is not safe for concurrent
// use; whoever calls a method that changes State keeps it then.
type Course struct {
	State  State
	levels []scenario.Level
	always bool              // hints cost points also where the level was not solved
	hosts  map[string]string // names, by address and by name
	lab    Lab
	now    func() time.Time
}

// NewCourse is the way through the levels of sc, from the beginning or from where
// state was. Levels that a changed scenario no longer has are forgotten.
func NewCourse(sc *scenario.Scenario, state State, lab Lab, now func() time.Time) *Course {
	c := &Course{levels: sc.Training.Levels, always: sc.Scoring.Hints.Charge == "on_take", lab: lab, now: now, hosts: map[string]string{}}
	for i := range sc.Hosts {
		h := &sc.Hosts[i]
		c.hosts[h.Name], c.hosts[h.IP.String()], c.hosts[h.IP6.String()] = h.Name, h.Name, h.Name
	}
	for i := range c.levels {
		s := LevelState{ID: c.levels[i].ID, Status: Asked}
		if k := slices.IndexFunc(state.Levels, func(l LevelState) bool { return l.ID == s.ID }); k >= 0 {
			s = state.Levels[k]
		}
		for len(s.Questions) < len(c.levels[i].Questions) {
			s.Questions = append(s.Questions, QuestionState{})
		}
		c.State.Levels = append(c.State.Levels, s)
	}
	return c
}

// at is the level that is asked now, -1 after the last.
func (c *Course) at() int {
	return slices.IndexFunc(c.State.Levels, func(l LevelState) bool { return l.Status == Asked })
}

func (c *Course) open() (*scenario.Level, *LevelState, error) {
	i := c.at()
	if i < 0 {
		return nil, nil, ErrDone
	}
	return &c.levels[i], &c.State.Levels[i], nil
}

// close ends the level that is asked, and opens the next.
func (c *Course) close(s *LevelState, status string) {
	s.Status, s.Closed, s.At = status, c.lab.Elapsed(), c.now()
	if i := c.at(); i >= 0 {
		c.State.Levels[i].Opened = c.lab.Elapsed()
	}
}

// Verdict is what became of an answer.
type Verdict struct {
	Right  bool    `json:"right"`
	Level  string  `json:"level"`
	Status string  `json:"status"`          // of the level
	Left   *int    `json:"left,omitempty"`  // attempts; absent: no limit
	Points int     `json:"points"`          // that the level brought, or the question
	Share  float64 `json:"share,omitempty"` // of a question's points, where a part was right
	Note   string  `json:"note,omitempty"`
}

// Answer judges an answer to the level that is asked; question is the number,
// from 1, of one of an assessment's, and 0 of the only one that is open.
func (c *Course) Answer(question int, text string) (Verdict, error) {
	l, s, err := c.open()
	switch {
	case err != nil:
		return Verdict{}, err
	case strings.TrimSpace(text) == "":
		return Verdict{}, ErrEmpty
	case len(text) > maxAnswer:
		return Verdict{}, ErrLong
	case l.Type == kindInfo:
		return Verdict{}, ErrNotAsked
	case l.Type == kindAssessment:
		return c.assess(l, s, question, text)
	case l.Answer == nil || len(l.Answer.Equals) == 0:
		return Verdict{}, ErrState
	}
	if slices.ContainsFunc(l.Answer.Equals, func(want string) bool { return same(want, text) }) {
		return c.solved(l, s), nil
	}
	s.Wrong++
	v := Verdict{Level: l.ID, Status: Asked}
	if l.WrongLimit > 0 {
		left := l.WrongLimit - s.Wrong
		v.Left = &left
		if left <= 0 {
			c.close(s, Lost)
			v.Status, v.Note = Lost, "That was the last attempt: the next level is open."
		}
	}
	return v, nil
}

// solved closes a level that was answered right.
func (c *Course) solved(l *scenario.Level, s *LevelState) Verdict {
	took := c.lab.Elapsed() - s.Opened
	status, note := Solved, ""
	if l.Deadline > 0 && took > l.Deadline {
		status, note = Late, fmt.Sprintf("The time limit of %s was over: no points.", l.Deadline)
	}
	s.Fast = l.MinSolve > 0 && took < l.MinSolve
	c.close(s, status)
	return Verdict{Right: true, Level: l.ID, Status: status, Points: points(l, s, c.always), Note: note}
}

// assess judges the answer to one question. Each is answered once.
func (c *Course) assess(l *scenario.Level, s *LevelState, question int, text string) (Verdict, error) {
	if question == 0 {
		question = 1 + slices.IndexFunc(s.Questions, func(q QuestionState) bool { return !q.Answered })
	}
	if question < 1 || question > len(l.Questions) {
		return Verdict{}, fmt.Errorf("%w: say --question 1 to %d", ErrQuestion, len(l.Questions))
	}
	q, qs := &l.Questions[question-1], &s.Questions[question-1]
	if qs.Answered {
		return Verdict{}, ErrAnswered
	}
	share, note, err := c.mark(q, text)
	if err != nil {
		return Verdict{}, err
	}
	qs.Answered, qs.Right = true, share == 1
	v := Verdict{Right: qs.Right, Level: l.ID, Status: Asked, Note: note}
	switch {
	case share == 0:
		s.Wrong++
	case share < 1:
		qs.Share, v.Share = share, share
	}
	v.Points = brought(q, qs)
	if !slices.ContainsFunc(s.Questions, func(q QuestionState) bool { return !q.Answered }) {
		done := c.solved(l, s)
		v.Status, v.Note = done.Status, strings.TrimSpace(v.Note+" "+done.Note)
		if done.Status == Late {
			v.Points = 0
		}
	}
	return v, nil
}

// Look closes a response level whose state has come to be; it tells whether it
// did.
func (c *Course) Look() (Verdict, bool) {
	l, s, err := c.open()
	if err != nil || l.Answer == nil || l.Answer.State == nil || !c.lab.Holds(l.Answer.State) {
		return Verdict{}, false
	}
	return c.solved(l, s), true
}

// Next goes on from an info level, or gives another one up.
func (c *Course) Next(giveUp bool) error {
	l, s, err := c.open()
	switch {
	case err != nil:
		return err
	case l.Type == kindInfo:
		c.close(s, Solved)
	case giveUp:
		c.close(s, GivenUp)
	default:
		return ErrUnsolved
	}
	return nil
}

// Hint takes a hint, "" the next one, and gives its text.
func (c *Course) Hint(id string) (scenario.Hint, error) {
	l, s, err := c.open()
	if err != nil {
		return scenario.Hint{}, err
	}
	for i := range l.Hints {
		h := &l.Hints[i]
		taken := slices.ContainsFunc(s.Hints, func(t HintState) bool { return t.ID == h.ID })
		if !taken && (id == "" || id == h.ID) {
			s.Hints = append(s.Hints, HintState{ID: h.ID, At: c.now()})
			return *h, nil
		}
	}
	return scenario.Hint{}, ErrHint
}

// Solution shows the solution of the level that is asked. The level must still
// be answered.
func (c *Course) Solution() (scenario.Solution, error) {
	l, s, err := c.open()
	switch {
	case err != nil:
		return scenario.Solution{}, err
	case l.Solution == nil:
		return scenario.Solution{}, ErrSolution
	}
	s.Shown = true
	return *l.Solution, nil
}

// Points are what the person has, and what the levels could bring in all.
func (c *Course) Points() (have, most int) {
	for i := range c.levels {
		have += points(&c.levels[i], &c.State.Levels[i], c.always)
		most += worth(&c.levels[i])
	}
	return have, most
}

// worth is what a level can bring.
func worth(l *scenario.Level) int {
	n := l.Points
	for i := range l.Questions {
		n += l.Questions[i].Points
	}
	return n
}

// points are what a level has brought: never less than nothing, unless hints are
// charged always.
func points(l *scenario.Level, s *LevelState, always bool) int {
	have, cost := 0, hintCost(l, s)
	switch {
	case l.Type == kindAssessment && (s.Status == Solved || s.Status == Asked):
		for i := range l.Questions {
			have += brought(&l.Questions[i], &s.Questions[i])
		}
		if s.Status == Solved {
			have += l.Points
		}
	case s.Status == Solved:
		have = l.Points
	}
	if s.Shown && l.Solution != nil && l.Solution.Penalized {
		have = 0
	}
	if always {
		return have - cost
	}
	return max(0, have-cost)
}

func hintCost(l *scenario.Level, s *LevelState) int {
	cost := 0
	for i := range l.Hints {
		if slices.ContainsFunc(s.Hints, func(t HintState) bool { return t.ID == l.Hints[i].ID }) {
			cost += l.Hints[i].Cost
		}
	}
	return cost
}

// Tasks are the levels as the score takes them.
func (c *Course) Tasks() []score.Task {
	var out []score.Task
	for i := range c.levels {
		l, s := &c.levels[i], &c.State.Levels[i]
		if worth(l) == 0 {
			continue
		}
		t := score.Task{
			ID: l.ID, Title: l.Title, Points: float64(worth(l)), Solved: s.Status == Solved, Wrong: s.Wrong,
			SolutionShown: s.Shown, SolutionPenalized: l.Solution != nil && l.Solution.Penalized,
		}
		if t.Solved {
			t.SolvedAt = s.At
			t.Share = float64(points(l, s, false)+hintCost(l, s)) / t.Points
			t.Solved = t.Share > 0
		}
		for _, h := range s.Hints {
			for k := range l.Hints {
				if l.Hints[k].ID == h.ID {
					t.Hints = append(t.Hints, score.Hint{ID: h.ID, Cost: float64(l.Hints[k].Cost), Taken: h.At})
				}
			}
		}
		out = append(out, t)
	}
	return out
}

// same compares answers as a person means them: case, spaces around and between,
// a full stop or quotes do not count, and an address may be written in any way.
func same(a, b string) bool {
	a, b = plain(a), plain(b)
	if a == b {
		return true
	}
	x, err1 := netip.ParseAddr(a)
	y, err2 := netip.ParseAddr(b)
	return err1 == nil && err2 == nil && x.Unmap() == y.Unmap()
}

func plain(s string) string {
	s = strings.Join(strings.Fields(strings.ToLower(s)), " ")
	return strings.TrimRight(strings.Trim(s, "\"'`"), ".!")
}

// left is what remains of a time limit, rounded to seconds; never below zero.
func left(limit, gone time.Duration) time.Duration {
	return time.Duration(math.Max(0, float64((limit - gone).Round(time.Second))))
}
