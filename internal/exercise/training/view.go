package training

import "time"

// Task is what a person is asked now. It holds no answer and no hint that was not
// taken.
type Task struct {
	Trainee   string     `json:"trainee"`
	Scenario  string     `json:"scenario"`
	State     string     `json:"state"` // running, paused, waiting or over
	Elapsed   float64    `json:"elapsed_s"`
	Duration  float64    `json:"duration_s"`
	Done      bool       `json:"done"` // every level is
	Number    int        `json:"level,omitempty"`
	Of        int        `json:"levels"`
	ID        string     `json:"id,omitempty"`
	Type      string     `json:"type,omitempty"`
	Title     string     `json:"title,omitempty"`
	Content   string     `json:"content,omitempty"`
	Worth     int        `json:"worth,omitempty"`     // points
	Deed      bool       `json:"deed,omitempty"`      // it is solved by what one does, not by an answer
	Attempts  *int       `json:"attempts,omitempty"`  // left; absent: no limit
	TimeLeft  *float64   `json:"time_left_s"`         // null: no limit
	Hints     []HintView `json:"hints,omitempty"`     //
	Solution  string     `json:"solution,omitempty"`  // after it was shown
	Questions []Question `json:"questions,omitempty"` // of an assessment
	Points    int        `json:"points"`
	Most      int        `json:"most"`
}

// HintView is a hint; Text is empty until it was taken.
type HintView struct {
	ID    string `json:"id"`
	Cost  int    `json:"cost"`
	Taken bool   `json:"taken"`
	Text  string `json:"text,omitempty"`
}

// Question is one of an assessment.
type Question struct {
	Number   int      `json:"number"`
	Type     string   `json:"type"` // mcq, text, hosts, techniques or alerts
	Text     string   `json:"text"`
	Choices  []string `json:"choices,omitempty"`
	Points   int      `json:"points"`
	Answered bool     `json:"answered"`
	Right    bool     `json:"right,omitempty"`
	Share    float64  `json:"share,omitempty"` // of the points, where a part was right
}

// Task is what is asked now.
func (c *Course) Task() Task {
	t := Task{Of: len(c.levels), Elapsed: c.lab.Elapsed().Seconds()}
	t.Points, t.Most = c.Points()
	i := c.at()
	if i < 0 {
		t.Done = true
		return t
	}
	l, s := &c.levels[i], &c.State.Levels[i]
	t.Number, t.ID, t.Type, t.Title, t.Content, t.Worth = i+1, l.ID, l.Type, l.Title, l.Content, worth(l)
	t.Deed = l.Answer != nil && l.Answer.State != nil
	if l.WrongLimit > 0 && l.Type != kindAssessment {
		n := l.WrongLimit - s.Wrong
		t.Attempts = &n
	}
	if l.Deadline > 0 {
		n := left(l.Deadline, c.lab.Elapsed()-s.Opened).Seconds()
		t.TimeLeft = &n
	}
	for k := range l.Hints {
		h := HintView{ID: l.Hints[k].ID, Cost: l.Hints[k].Cost}
		for _, taken := range s.Hints {
			if taken.ID == h.ID {
				h.Taken, h.Text = true, l.Hints[k].Text
			}
		}
		t.Hints = append(t.Hints, h)
	}
	if s.Shown && l.Solution != nil {
		t.Solution = l.Solution.Text
	}
	for k := range l.Questions {
		q := &l.Questions[k]
		t.Questions = append(t.Questions, Question{Number: k + 1, Type: q.Type, Text: q.Text, Choices: q.Choices, Points: q.Points, Answered: s.Questions[k].Answered, Right: s.Questions[k].Right, Share: s.Questions[k].Share})
	}
	return t
}

// LevelView is how one level stands, for a list.
type LevelView struct {
	ID       string  `json:"id"`
	Title    string  `json:"title,omitempty"`
	Type     string  `json:"type"`
	Status   string  `json:"status"` // to_come for those after the one that is asked
	Points   int     `json:"points"`
	Worth    int     `json:"worth"`
	Wrong    int     `json:"wrong"`
	Hints    int     `json:"hints"`
	Solution bool    `json:"solution_shown,omitempty"`
	Fast     bool    `json:"fast,omitempty"`
	Took     float64 `json:"took_s,omitempty"`
}

// Levels are all levels as they stand.
func (c *Course) Levels() []LevelView {
	now := c.at()
	out := make([]LevelView, 0, len(c.levels))
	for i := range c.levels {
		l, s := &c.levels[i], &c.State.Levels[i]
		v := LevelView{
			ID: l.ID, Title: l.Title, Type: l.Type, Status: s.Status, Points: points(l, s, c.always), Worth: worth(l),
			Wrong: s.Wrong, Hints: len(s.Hints), Solution: s.Shown, Fast: s.Fast,
		}
		if s.Status != Asked {
			v.Took = (s.Closed - s.Opened).Round(time.Second).Seconds()
		} else if i != now {
			v.Status, v.Title = "to_come", ""
		}
		out = append(out, v)
	}
	return out
}
