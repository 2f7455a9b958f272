package training

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/exercise"
	"github.com/lapwing-defence/lapwing/internal/exercise/score"
)

// Limits of requests and answers.
const (
	maxBody    = 64 << 10 // bytes
	maxAlerts  = 1000     // in an answer
	maxRecords = 1000
)

// Handler answers trainees and the trainer, who name themselves by their token
// (Authorization: Bearer TOKEN). It answers with JSON, or with a line of text that
// says what was wrong.
//
//	trainee   GET /task /status /alerts /records?q=TEXT&n=N
//	          POST /answer /hint /solution /next /respond
//	trainer   GET /trainees    POST /pause /resume /reset ?trainee=NAME
func (r *Room) Handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, f := range map[string]func(*desk, *http.Request, *request) (any, error){
		"GET /task": (*desk).askTask, "GET /status": (*desk).askStatus, "GET /alerts": (*desk).askAlerts,
		"GET /records": (*desk).askRecords, "POST /answer": (*desk).askAnswer, "POST /hint": (*desk).askHint,
		"POST /solution": (*desk).askSolution, "POST /next": (*desk).askNext, "POST /respond": (*desk).askRespond,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, q *http.Request) { r.trainee(w, q, f) })
	}
	for pattern, f := range map[string]func(*http.Request) (any, error){
		"GET /trainees": func(*http.Request) (any, error) { return r.Standings(), nil },
		"POST /pause":   func(q *http.Request) (any, error) { return r.pause(q, true) },
		"POST /resume":  func(q *http.Request) (any, error) { return r.pause(q, false) },
		"POST /reset":   r.reset,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, q *http.Request) {
			if !knows(r.trainer, bearer(q)) {
				http.Error(w, "this needs the trainer's token", http.StatusUnauthorized)
				return
			}
			out, err := f(q)
			respond(w, out, err)
		})
	}
	return mux
}

// request is what trainees send.
type request struct {
	Text     string `json:"text,omitempty"`
	Question int    `json:"question,omitempty"`
	Hint     string `json:"hint,omitempty"`
	GiveUp   bool   `json:"give_up,omitempty"`
	Kind     string `json:"kind,omitempty"`
	What     string `json:"what,omitempty"`
	Lift     bool   `json:"lift,omitempty"`
}

func bearer(q *http.Request) string {
	token, _ := strings.CutPrefix(q.Header.Get("Authorization"), "Bearer ")
	return token
}

// trainee answers a request of the trainee whose token it bears. Too many of one
// trainee at a time are refused, so that nobody keeps the others waiting.
func (r *Room) trainee(w http.ResponseWriter, q *http.Request, f func(*desk, *http.Request, *request) (any, error)) {
	var d *desk
	token := bearer(q)
	for _, each := range r.all() {
		if knows(each.secret, token) {
			d = each
		}
	}
	if d == nil {
		http.Error(w, "this token is no trainee's: lapwing range serve writes the file that holds it", http.StatusUnauthorized)
		return
	}
	select {
	case d.busy <- struct{}{}:
		defer func() { <-d.busy }()
	default:
		d.awry.Add(1)
		http.Error(w, "too many requests at a time: try again", http.StatusTooManyRequests)
		return
	}
	var in request
	if q.Method == http.MethodPost {
		if err := json.NewDecoder(http.MaxBytesReader(w, q.Body, maxBody)).Decode(&in); err != nil {
			http.Error(w, "the request is no JSON object of at most 64 KiB", http.StatusBadRequest)
			return
		}
	}
	d.mu.Lock()
	out, err := f(d, q, &in)
	d.mu.Unlock()
	respond(w, out, err)
}

func respond(w http.ResponseWriter, out any, err error) {
	switch {
	case errors.Is(err, errNotKept):
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	case errors.Is(err, ErrNoTrainee):
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	case err != nil:
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(out) //nolint:errcheck // the client sees
}

// errNotKept says that the disk did not take what the trainee reached; he has not
// reached it then.
var (
	errNotKept = errors.New("this could not be written down, so it does not count: tell the trainer")
	errPaused  = errors.New("the trainer has stopped the exercise: wait")
)

// change does what changes the course and writes it down; what cannot be written
// down has not happened.
func (d *desk) change(f func() error) error {
	if d.kept.Paused {
		return errPaused
	}
	if err := d.begin(); err != nil {
		return errors.Join(errNotKept, err)
	}
	before, err := json.Marshal(d.course.State)
	if err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	if err := d.save(); err != nil {
		var state State
		if json.Unmarshal(before, &state) == nil {
			d.course.State = state
		}
		return errors.Join(errNotKept, err)
	}
	return nil
}

func (d *desk) askTask(*http.Request, *request) (any, error) {
	if !d.kept.Paused {
		if err := d.begin(); err != nil {
			return nil, errors.Join(errNotKept, err)
		}
	}
	t := d.course.Task()
	t.Trainee, t.Scenario, t.State, t.Duration = d.name(), d.sc.Name, d.state(), d.sc.Duration.Seconds()
	return t, nil
}

func (d *desk) askAnswer(_ *http.Request, in *request) (any, error) {
	var v Verdict
	err := d.change(func() (err error) {
		v, err = d.course.Answer(in.Question, in.Text)
		return err
	})
	return v, err
}

func (d *desk) askHint(_ *http.Request, in *request) (any, error) {
	var h HintView
	err := d.change(func() error {
		got, err := d.course.Hint(in.Hint)
		h = HintView{ID: got.ID, Cost: got.Cost, Taken: true, Text: got.Text}
		return err
	})
	return h, err
}

func (d *desk) askSolution(*http.Request, *request) (any, error) {
	out := struct {
		Text      string `json:"text"`
		Penalized bool   `json:"penalized"`
	}{}
	err := d.change(func() error {
		s, err := d.course.Solution()
		out.Text, out.Penalized = s.Text, s.Penalized
		return err
	})
	return out, err
}

func (d *desk) askNext(q *http.Request, in *request) (any, error) {
	if err := d.change(func() error { return d.course.Next(in.GiveUp) }); err != nil {
		return nil, err
	}
	return d.askTask(q, in)
}

// askRespond does something against the adversary, or takes it back, and looks
// whether that was asked.
func (d *desk) askRespond(_ *http.Request, in *request) (any, error) {
	out := Responded{Kind: score.Kind(in.Kind), Lifted: in.Lift}
	err := d.change(func() error {
		done, note, err := d.live.Respond(exercise.Order{Kind: out.Kind, What: in.What, Lift: in.Lift})
		if err != nil {
			return err
		}
		out.What, out.Done, out.Note = done.What(), done.Done(), note
		if v, ok := d.course.Look(); ok {
			out.Verdict = &v
		}
		return nil
	})
	return out, err
}

// Status is how a trainee stands and how he gets in.
type Status struct {
	Standing
	Ways      []Way       `json:"ways"`
	Host      string      `json:"host"` // that he sits at
	LevelList []LevelView `json:"level_list"`
}

func (d *desk) askStatus(*http.Request, *request) (any, error) {
	s := Status{Standing: d.standing(), Ways: d.ways, LevelList: d.course.Levels()}
	s.Host = d.live.Place().Spec.Name
	return s, nil
}

// AlertView is an alert as trainees see it.
type AlertView struct {
	ID          string    `json:"id"`
	First       time.Time `json:"first"`
	Last        time.Time `json:"last"`
	Rule        string    `json:"rule.name"`
	Level       string    `json:"rule.level"`
	Techniques  []string  `json:"threat.technique.id,omitempty"`
	Source      string    `json:"source.ip,omitempty"`
	Destination string    `json:"destination.ip,omitempty"`
	Host        string    `json:"host.name,omitempty"`
	User        string    `json:"user.name,omitempty"`
	Count       int64     `json:"count"`
	Own         bool      `json:"own,omitempty"` // about what the trainee does himself
}

func view(a *score.Alert) AlertView {
	v := AlertView{ID: a.ID, First: a.First, Last: a.Last, Rule: a.Title, Level: a.Rule.Level.String(), Techniques: a.Rule.Techniques, Host: a.Host, User: a.User, Count: a.Count}
	if a.Source.IsValid() {
		v.Source = a.Source.Addr().String()
	}
	if a.Destination.IsValid() {
		v.Destination = a.Destination.Addr().String()
	}
	return v
}

func (d *desk) askAlerts(*http.Request, *request) (any, error) {
	all := d.live.Alerts()
	all = all[max(0, len(all)-maxAlerts):]
	out := make([]AlertView, 0, len(all))
	for i := range all {
		v := view(&all[i])
		v.Own = d.live.Own(all[i].Source.Addr())
		out = append(out, v)
	}
	return out, nil
}

func (d *desk) askRecords(q *http.Request, _ *request) (any, error) {
	n, err := strconv.Atoi(q.URL.Query().Get("n"))
	if err != nil || n < 1 || n > maxRecords {
		n = 20
	}
	all := d.live.Records(q.URL.Query().Get("q"), n)
	out := make([]json.RawMessage, 0, len(all))
	for _, line := range all {
		if json.Valid(line) {
			out = append(out, line)
		}
	}
	return out, nil
}

func (r *Room) pause(q *http.Request, on bool) (any, error) {
	d, err := r.desk(q.URL.Query().Get("trainee"))
	if err != nil {
		return nil, err
	}
	if err := d.pause(on); err != nil {
		return nil, errors.Join(errNotKept, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.standing(), nil
}

// Reset is what became of a reset.
type Reset struct {
	Trainee string  `json:"trainee"`
	Took    float64 `json:"took_ms"`
}

func (r *Room) reset(q *http.Request) (any, error) {
	d, err := r.desk(q.URL.Query().Get("trainee"))
	if err != nil {
		return nil, err
	}
	took, err := d.reset(q.Context())
	if err != nil {
		return nil, err
	}
	return Reset{Trainee: d.name(), Took: float64(took.Microseconds()) / 1000}, nil
}
