// Package strftime formats times by the conversions of strftime(3) and date(1)
// in the C locale.
package strftime

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

const maxWidth = 1000 // characters that one conversion may be padded to

// Format replaces the conversions of form, with the flags - _ 0 ^ # and a
// width as GNU date has them. Unknown conversions stay as they are.
func Format(form string, t time.Time) string {
	var b strings.Builder
	for i := 0; i < len(form); i++ {
		if form[i] != '%' || i+1 >= len(form) {
			b.WriteByte(form[i])
			continue
		}
		start := i
		i++
		flags, width := "", 0
		for i < len(form) && strings.IndexByte("-_0^#", form[i]) >= 0 {
			flags += form[i : i+1]
			i++
		}
		for i < len(form) && form[i] >= '0' && form[i] <= '9' {
			width = min(width*10+int(form[i]-'0'), maxWidth)
			i++
		}
		colons := 0
		for i < len(form) && (form[i] == ':' || form[i] == 'E' || form[i] == 'O') {
			if form[i] == ':' {
				colons++
			}
			i++
		}
		if i >= len(form) {
			b.WriteString(form[start:])
			break
		}
		text, pad, digits, ok := convert(form[i], colons, t)
		if !ok {
			b.WriteString(form[start : i+1])
			continue
		}
		b.WriteString(adjust(text, flags, width, pad, digits))
	}
	return b.String()
}

// adjust applies flags and width; pad is the conversion's own padding.
func adjust(text, flags string, width int, pad byte, digits int) string {
	for _, f := range flags {
		switch f {
		case '-':
			if digits > 0 {
				text = strings.TrimLeft(text, " 0")
				if text == "" {
					text = "0"
				}
			}
			return text
		case '_':
			pad = ' '
		case '0':
			pad = '0'
		case '^':
			text = strings.ToUpper(text)
		case '#':
			if text == strings.ToUpper(text) {
				text = strings.ToLower(text)
			} else {
				text = strings.ToUpper(text)
			}
		}
	}
	if digits > 0 {
		text = strings.TrimLeft(text, " 0")
		if text == "" {
			text = "0"
		}
		width = max(width, digits)
	}
	if pad == 0 {
		pad = ' '
	}
	if n := width - len(text); n > 0 {
		text = strings.Repeat(string(pad), n) + text
	}
	return text
}

// convert gives one conversion; digits is the least width of a number, 0 for text.
func convert(c byte, colons int, t time.Time) (text string, pad byte, digits int, ok bool) { //nolint:funlen // one case a conversion
	num := func(n, width int) (string, byte, int, bool) { return strconv.Itoa(n), '0', width, true }
	word := func(layout string) (string, byte, int, bool) { return t.Format(layout), 0, 0, true }
	hour := (t.Hour()+11)%12 + 1
	year, week := t.ISOWeek()
	switch c {
	case 'Y':
		return num(t.Year(), 1)
	case 'C':
		return num(t.Year()/100, 2)
	case 'y':
		return num(t.Year()%100, 2)
	case 'G':
		return num(year, 1)
	case 'g':
		return num(year%100, 2)
	case 'V':
		return num(week, 2)
	case 'm':
		return num(int(t.Month()), 2)
	case 'd':
		return num(t.Day(), 2)
	case 'e':
		return strconv.Itoa(t.Day()), ' ', 2, true
	case 'j':
		return num(t.YearDay(), 3)
	case 'U':
		return num((t.YearDay()+6-int(t.Weekday()))/7, 2)
	case 'W':
		return num((t.YearDay()+6-(int(t.Weekday())+6)%7)/7, 2)
	case 'u':
		return num((int(t.Weekday())+6)%7+1, 1)
	case 'w':
		return num(int(t.Weekday()), 1)
	case 'q':
		return num((int(t.Month())+2)/3, 1)
	case 'H':
		return num(t.Hour(), 2)
	case 'k':
		return strconv.Itoa(t.Hour()), ' ', 2, true
	case 'I':
		return num(hour, 2)
	case 'l':
		return strconv.Itoa(hour), ' ', 2, true
	case 'M':
		return num(t.Minute(), 2)
	case 'S':
		return num(t.Second(), 2)
	case 's':
		return num(int(t.Unix()), 1)
	case 'N':
		return fmt.Sprintf("%09d", t.Nanosecond()), 0, 0, true
	case 'z':
		return word([]string{"-0700", "-07:00", "-07:00:00", "-07"}[min(colons, 3)])
	case 'n':
		return "\n", 0, 0, true
	case 't':
		return "\t", 0, 0, true
	case '%':
		return "%", 0, 0, true
	case 'p':
		return word("PM")
	case 'P':
		return word("pm")
	}
	layout, known := layouts[c]
	if !known {
		return "", 0, 0, false
	}
	return word(layout)
}

var layouts = map[byte]string{
	'a': "Mon", 'A': "Monday", 'b': "Jan", 'h': "Jan", 'B': "January", 'c': "Mon Jan _2 15:04:05 2006", 'D': "01/02/06", 'F': "2006-01-02",
	'r': "03:04:05 PM", 'R': "15:04", 'T': "15:04:05", 'X': "15:04:05", 'x': "01/02/06", 'Z': "MST", '+': "Mon Jan _2 15:04:05 MST 2006",
}
