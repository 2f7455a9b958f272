package training_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/exercise/scenario"
	"github.com/lapwing-defence/lapwing/internal/exercise/training"
)

// head is a network with the least that a training needs.
const head = `
range: "1"
id: class
name: A class
duration: 1h
clock: {mode: real}
seed: 3
variables:
  flag: {type: token, length: 16}
  bait: {type: password}
networks:
  lan: {cidr: 10.9.1.0/24}
hosts:
  web: {network: lan, ip: 10.9.1.10, persona: linux-6, roles: [server], services: [{port: tcp/80, type: http, site: intranet}]}
  vault:
    network: lan
    ip: 10.9.1.20
    persona: linux-5
    services: [{port: tcp/22, type: ssh, accept: [keeper]}]
    files: [{path: /srv/flag.txt, content: "${vars.flag}\n"}]
  red: {network: lan, persona: linux-6, roles: [red], hidden: true}
  tap: {network: lan, ip: 10.9.1.200, persona: linux-6, roles: [blue], access: [socks5]}
credentials:
  keeper: {user: keeper, password: "${vars.bait}"}
adversary:
  steps:
    - id: knock
      technique: {attack_id: T1595.002, name: Vulnerability Scanning}
      tactic: reconnaissance
      from: red
      action: http.path_probe
      target: {host: web}
      args: {rate: 50/s}
      at: 1s
`

const levels = `
training:
  levels:
    - {id: hello, type: info, title: Hello, content: Begin.}
    - id: who
      type: question
      title: "Who?"
      answer: {equals: ["${hosts.red.ip}", "The Stranger"]}
      points: 100
      incorrect_answer_limit: 3
      minimal_possible_solve_time: 20s
      deadline: 10m
      hints:
        - {id: h1, text: "Look at 404.", cost: 10}
        - {id: h2, text: Look again., cost: 20}
      solution: {text: "It is ${hosts.red.ip}."}
    - {id: cut, type: response, answer: {state: {host: web, isolated: true}}, points: 200}
    - id: exam
      type: assessment
      points: 10
      questions:
        - {type: mcq, text: "Which?", choices: [one, two, three], correct: [two], points: 50}
        - {type: mcq, text: "Which two?", choices: [one, two, three], correct: [one, three], points: 50}
        - {type: text, text: Say it., correct: [web, 10.9.1.10], points: 50}
`

func load(t *testing.T, text string) *scenario.Scenario {
	t.Helper()
	sc, err := scenario.Load("class.range.yaml", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return sc
}

// stage is a Lab without a network.
type stage struct {
	elapsed time.Duration
	cut     map[string]bool
}

func (s *stage) Holds(v *scenario.State) bool {
	return v.Isolated != nil && s.cut[v.Host] == *v.Isolated
}

func (s *stage) Explained() map[string][]string {
	return map[string][]string{"1": {"knock"}, "2": {"knock", "deed"}, "3": nil, "4": {"other"}}
}

func (s *stage) Elapsed() time.Duration { return s.elapsed }

func course(t *testing.T) (*training.Course, *stage, *scenario.Scenario) {
	t.Helper()
	sc, err := load(t, head+levels).For("anna")
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{cut: map[string]bool{}}
	return training.NewCourse(sc, training.State{}, s, time.Now), s, sc
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func wants(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
}

func points(t *testing.T, c *training.Course, want int) {
	t.Helper()
	if got, _ := c.Points(); got != want {
		t.Errorf("%d points, want %d", got, want)
	}
}

func redAddr(t *testing.T, sc *scenario.Scenario) string {
	t.Helper()
	for i := range sc.Hosts {
		if sc.Hosts[i].Name == "red" {
			return sc.Hosts[i].IP.String()
		}
	}
	t.Fatal("no red host")
	return ""
}

func TestCourseFromFirstToLast(t *testing.T) {
	c, s, sc := course(t)
	_, err := c.Answer(0, "anything")
	wants(t, err, training.ErrNotAsked)
	if err := c.Next(false); err != nil {
		t.Fatal(err)
	}
	s.elapsed = time.Minute
	if h := must(c.Hint(""))(t); h.ID != "h1" {
		t.Errorf("the first hint is %s", h.ID)
	}
	v := must(c.Answer(0, "198.51.100.1"))(t)
	if v.Right || *v.Left != 2 || v.Status != training.Asked {
		t.Errorf("a wrong answer: %+v", v)
	}
	if v = must(c.Answer(0, "  "+redAddr(t, sc)+". "))(t); !v.Right || v.Points != 90 {
		t.Errorf("the right answer: %+v", v)
	}
	if c.State.Levels[1].Fast {
		t.Error("a minute is not too fast")
	}
	_, err = c.Answer(0, "web")
	wants(t, err, training.ErrState)
	if _, ok := c.Look(); ok {
		t.Error("the response is solved before anything was done")
	}
	s.cut["web"] = true
	if v, ok := c.Look(); !ok || v.Points != 200 {
		t.Errorf("the response: %v %+v", ok, v)
	}
	for _, a := range []struct {
		question int
		text     string
		right    bool
	}{{1, "B", true}, {2, "c, a", true}, {3, "WEB", true}} {
		if v := must(c.Answer(a.question, a.text))(t); v.Right != a.right {
			t.Errorf("question %d: %+v", a.question, v)
		}
	}
	if c.Task().Done != true {
		t.Errorf("the course is not done: %+v", c.Task())
	}
	points(t, c, 90+200+160)
	_, err = c.Answer(0, "more")
	wants(t, err, training.ErrDone)
	wants(t, c.Next(true), training.ErrDone)

	// The points are the score's, too.
	var sum float64
	for _, task := range c.Tasks() {
		cost := 0.0
		for _, h := range task.Hints {
			cost += h.Cost
		}
		sum += task.Points*task.Share - cost
	}
	if sum != 450 {
		t.Errorf("the score's tasks are worth %v, the levels 450", sum)
	}
}

func TestCourseLimits(t *testing.T) {
	for _, tt := range []struct {
		name   string
		do     func(*testing.T, *training.Course, *stage, string)
		status string
		points int
	}{
		{"attempts", func(t *testing.T, c *training.Course, _ *stage, _ string) {
			t.Helper()
			for range 3 {
				must(c.Answer(0, "nobody"))(t)
			}
		}, training.Lost, 0},
		{"time", func(t *testing.T, c *training.Course, s *stage, right string) {
			t.Helper()
			s.elapsed += 10*time.Minute + time.Second
			if v := must(c.Answer(0, right))(t); !v.Right || v.Points != 0 || !strings.Contains(v.Note, "10m") {
				t.Errorf("too late: %+v", v)
			}
		}, training.Late, 0},
		{"just in time", func(t *testing.T, c *training.Course, s *stage, right string) {
			t.Helper()
			s.elapsed += 10 * time.Minute
			must(c.Answer(0, right))(t)
		}, training.Solved, 100},
		{"too fast", func(t *testing.T, c *training.Course, _ *stage, right string) {
			t.Helper()
			must(c.Answer(0, right))(t)
			if !c.State.Levels[1].Fast {
				t.Error("nobody solves this in no time")
			}
		}, training.Solved, 100},
		{"both hints", func(t *testing.T, c *training.Course, _ *stage, right string) {
			t.Helper()
			must(c.Hint("h2"))(t)
			must(c.Hint(""))(t)
			_, err := c.Hint("")
			wants(t, err, training.ErrHint)
			must(c.Answer(0, right))(t)
		}, training.Solved, 70},
		{"the solution", func(t *testing.T, c *training.Course, _ *stage, right string) {
			t.Helper()
			if s := must(c.Solution())(t); !strings.Contains(s.Text, right) {
				t.Errorf("the solution is %q", s.Text)
			}
			must(c.Answer(0, right))(t)
		}, training.Solved, 0},
		{"given up", func(t *testing.T, c *training.Course, _ *stage, _ string) {
			t.Helper()
			wants(t, c.Next(false), training.ErrUnsolved)
			must(c.Hint(""))(t)
			if err := c.Next(true); err != nil {
				t.Fatal(err)
			}
		}, training.GivenUp, 0},
		{"other words", func(t *testing.T, c *training.Course, _ *stage, _ string) {
			t.Helper()
			must(c.Answer(0, "\tthe   STRANGER"))(t)
		}, training.Solved, 100},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, s, sc := course(t)
			if err := c.Next(false); err != nil {
				t.Fatal(err)
			}
			tt.do(t, c, s, redAddr(t, sc))
			if got := c.State.Levels[1].Status; got != tt.status {
				t.Errorf("the level is %s, want %s", got, tt.status)
			}
			points(t, c, tt.points)
			if task := c.Task(); task.ID != "cut" {
				t.Errorf("the next level is %q", task.ID)
			}
		})
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	c, _, _ := course(t)
	for range 2 {
		if err := c.Next(true); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Next(true); err != nil { // the response
		t.Fatal(err)
	}
	for _, tt := range []struct {
		question int
		text     string
		want     error
	}{
		{0, " \n", training.ErrEmpty},
		{0, strings.Repeat("x", 1001), training.ErrLong},
		{4, "a", training.ErrQuestion},
		{-1, "a", training.ErrQuestion},
	} {
		_, err := c.Answer(tt.question, tt.text)
		wants(t, err, tt.want)
	}
	if _, err := c.Answer(1, "d"); err == nil || !strings.Contains(err.Error(), "a to c") {
		t.Errorf("a letter beyond the choices: %v", err)
	}
	must(c.Answer(1, "a"))(t)
	_, err := c.Answer(1, "b")
	wants(t, err, training.ErrAnswered)
	points(t, c, 0)
}

// What goes to trainees holds no answer, whatever level is asked.
func TestTaskTellsNoAnswer(t *testing.T) {
	c, s, sc := course(t)
	s.cut["web"] = true
	for range 4 {
		text := must(jsonOf(c.Task()))(t) + must(jsonOf(c.Levels()))(t)
		for _, secret := range []string{redAddr(t, sc), "Stranger", "Look at 404", "correct", "10.9.1.10"} {
			if strings.Contains(text, secret) {
				t.Errorf("level %s tells %q: %s", c.Task().ID, secret, text)
			}
		}
		if err := c.Next(true); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStateGoesOn(t *testing.T) {
	c, s, sc := course(t)
	if err := c.Next(false); err != nil {
		t.Fatal(err)
	}
	must(c.Hint(""))(t)
	must(c.Answer(0, "nobody"))(t)
	again := training.NewCourse(sc, c.State, s, time.Now)
	if d := cmp.Diff(c.Task(), again.Task()); d != "" {
		t.Error(d)
	}
	if *again.Task().Attempts != 2 {
		t.Errorf("%d attempts are left", *again.Task().Attempts)
	}
}

// examOf is a class whose only level is an assessment with lists.
func examOf() string {
	return strings.Replace(head, "      at: 1s\n", `      at: 1s
    - {id: deed, technique: {attack_id: T1071.001, name: Web Protocols}, tactic: command-and-control, from: red, action: http.get, target: {host: web}}
`, 1) + `
training:
  levels:
    - id: exam
      type: assessment
      questions:
        - {type: hosts, text: "Which hosts?", correct: [web, vault], points: 40}
        - {type: techniques, text: "Which techniques?", correct: [T1595.002, T1071], points: 40}
        - {type: alerts, text: "Which alerts?", correct: [knock, deed], points: 40}
`
}

// loaded is a scenario that has no faults.
func loaded(text string) *scenario.Scenario {
	sc, err := scenario.Load("class.range.yaml", strings.NewReader(text))
	if err != nil {
		panic(err)
	}
	return sc
}

func marked(t *testing.T) *training.Course {
	t.Helper()
	sc, err := loaded(examOf()).For("anna")
	if err != nil {
		t.Fatal(err)
	}
	return training.NewCourse(sc, training.State{}, &stage{}, time.Now)
}

func TestPartsOfAnAnswer(t *testing.T) {
	for _, tt := range []struct {
		question int
		text     string
		points   int
		note     string
	}{
		{1, "web, vault", 40, ""},
		{1, "Vault and 10.9.1.10", 40, ""},
		{1, "web", 20, "1 of 2"},
		{1, "web, vault, tap", 20, "1 named that do not"},
		{1, "tap", 0, "0 of 2"},
		{1, "web tap", 0, "1 named that do not"},
		{2, "t1595.002; T1071", 40, ""},
		{2, "T1595.002 T1071.001", 40, ""},
		{2, "T1595, T1071", 30, "1.5 of 2"},
		{2, "T1595.001", 0, "0 of 2"},
		{2, "T1071 T1003", 0, "1 named"},
		{3, "2", 40, ""},
		{3, "#1", 20, "1 of 2"},
		{3, "1,2,3", 20, "1 named"},
		{3, "3 4", 0, "2 named"},
	} {
		c := marked(t)
		v, err := c.Answer(tt.question, tt.text)
		if err != nil || v.Points != tt.points || v.Right != (tt.points == 40) || !strings.Contains(v.Note, tt.note) {
			t.Errorf("question %d, %q: %+v, %v; want %d points and %q", tt.question, tt.text, v, err, tt.points, tt.note)
		}
		points(t, c, tt.points)
		if _, err := c.Answer(tt.question, tt.text); !errors.Is(err, training.ErrAnswered) {
			t.Errorf("question %d twice: %v", tt.question, err)
		}
	}
	for _, tt := range []struct {
		question   int
		text, want string
	}{{1, "nosuch", "no host"}, {2, "scanning", "no technique"}, {3, "17", "no alert"}, {3, strings.Repeat("1 2 3 4 ", 1) + many(101), "at most 100"}} {
		c := marked(t)
		if _, err := c.Answer(tt.question, tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("question %d, %q: %v", tt.question, tt.text, err)
		}
		if q := c.State.Levels[0].Questions[tt.question-1]; q.Answered {
			t.Errorf("%q is no answer and was taken for one", tt.text)
		}
	}
	c := marked(t)
	for n, text := range map[int]string{1: "web", 2: "T1595", 3: "1"} {
		must(c.Answer(n, text))(t)
	}
	if task := c.Tasks()[0]; !task.Solved || task.Share != 50.0/120 {
		t.Errorf("half of the exam for the score: %+v", task)
	}
}

// many are n words.
func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%d ", 100+i)
	}
	return b.String()
}
