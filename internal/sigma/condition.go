package sigma

import (
	"errors"
	"fmt"
	"strings"
)

// MaxCondition is the number of bytes of a condition, maxNesting the depth of
// its parentheses and negations.
const (
	MaxCondition = 64 << 10
	maxNesting   = 100
)

// condParser reads a condition: or binds least, then and, not, "x of",
// parentheses.
type condParser struct {
	words []string
	at    int
	depth int
	line  int
	// leaf gives the condition of a name, or of all names that a pattern
	// matches, joined by kind.
	name    func(name string) (*expr, error)
	pattern func(kind exprKind, pattern string) (*expr, error)
}

// parse reads the whole condition.
func (c *condParser) parse(text string) (*expr, error) {
	if len(text) > MaxCondition {
		return nil, fmt.Errorf("a condition of %d bytes, the limit is %d", len(text), MaxCondition)
	}
	words, err := condWords(text)
	if err != nil {
		return nil, err
	}
	c.words = words
	e, err := c.or()
	if err != nil {
		return nil, err
	}
	if c.at < len(c.words) {
		return nil, fmt.Errorf("%q where and, or or the end was expected", c.words[c.at])
	}
	return e, nil
}

// condWords splits a condition into words and parentheses.
func condWords(text string) ([]string, error) {
	var words []string
	for i := 0; i < len(text); {
		switch c := text[i]; c {
		case ' ', '\t', '\n', '\r':
			i++
		case '(', ')':
			words = append(words, text[i:i+1])
			i++
		case '|':
			return nil, errors.New("aggregation after | was taken out of Sigma: write a correlation rule")
		default:
			end := strings.IndexAny(text[i:], " \t\n\r()|")
			if end < 0 {
				end = len(text) - i
			}
			words = append(words, text[i:i+end])
			i += end
		}
	}
	return words, nil
}

// peek is the next word, a keyword in lower case.
func (c *condParser) peek() string {
	if c.at == len(c.words) {
		return ""
	}
	w := c.words[c.at]
	switch l := strings.ToLower(w); l {
	case "and", "or", "not", "of", "all", "any", "them":
		return l
	}
	return w
}

func (c *condParser) or() (*expr, error) { return c.chain("or", exprOr, c.and) }

func (c *condParser) and() (*expr, error) { return c.chain("and", exprAnd, c.not) }

func (c *condParser) chain(word string, kind exprKind, next func() (*expr, error)) (*expr, error) {
	e, err := next()
	if err != nil {
		return nil, err
	}
	kids := []*expr{e}
	for c.peek() == word {
		c.at++
		if e, err = next(); err != nil {
			return nil, err
		}
		kids = append(kids, e)
	}
	return combine(kind, kids, c.line), nil
}

func (c *condParser) not() (*expr, error) {
	if c.depth++; c.depth > maxNesting {
		return nil, fmt.Errorf("nested deeper than %d", maxNesting)
	}
	defer func() { c.depth-- }()
	switch w := c.peek(); w {
	case "not":
		c.at++
		e, err := c.not()
		if err != nil {
			return nil, err
		}
		return negate(e), nil
	case "(":
		c.at++
		e, err := c.or()
		if err != nil {
			return nil, err
		}
		if c.peek() != ")" {
			return nil, errors.New("a parenthesis is not closed")
		}
		c.at++
		return e, nil
	case "", ")", "and", "or":
		if w == "" {
			w = "the end"
		}
		return nil, fmt.Errorf("%s where the name of a selection was expected", w)
	default:
		return c.operand(w)
	}
}

// operand reads a name or "x of pattern".
func (c *condParser) operand(w string) (*expr, error) {
	if c.at+1 < len(c.words) && strings.EqualFold(c.words[c.at+1], "of") {
		kind := exprOr
		switch {
		case w == "all":
			kind = exprAnd
		case w != "1" && w != "any":
			return nil, fmt.Errorf("%q of: only 1, any and all can stand there", w)
		}
		c.at += 2
		p := c.peek()
		if p == "" || p == "(" || p == ")" {
			return nil, errors.New("them or a pattern was expected after of")
		}
		c.at++
		return c.pattern(kind, p)
	}
	c.at++
	return c.name(w)
}

// matchName matches a selection's name with a pattern of the condition, in
// which * stands for any characters.
func matchName(pattern, name string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == name
	}
	if !strings.HasPrefix(name, first) {
		return false
	}
	name = name[len(first):]
	for {
		piece, more, star := strings.Cut(rest, "*")
		if !star {
			return strings.HasSuffix(name, piece)
		}
		at := strings.Index(name, piece)
		if at < 0 {
			return false
		}
		name, rest = name[at+len(piece):], more
	}
}
