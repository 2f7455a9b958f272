package report

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/lapwing-defence/lapwing/internal/exercise/score"
)

// span is a time for people; nil is none.
func span(m *score.Millis) string {
	if m == nil {
		return "-"
	}
	d := m.Duration()
	switch {
	case d < time.Second:
		return strconv.FormatInt(int64(*m), 10) + " ms"
	case d < time.Minute:
		return strconv.FormatFloat(d.Round(100*time.Millisecond).Seconds(), 'f', -1, 64) + " s"
	case d < time.Hour:
		return d.Round(time.Second).String()
	}
	return d.Round(time.Minute).String()
}

func percent(v float64) string { return strconv.FormatFloat(100*v, 'f', 0, 64) + " %" }

func percentOf(v *float64) string {
	if v == nil {
		return "-"
	}
	return percent(*v)
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

func numberOf(v *float64) string {
	if v == nil {
		return "-"
	}
	return number(*v)
}

func clockTime(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("15:04:05")
}

// notRun is what a reader must know of steps that did not run; "" where all did.
func notRun(res *score.Result) string {
	if res.Bounds == nil {
		return ""
	}
	text := "the score is of the steps that ran"
	if res.NotRun > 0 {
		text = many(res.NotRun, "expected detection") + " could not be tried, since the step did not run; " + text
	}
	return fmt.Sprintf("%s: with the others it would lie between %.1f and %.1f", text, res.Bounds.Least, res.Bounds.Most)
}

// many is n of something.
func many(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// plain is text for a terminal: what comes from elsewhere may hold control
// characters.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return '\uFFFD'
		}
		return visible(r)
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// visible replaces what steers a terminal or turns the direction of text. Line
// breaks and tabs stay.
func visible(r rune) rune {
	if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
		return '\uFFFD'
	}
	return r
}
