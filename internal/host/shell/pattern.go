package shell

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// quoteMeta escapes what a pattern would read as special.
func quoteMeta(s string) string {
	if !strings.ContainsAny(s, `*?[]\()|+@!-^`) {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if strings.IndexByte(`*?[]\()|+@!-^`, s[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func unquoteMeta(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// match is fnmatch(3) with extended patterns. Its cost is bounded: one level
// of "*" is retried at a time.
func match(pat, s string, fold bool) bool {
	if fold {
		pat, s = strings.ToLower(pat), strings.ToLower(s)
	}
	m := matcher{budget: 100_000}
	return m.match(pat, s)
}

type matcher struct{ budget int }

func (m *matcher) match(pat, s string) bool {
	starPat, starStr := "", ""
	haveStar := false
	for {
		if m.budget--; m.budget < 0 {
			return false
		}
		ok, restPat, restStr := m.next(pat, s)
		if len(pat) > 1 && pat[1] == '(' && strings.IndexByte("?*+@!", pat[0]) >= 0 {
			if shut := closing(pat); shut > 0 {
				return m.ext(pat[0], pat[2:shut], pat[shut+1:], s)
			}
		}
		switch {
		case pat != "" && pat[0] == '*':
			starPat, starStr, haveStar = pat[1:], s, true
			pat = pat[1:]
			continue
		case pat == "" && s == "":
			return true
		case ok:
			pat, s = restPat, restStr
			continue
		}
		if !haveStar || starStr == "" {
			return false
		}
		_, n := utf8.DecodeRuneInString(starStr)
		starStr = starStr[n:]
		pat, s = starPat, starStr
	}
}

// next matches one element of pat against one character of s.
func (m *matcher) next(pat, s string) (ok bool, restPat, restStr string) {
	if pat == "" || s == "" {
		return false, "", ""
	}
	r, n := utf8.DecodeRuneInString(s)
	switch pat[0] {
	case '?':
		return true, pat[1:], s[n:]
	case '[':
		if in, rest, valid := class(pat, r); valid {
			return in, rest, s[n:]
		}
	case '\\':
		if len(pat) > 1 {
			pat = pat[1:]
		}
	}
	return pat[0] == s[0], pat[1:], s[1:]
}

// class matches r against the bracket expression that pat begins with.
func class(pat string, r rune) (in bool, rest string, valid bool) {
	i := 1
	neg := false
	if i < len(pat) && (pat[i] == '!' || pat[i] == '^') {
		neg = true
		i++
	}
	for first := true; i < len(pat); first = false {
		if pat[i] == ']' && !first {
			return in != neg, pat[i+1:], true
		}
		if strings.HasPrefix(pat[i:], "[:") {
			if end := strings.Index(pat[i:], ":]"); end > 0 {
				in = in || named(pat[i+2:i+end], r)
				i += end + 2
				continue
			}
		}
		lo, n := element(pat[i:])
		i += n
		hi := lo
		if i+1 < len(pat) && pat[i] == '-' && pat[i+1] != ']' {
			hi, n = element(pat[i+1:])
			i += 1 + n
		}
		in = in || r >= lo && r <= hi
	}
	return false, "", false
}

func element(s string) (rune, int) {
	if s[0] == '\\' && len(s) > 1 {
		r, n := utf8.DecodeRuneInString(s[1:])
		return r, n + 1
	}
	return utf8.DecodeRuneInString(s)
}

func named(name string, r rune) bool {
	switch name {
	case "alpha":
		return unicode.IsLetter(r)
	case "digit":
		return r >= '0' && r <= '9'
	case "alnum":
		return unicode.IsLetter(r) || unicode.IsDigit(r)
	case "upper":
		return unicode.IsUpper(r)
	case "lower":
		return unicode.IsLower(r)
	case "space":
		return unicode.IsSpace(r)
	case "blank":
		return r == ' ' || r == '\t'
	case "punct":
		return unicode.IsPunct(r) || unicode.IsSymbol(r)
	case "xdigit":
		return strings.ContainsRune("0123456789abcdefABCDEF", r)
	case "cntrl":
		return unicode.IsControl(r)
	case "print":
		return unicode.IsPrint(r)
	case "graph":
		return unicode.IsGraphic(r) && r != ' '
	}
	return false
}

// closing is the index of the parenthesis that closes pat[1].
func closing(pat string) int {
	depth := 0
	for i := 1; i < len(pat); i++ {
		switch pat[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// ext matches ?(a|b) *(a|b) +(a|b) @(a|b) !(a|b) and what follows.
func (m *matcher) ext(op byte, list, rest, s string) bool {
	alts := alternatives(list)
	if op == '!' {
		for i := 0; i <= len(s); i++ {
			if m.any(alts, s[:i]) {
				continue
			}
			if m.match(rest, s[i:]) {
				return true
			}
		}
		return false
	}
	if (op == '?' || op == '*') && m.match(rest, s) {
		return true
	}
	for i := 0; i <= len(s); i++ {
		if m.budget--; m.budget < 0 {
			return false
		}
		if !m.any(alts, s[:i]) {
			continue
		}
		if m.match(rest, s[i:]) {
			return true
		}
		if i > 0 && (op == '*' || op == '+') && m.ext('*', list, rest, s[i:]) {
			return true
		}
	}
	return false
}

func (m *matcher) any(alts []string, s string) bool {
	for _, a := range alts {
		if m.match(a, s) {
			return true
		}
	}
	return false
}

func alternatives(list string) []string {
	var out []string
	depth, start := 0, 0
	for i := 0; i < len(list); i++ {
		switch list[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			depth--
		case '|':
			if depth == 0 {
				out = append(out, list[start:i])
				start = i + 1
			}
		}
	}
	return append(out, list[start:])
}
