package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/exercise/score"
)

type suites struct {
	XMLName  xml.Name `xml:"testsuites"`
	Name     string   `xml:"name,attr"`
	Tests    int      `xml:"tests,attr"`
	Failures int      `xml:"failures,attr"`
	Errors   int      `xml:"errors,attr"`
	Skipped  int      `xml:"skipped,attr"`
	Time     string   `xml:"time,attr"`
	Suite    suite    `xml:"testsuite"`
}

type suite struct {
	Name       string     `xml:"name,attr"`
	Tests      int        `xml:"tests,attr"`
	Failures   int        `xml:"failures,attr"`
	Errors     int        `xml:"errors,attr"`
	Skipped    int        `xml:"skipped,attr"`
	Time       string     `xml:"time,attr"`
	Timestamp  string     `xml:"timestamp,attr"`
	Properties []property `xml:"properties>property"`
	Cases      []testcase `xml:"testcase"`
}

type property struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type testcase struct {
	Name    string   `xml:"name,attr"`
	Class   string   `xml:"classname,attr"`
	Time    string   `xml:"time,attr"`
	Skipped *message `xml:"skipped,omitempty"`
	Failure *message `xml:"failure,omitempty"`
	Error   *message `xml:"error,omitempty"`
	Out     string   `xml:"system-out,omitempty"`
}

type message struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",chardata"`
}

// JUnit writes a test case for each step: a missed expectation is a failure, one
// whose step did not run an error, a step without one is skipped. Time is the time to detect.
func JUnit(w io.Writer, r *Run) error {
	res := &r.Result
	name := "range." + orElse(r.Truth.Scenario, "scenario")
	s := suite{
		Name: name, Time: "0.000", Timestamp: r.Truth.Started.UTC().Format("2006-01-02T15:04:05"),
		Properties: []property{
			{"exercise", r.Truth.Exercise},
			{"seed", strconv.FormatUint(r.Truth.Seed, 10)},
			{"score", fmt.Sprintf("%.1f", res.Score)},
			{"false_alarms", strconv.Itoa(res.FalseAlarms)},
		},
	}
	if took := r.Truth.Ended.Sub(r.Truth.Started); took > 0 {
		s.Time = secs(took)
	}
	for i := range res.Steps {
		c := stepCase(name, &res.Steps[i])
		s.Tests++
		if c.Skipped != nil {
			s.Skipped++
		}
		if c.Failure != nil {
			s.Failures++
		}
		if c.Error != nil {
			s.Errors++
		}
		s.Cases = append(s.Cases, c)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	err := enc.Encode(suites{Name: "lapwing range", Tests: s.Tests, Failures: s.Failures, Errors: s.Errors, Skipped: s.Skipped, Time: s.Time, Suite: s})
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, "\n")
	return err
}

func stepCase(class string, s *score.StepResult) testcase {
	c := testcase{Name: strings.TrimSpace(s.ID + " " + s.Technique + " " + s.Name), Class: class, Time: "0.000"}
	if s.TimeToDetect != nil {
		c.Time = secs(s.TimeToDetect.Duration())
	}
	var texts []string
	for _, why := range s.Reasons {
		text := why.Text
		if len(why.Evidence) > 0 {
			text += " [" + strings.Join(why.Evidence, " ") + "]"
		}
		texts = append(texts, text)
	}
	all := strings.Join(texts, "\n")
	switch s.Status {
	case score.Missed:
		c.Failure = &message{Message: texts[len(texts)-1], Type: "missed", Text: all}
	case score.Untried:
		c.Error = &message{Message: texts[len(texts)-1], Type: "not run", Text: all}
	case score.NotAsked:
		c.Skipped = &message{Message: "no detection is required of this step; seen: " + seenWord(s)}
		c.Out = all
	default:
		c.Out = all
	}
	return c
}

func secs(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
