package scenario

import "time"

// Training is what trainees go through, level by level.
type Training struct {
	Levels []Level `yaml:"levels"`
}

// Level is one stage.
type Level struct {
	ID         string        `yaml:"id"`
	Type       string        `yaml:"type"` // info, training, question, access, response, assessment
	Title      string        `yaml:"title"`
	Content    string        `yaml:"content"`
	Answer     *Answer       `yaml:"answer"` // of training, question, access and response
	Points     int           `yaml:"points"`
	WrongLimit int           `yaml:"incorrect_answer_limit"` // 0: no limit
	MinSolve   time.Duration `yaml:"minimal_possible_solve_time"`
	Deadline   time.Duration `yaml:"deadline"` // 0: none
	Hints      []Hint        `yaml:"hints"`
	Solution   *Solution     `yaml:"solution"`
	Techniques []string      `yaml:"mitre_techniques"`
	Questions  []Question    `yaml:"questions"` // of assessment
}

// Answer is what solves a level: a text, one of several, or a state of the lab.
type Answer struct {
	Equals Texts  `yaml:"equals"` // any of them; case and outer spaces do not count
	State  *State `yaml:"state"`
}

// State is what must be true in the lab: one of these.
type State struct {
	Host     string      `yaml:"host"`             // of Isolated and Read
	Isolated *bool       `yaml:"isolated"`         // Host is cut off from the network
	Blocked  string      `yaml:"blocked"`          // an address, a host or a name outside, that routers carry nothing from and to
	Stopped  *ServiceRef `yaml:"stopped"`          // a service that answers no more
	Disabled string      `yaml:"disabled"`         // a user who gets in nowhere
	Changed  string      `yaml:"password_changed"` // a user whose password is another
	Read     string      `yaml:"read"`             // path of a file of Host, a honeytoken, that the trainee has looked at
}

// Hint costs points when taken.
type Hint struct {
	ID   string `yaml:"id"`
	Text string `yaml:"text"`
	Cost int    `yaml:"cost"`
}

// Solution is shown on demand; penalised, the level gives no points then.
type Solution struct {
	Text      string `yaml:"text"`
	Penalized bool   `yaml:"penalized"`
}

// The types of a Question.
const (
	AskChoice     = "mcq"        // choices; Correct are all that are right
	AskText       = "text"       // Correct are texts of which any will do
	AskHosts      = "hosts"      // Correct are all hosts that are to be named
	AskTechniques = "techniques" // Correct are all techniques that are to be named
	AskAlerts     = "alerts"     // Correct are steps: for each an alert about it is to be named
)

// Question is one of an assessment. Of hosts, techniques and alerts a part of the
// points is given for a part of what is asked for.
type Question struct {
	Type    string   `yaml:"type"`
	Text    string   `yaml:"text"`
	Choices []string `yaml:"choices"`
	Correct Texts    `yaml:"correct"`
	Points  int      `yaml:"points"`
}

// Scoring says how points are counted.
type Scoring struct {
	Weights      Weights      `yaml:"weights"`
	Detection    Categories   `yaml:"detection"`
	TimeToDetect TimeToDetect `yaml:"time_to_detect"`
	FalseAlarm   FalseAlarm   `yaml:"false_alarm"`
	Hints        HintScoring  `yaml:"hints"`
	Availability Availability `yaml:"availability"`
}

// Weights are the parts of the score, in points of a hundred.
type Weights struct {
	Detection    float64 `yaml:"detection"`
	Response     float64 `yaml:"response"`
	Availability float64 `yaml:"availability"`
	Tasks        float64 `yaml:"tasks"`
}

// Categories say what a step is worth by how it was noticed, in percent.
type Categories struct {
	None      float64 `yaml:"none"`
	Telemetry float64 `yaml:"telemetry"`
	General   float64 `yaml:"general"`
	Tactic    float64 `yaml:"tactic"`
	Technique float64 `yaml:"technique"`
}

// TimeToDetect lowers what a step is worth from FullUntil on, down to nothing at
// ZeroAt.
type TimeToDetect struct {
	FullUntil time.Duration `yaml:"full_until"`
	ZeroAt    time.Duration `yaml:"zero_at"`
}

// FalseAlarm takes points off for each alert that no step explains.
type FalseAlarm struct {
	Penalty float64 `yaml:"penalty"`
	Max     float64 `yaml:"max"`
}

// HintScoring says when hints are charged.
type HintScoring struct {
	Charge string `yaml:"charge"` // on_solve or on_take
}

// Availability names services that are asked whether they still answer.
type Availability struct {
	Services []ServiceRef  `yaml:"services"`
	Interval time.Duration `yaml:"interval"`
}
