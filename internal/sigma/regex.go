package sigma

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// regex is a compiled regular expression with the literals without which it
// cannot match.
type regex struct {
	source string // with flags
	re     *regexp.Regexp
	prog   *syntax.Prog
	// shortest is the number of bytes that a match has at least, run the n of
	// .{n,} or 0.
	shortest, run int
	// required holds sets of folded literals: the text must contain one of each
	// set, whatever its case.
	required [][]string
}

// compileRegex compiles a rule's regular expression. It is searched for in the
// field, not anchored. Matching takes time linear in the text (RE2), so what
// PCRE has beyond that is refused.
func compileRegex(src, flags string) (*regex, error) {
	if src == "" {
		return nil, errors.New("it is empty")
	}
	text, err := rewritePCRE(src)
	if err != nil {
		return nil, err
	}
	if flags != "" {
		text = "(?" + uniqueFlags(flags) + ")" + text
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, explainRegex(src, err)
	}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, err
	}
	run := anyRun(tree)
	shortest := minLength(tree, 0)
	tree = tree.Simplify()
	prog, err := syntax.Compile(tree)
	if err != nil {
		return nil, err
	}
	if len(prog.Inst) > maxRegexSteps {
		return nil, fmt.Errorf("it has %d steps, the limit is %d", len(prog.Inst), maxRegexSteps)
	}
	return &regex{source: text, re: re, prog: prog, required: requiredLiterals(tree), shortest: shortest, run: run}, nil
}

// minLength is the number of bytes of the shortest text that can match, or
// less.
func minLength(re *syntax.Regexp, depth int) int {
	const enough = 1 << 20
	if depth > 100 {
		return 0
	}
	n := 0
	switch re.Op {
	case syntax.OpLiteral:
		n = len(re.Rune)
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		n = 1
	case syntax.OpCapture, syntax.OpPlus:
		n = minLength(re.Sub[0], depth+1)
	case syntax.OpRepeat:
		n = re.Min * minLength(re.Sub[0], depth+1)
	case syntax.OpConcat:
		for _, s := range re.Sub {
			n += minLength(s, depth+1)
		}
	case syntax.OpAlternate:
		n = minLength(re.Sub[0], depth+1)
		for _, s := range re.Sub[1:] {
			n = min(n, minLength(s, depth+1))
		}
	default:
	}
	return min(n, enough)
}

// anyRun is the n of an expression that is nothing but .{n,}, which is costly to
// run and simple to count; 0 for others.
func anyRun(re *syntax.Regexp) int {
	if re.Op == syntax.OpRepeat && re.Max == -1 && re.Sub[0].Op == syntax.OpAnyCharNotNL {
		return re.Min
	}
	return 0
}

// longRun tells whether a line of text has at least n characters.
func longRun(text []byte, n int) bool {
	for len(text) >= n {
		line, rest, _ := bytes.Cut(text, []byte{'\n'})
		if len(line) >= n && utf8.RuneCount(line) >= n {
			return true
		}
		text = rest
	}
	return false
}

// Time is at most steps times bytes.
const (
	maxRegexSteps = 5000
	// MaxRegexText is the number of bytes of a value that regular expressions
	// look at.
	MaxRegexText = 1 << 20
)

func (r *regex) match(text []byte) bool { return r.re.Match(text[:min(len(text), MaxRegexText)]) }

func uniqueFlags(flags string) string {
	var out string
	for _, f := range flags {
		if !strings.ContainsRune(out, f) {
			out += string(f)
		}
	}
	return out
}

// explainRegex says in plain words what cannot be done.
func explainRegex(src string, err error) error {
	for _, t := range []struct{ mark, text string }{
		{"(?=", "look-ahead"},
		{"(?!", "look-ahead"},
		{"(?<=", "look-behind"},
		{"(?<!", "look-behind"},
		{"(?>", "atomic groups"},
		{"++", "possessive repetition"},
		{"*+", "possessive repetition"},
		{"?+", "possessive repetition"},
	} {
		if strings.Contains(src, t.mark) {
			return fmt.Errorf("%s (%s) cannot be done in linear time: write it as a second selection", t.text, t.mark)
		}
	}
	for d := byte('1'); d <= '9'; d++ {
		if strings.Contains(err.Error(), `\`+string(d)) {
			return errors.New("back-references cannot be done in linear time")
		}
	}
	return errors.New(strings.TrimPrefix(err.Error(), "error parsing regexp: "))
}

// rewritePCRE writes escapes that RE2 does not know in its own words.
func rewritePCRE(src string) (string, error) {
	if !strings.Contains(src, `\`) {
		return src, nil
	}
	var b strings.Builder
	class := false
	for i := 0; i < len(src); i++ {
		c := src[i]
		if c != '\\' || i+1 == len(src) {
			class = c == '[' || class && c != ']'
			b.WriteByte(c)
			continue
		}
		i++
		switch c = src[i]; {
		case c == 'u' && i+4 < len(src):
			b.WriteString(`\x{` + src[i+1:i+5] + `}`)
			i += 4
		case c == 'e':
			b.WriteString(`\x1b`)
		case c == 'h' && class:
			b.WriteString(` \t`)
		case c == 'h':
			b.WriteString(`[ \t]`)
		case c == 'Z' && !class:
			b.WriteString(`\n?\z`)
		case c == 'R' && !class:
			b.WriteString(`(?:\r\n|[\n\v\f\r])`)
		case c == 'K' || c == 'G':
			return "", fmt.Errorf(`\%c is not supported`, c)
		default:
			b.WriteByte('\\')
			b.WriteByte(c)
		}
	}
	return b.String(), nil
}

// Limits on literals taken from regular expressions.
const (
	maxExact    = 24 // strings in a set
	maxExactLen = 48 // bytes in a string
)

// litInfo is what is known about what a part of a regular expression matches.
type litInfo struct {
	exact []string   // all that it can match, nil when unknown
	cnf   [][]string // of each set one must be there
}

func requiredLiterals(re *syntax.Regexp) [][]string {
	li := literals(re, 0)
	return usable(append(li.cnf, li.exact))
}

// usable drops the sets that say nothing.
func usable(cnf [][]string) [][]string {
	var out [][]string
	for _, set := range cnf {
		shortest := maxExactLen
		for _, s := range set {
			shortest = min(shortest, len(s))
		}
		if len(set) > 0 && shortest > 0 {
			out = append(out, set)
		}
	}
	return out
}

func literals(re *syntax.Regexp, depth int) litInfo {
	if depth > 100 {
		return litInfo{}
	}
	switch re.Op {
	case syntax.OpLiteral:
		return literalRunes(re)
	case syntax.OpCharClass:
		return literalClass(re)
	case syntax.OpCapture:
		return literals(re.Sub[0], depth+1)
	case syntax.OpConcat:
		return literalConcat(re, depth)
	case syntax.OpAlternate:
		return literalAlternate(re, depth)
	case syntax.OpQuest:
		li := literals(re.Sub[0], depth+1)
		if li.exact == nil {
			return litInfo{}
		}
		return bounded(append([]string{""}, li.exact...))
	case syntax.OpPlus:
		li := literals(re.Sub[0], depth+1)
		return litInfo{cnf: usable(append(li.cnf, li.exact))}
	case syntax.OpRepeat:
		if re.Min == 0 {
			return litInfo{}
		}
		li := literals(re.Sub[0], depth+1)
		return litInfo{cnf: usable(append(li.cnf, li.exact))}
	case syntax.OpEmptyMatch, syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText,
		syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return litInfo{exact: []string{""}}
	default:
		return litInfo{}
	}
}

func literalRunes(re *syntax.Regexp) litInfo {
	if re.Flags&syntax.FoldCase != 0 {
		for _, r := range re.Rune {
			if r >= utf8.RuneSelf { // its other cases may not be one lower-case form
				return litInfo{}
			}
		}
	}
	return bounded([]string{foldText(string(re.Rune))})
}

func literalClass(re *syntax.Regexp) litInfo {
	var out []string
	for i := 0; i+1 < len(re.Rune); i += 2 {
		if re.Rune[i+1]-re.Rune[i] > 16 {
			return litInfo{}
		}
		for r := re.Rune[i]; r <= re.Rune[i+1]; r++ {
			out = appendNew(out, foldText(string(r)))
		}
	}
	return bounded(out)
}

func appendNew(set []string, s string) []string {
	if slices.Contains(set, s) {
		return set
	}
	return append(set, s)
}

// bounded gives up on sets that are too large to be of use.
func bounded(exact []string) litInfo {
	if len(exact) == 0 || len(exact) > maxExact {
		return litInfo{}
	}
	for _, s := range exact {
		if len(s) > maxExactLen {
			return litInfo{cnf: usable([][]string{cutAll(exact), tailAll(exact)})}
		}
	}
	return litInfo{exact: exact}
}

func cutAll(set []string) []string {
	var out []string
	for _, s := range set {
		n := min(len(s), maxExactLen)
		for n > 0 && n < len(s) && !utf8.RuneStart(s[n]) {
			n--
		}
		out = appendNew(out, s[:n])
	}
	return out
}

func tailAll(set []string) []string {
	var out []string
	for _, s := range set {
		at := max(0, len(s)-maxExactLen)
		for at < len(s) && !utf8.RuneStart(s[at]) {
			at++
		}
		out = appendNew(out, s[at:])
	}
	return out
}

func literalConcat(re *syntax.Regexp, depth int) litInfo {
	var cnf [][]string
	exact, whole := []string{""}, true
	for _, sub := range re.Sub {
		li := literals(sub, depth+1)
		cnf = append(cnf, li.cnf...)
		if li.exact != nil {
			if next := crossProduct(exact, li.exact); next != nil {
				exact = next
				continue
			}
		}
		cnf = append(cnf, exact)
		exact, whole = []string{""}, false
		if li.exact != nil {
			exact = li.exact
		}
	}
	if whole {
		return litInfo{exact: exact, cnf: usable(cnf)}
	}
	return litInfo{cnf: usable(append(cnf, exact))}
}

func crossProduct(a, b []string) []string {
	if len(a)*len(b) > maxExact {
		return nil
	}
	var out []string
	for _, x := range a {
		for _, y := range b {
			if len(x)+len(y) > maxExactLen {
				return nil
			}
			out = appendNew(out, x+y)
		}
	}
	return out
}

func literalAlternate(re *syntax.Regexp, depth int) litInfo {
	var exact, clause []string
	allExact := true
	for _, sub := range re.Sub {
		li := literals(sub, depth+1)
		allExact = allExact && li.exact != nil
		exact = append(exact, li.exact...)
		best := bestClause(usable(append(li.cnf, li.exact)))
		if best == nil {
			clause = nil
			allExact = allExact && li.exact != nil
			if !allExact {
				return litInfo{}
			}
			continue
		}
		clause = append(clause, best...)
	}
	if allExact {
		return bounded(exact)
	}
	if len(clause) > 4*maxExact {
		return litInfo{}
	}
	return litInfo{cnf: usable([][]string{clause})}
}

// bestClause is the set whose shortest literal is the longest.
func bestClause(cnf [][]string) []string {
	var best []string
	bestLen := 0
	for _, set := range cnf {
		n := maxExactLen + 1
		for _, s := range set {
			n = min(n, len(s))
		}
		if n > bestLen {
			best, bestLen = set, n
		}
	}
	return best
}

// foldText is lower with the one ASCII letter's relative that lower case keeps
// apart: the long s. What two texts share without regard to case they share
// after foldText too.
func foldText(s string) string {
	if isLower(s) {
		return s
	}
	return string(appendFold(nil, []byte(s)))
}

// appendFold appends the folded form of s to dst.
func appendFold(dst, s []byte) []byte {
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			dst = append(dst, lowTable[c])
			i++
			continue
		}
		var n int
		dst, n = appendFoldRune(dst, s[i:])
		i += n
	}
	return dst
}

// appendFoldable is appendFold but for the case of ASCII letters.
func appendFoldable(dst, s []byte) []byte {
	for {
		n := asciiLen(s)
		dst = append(dst, s[:n]...)
		if s = s[n:]; len(s) == 0 {
			return dst
		}
		dst, n = appendFoldRune(dst, s)
		s = s[n:]
	}
}

// mayFoldToASCII tells whether a text may hold one of the three characters outside
// ASCII that fold to a letter within: \u0130, \u017F and \u212A, by their first bytes.
func mayFoldToASCII(s []byte) bool {
	return bytes.IndexByte(s, 0xC4) >= 0 || bytes.IndexByte(s, 0xC5) >= 0 || bytes.IndexByte(s, 0xE2) >= 0
}

// appendFoldRune appends the folded form of the first rune of s, of n bytes.
func appendFoldRune(dst, s []byte) (to []byte, n int) {
	r, n := utf8.DecodeRune(s)
	l := unicode.ToLower(r)
	switch {
	case r == 'ſ':
		return append(dst, 's'), n
	case l != r:
		return utf8.AppendRune(dst, l), n
	default:
		return append(dst, s[:n]...), n
	}
}
