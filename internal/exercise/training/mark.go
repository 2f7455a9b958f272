package training

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/exercise/scenario"
)

// maxNamed bounds what one answer may name.
const maxNamed = 100

// ErrMany is an answer that names too much.
var ErrMany = errors.New("an answer names at most 100 things")

// brought are the points that the answer to a question brought.
func brought(q *scenario.Question, s *QuestionState) int {
	if s.Right {
		return q.Points
	}
	return int(math.Round(s.Share * float64(q.Points)))
}

// mark says how much of an answer is right, 0 to 1. Answers that are none cost
// nothing: they are errors.
func (c *Course) mark(q *scenario.Question, text string) (share float64, note string, err error) {
	switch q.Type {
	case scenario.AskChoice:
		ok, err := chosen(q, text)
		return whole(ok), "", err
	case scenario.AskHosts:
		return c.markHosts(q, text)
	case scenario.AskTechniques:
		return markTechniques(q, text)
	case scenario.AskAlerts:
		return c.markAlerts(q, text)
	}
	return whole(slices.ContainsFunc(q.Correct, func(want string) bool { return same(want, text) })), "", nil
}

func whole(ok bool) float64 {
	if ok {
		return 1
	}
	return 0
}

// named are the words of an answer, each once.
func named(text string) ([]string, error) {
	var out []string
	for _, w := range strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return r == ',' || r == ';' || r == ' ' || r == '\t' || r == '\n' }) {
		if w = plain(w); w != "" && w != "and" && !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	if len(out) > maxNamed {
		return nil, ErrMany
	}
	return out, nil
}

// counted is the share of what was found, less what was named wrongly.
func counted(found float64, wrong, of int) (float64, string, error) {
	share := max(0, found-float64(wrong)) / float64(of)
	if share == 1 {
		return 1, "", nil
	}
	note := fmt.Sprintf("%.3g of %d found", found, of)
	if wrong > 0 {
		note += fmt.Sprintf(", %d named that do not belong there", wrong)
	}
	return share, note + ".", nil
}

// markHosts takes names and addresses.
func (c *Course) markHosts(q *scenario.Question, text string) (float64, string, error) {
	words, err := named(text)
	if err != nil {
		return 0, "", err
	}
	got := map[string]bool{}
	for _, w := range words {
		name := c.hosts[w]
		if name == "" {
			return 0, "", fmt.Errorf("%q is no host: name hosts or their addresses, with commas between", w)
		}
		got[name] = true
	}
	found, wrong := 0, 0
	for name := range got {
		if slices.Contains(q.Correct, name) {
			found++
		} else {
			wrong++
		}
	}
	return counted(float64(found), wrong, len(q.Correct))
}

// markTechniques takes ids of ATT&CK. The technique that a sub-technique belongs to
// is half of it; a sub-technique of one that is asked for is all of it.
func markTechniques(q *scenario.Question, text string) (float64, string, error) {
	words, err := named(text)
	if err != nil {
		return 0, "", err
	}
	valid := regexp.MustCompile(`^T\d{4}(\.\d{3})?$`)
	for i, w := range words {
		if words[i] = strings.ToUpper(w); !valid.MatchString(words[i]) {
			return 0, "", fmt.Errorf("%q is no technique: name ids of ATT&CK such as T1046 or T1110.001, with commas between", w)
		}
	}
	found, right := 0.0, map[string]bool{}
	for _, want := range q.Correct {
		best := 0.0
		for _, w := range words {
			worth := 0.0
			switch parent, _, _ := strings.Cut(want, "."); {
			case w == want || strings.HasPrefix(w, want+"."):
				worth = 1
			case w == parent:
				worth = 0.5
			}
			right[w] = right[w] || worth > 0
			best = max(best, worth)
		}
		found += best
	}
	wrong := 0
	for _, w := range words {
		if !right[w] {
			wrong++
		}
	}
	return counted(found, wrong, len(q.Correct))
}

// markAlerts takes the numbers of alerts: for each step one that is about it.
func (c *Course) markAlerts(q *scenario.Question, text string) (float64, string, error) {
	words, err := named(text)
	if err != nil {
		return 0, "", err
	}
	about := c.lab.Explained()
	found, wrong := map[string]bool{}, 0
	for _, w := range words {
		steps, ok := about[strings.TrimPrefix(w, "#")]
		if !ok {
			return 0, "", fmt.Errorf("%q is no alert: name numbers that lapwing range alerts shows, with commas between", w)
		}
		mine := false
		for _, s := range steps {
			if slices.Contains(q.Correct, s) {
				found[s], mine = true, true
			}
		}
		if !mine {
			wrong++
		}
	}
	return counted(float64(len(found)), wrong, len(q.Correct))
}

// chosen tells whether text has the right choices, and no other. They may be given
// by their letter, several with commas between.
func chosen(q *scenario.Question, text string) (bool, error) {
	if k := slices.IndexFunc(q.Choices, func(c string) bool { return same(c, text) }); k >= 0 {
		return len(q.Correct) == 1 && same(q.Correct[0], text), nil
	}
	got := map[string]bool{}
	for part := range strings.SplitSeq(text, ",") {
		k := choice(q, strings.TrimSpace(part))
		if k < 0 {
			return false, fmt.Errorf("%q is no choice: answer with a letter from a to %c", part, 'a'+rune(len(q.Choices)-1))
		}
		got[q.Choices[k]] = true
	}
	for _, want := range q.Correct {
		if !got[want] {
			return false, nil
		}
	}
	return len(got) == len(q.Correct), nil
}

// choice is the index of a choice given by letter or text, -1 for none.
func choice(q *scenario.Question, text string) int {
	if len(text) == 1 {
		if k := int(text[0]|0x20) - 'a'; k >= 0 && k < len(q.Choices) {
			return k
		}
	}
	return slices.IndexFunc(q.Choices, func(c string) bool { return same(c, text) })
}
