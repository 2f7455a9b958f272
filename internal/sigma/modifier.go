package sigma

import (
	"encoding/base64"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// modifierNames is every modifier that apply knows, for the linter's advice.
var modifierNames = []string{
	"all", "startswith", "endswith", "contains", "exists", "cased", "neq", "windash", "re", "i", "m", "s",
	"ignorecase", "multiline", "dotall", "base64", "base64offset", "utf16le", "utf16be", "utf16", "wide",
	"lt", "lte", "gt", "gte", "minute", "hour", "day", "week", "month", "year", "cidr", "expand", "fieldref",
}

// apply applies one modifier, in the order that the rule has them.
func (it *item) apply(m string) *fault {
	switch m {
	case "all":
		it.all = true
	case "contains":
		it.before, it.after = true, true
	case "startswith":
		it.after = true
	case "endswith":
		it.before = true
	case "cased":
		it.cased = true
	case "neq":
		it.neq = true
		if it.hasOp {
			return it.bad(m)
		}
		if it.hasPart {
			it.op, it.hasOp = opNeq, true
		}
	case "exists":
		it.exists = true
	case "cidr":
		it.cidr = true
	case "fieldref":
		it.ref = true
	case "lt", "lte", "gt", "gte":
		if it.hasOp {
			return it.bad(m)
		}
		it.hasOp, it.op = true, map[string]compareOp{"lt": opLt, "lte": opLte, "gt": opGt, "gte": opGte}[m]
	case "minute", "hour", "day", "week", "month", "year":
		return it.applyPart(m)
	case "re", "i", "ignorecase", "m", "multiline", "s", "dotall":
		return it.applyRegex(m)
	default:
		return it.transform(m)
	}
	return nil
}

func (it *item) bad(m string) *fault {
	return faultf(it.line, "bad-combination", "", "modifier %q does not go with the ones before it", m)
}

func (it *item) applyPart(m string) *fault {
	if it.hasPart {
		return it.bad(m)
	}
	it.hasPart = true
	for i, n := range partNames {
		if n == m {
			it.part = timePart(i)
		}
	}
	if it.neq {
		it.op, it.hasOp = opNeq, true
	}
	return nil
}

func (it *item) applyRegex(m string) *fault {
	if m == "re" {
		it.isRegex = true
		if it.base64 || it.wide || it.dashy {
			return it.bad(m)
		}
		return nil
	}
	if !it.isRegex {
		return faultf(it.line, "bad-combination", "write |re|"+m, "modifier %q stands without re before it", m)
	}
	it.flags += string(m[0]) // ignorecase is i, multiline m
	if m == "dotall" {
		it.flags = it.flags[:len(it.flags)-1] + "s"
	}
	return nil
}

// transform applies the modifiers that turn values into others.
func (it *item) transform(m string) *fault {
	var f func(ruleValue) ([]pattern, *fault)
	switch m {
	case "expand":
		it.expanded, f = true, it.expand
	case "windash":
		it.dashy, f = true, windash
	case "base64":
		it.base64, f = true, encodeBase64
	case "base64offset":
		it.base64, f = true, encodeOffsets
	case "wide", "utf16le":
		it.wide, f = true, encoder(func(s string) string { return wide(s, false) })
	case "utf16be":
		it.wide, f = true, encoder(func(s string) string { return wide(s, true) })
	case "utf16":
		it.wide, f = true, encoder(func(s string) string { return wide("\ufeff"+s, false) })
	default:
		return faultf(it.line, "unknown-modifier", nearest(m, modifierNames), "unknown modifier %q", m)
	}
	if it.isRegex && m != "expand" {
		return it.bad(m)
	}
	var out []ruleValue
	for _, v := range it.vals {
		if v.kind == valNull {
			return faultf(v.line, "bad-value", "", "null does not go with modifier %q", m)
		}
		pats, flt := f(v)
		if flt != nil {
			return flt
		}
		if len(out)+len(pats) > MaxValues {
			return faultf(v.line, "too-many", "write fewer values, or split the rule", "%q makes more than %d values", m, MaxValues)
		}
		for _, p := range pats {
			nv := ruleValue{kind: valText, pat: p, line: v.line, raw: v.raw, of: v.of}
			if m == "expand" && !p.hasVar() {
				nv.raw = rawText(p, v.raw)
			}
			out = append(out, nv)
		}
	}
	it.vals = out
	return nil
}

// rawText is what cidr and re read of an expanded value.
func rawText(p pattern, raw string) string {
	if p.hasWild() || len(p) == 0 {
		return raw
	}
	return p.plain()
}

func encoder(f func(string) string) func(ruleValue) ([]pattern, *fault) {
	return func(v ruleValue) ([]pattern, *fault) { return []pattern{v.pat.mapLits(f)}, nil }
}

// wide is UTF-16 as bytes, little endian unless big.
func wide(s string, big bool) string {
	var b strings.Builder
	for _, u := range utf16.Encode([]rune(s)) {
		lo, hi := byte(u), byte(u>>8)
		if big {
			lo, hi = hi, lo
		}
		b.WriteByte(lo)
		b.WriteByte(hi)
	}
	return b.String()
}

func encodeBase64(v ruleValue) ([]pattern, *fault) {
	if v.pat.hasWild() {
		return nil, faultf(v.line, "bad-value", "remove the wildcard or write \\*", "a value with wildcards has no base64 form: %q", v.raw)
	}
	return []pattern{pattern(nil).lit(base64.StdEncoding.EncodeToString([]byte(v.pat.plain())))}, nil
}

// encodeOffsets gives the parts of the base64 form that do not depend on what
// stands before and after, for the three positions that a text can have.
func encodeOffsets(v ruleValue) ([]pattern, *fault) {
	if v.pat.hasWild() {
		return nil, faultf(v.line, "bad-value", "remove the wildcard or write \\*", "a value with wildcards has no base64 form: %q", v.raw)
	}
	text := v.pat.plain()
	var out []pattern
	for shift := range 3 {
		enc := base64.StdEncoding.EncodeToString([]byte(strings.Repeat(" ", shift) + text))
		start := [...]int{0, 2, 3}[shift]
		end := len(enc) - [...]int{0, 3, 2}[(len(text)+shift)%3]
		if end > start {
			out = append(out, pattern(nil).lit(enc[start:end]))
		}
	}
	if len(out) == 0 {
		return nil, faultf(v.line, "bad-value", "use a longer text", "%q is too short for base64offset", v.raw)
	}
	return out, nil
}

// dashes are what windash takes for each other: hyphen, slash, en dash, em
// dash, horizontal bar.
var dashes = []string{"-", "/", "–", "—", "―"}

// windash gives every form of a value with its dashes varied: those that begin
// a word and do not follow one.
func windash(v ruleValue) ([]pattern, *fault) {
	forms := []pattern{nil}
	n := 0
	for _, t := range v.pat {
		if t.kind != tokLit {
			for i := range forms {
				forms[i] = append(forms[i], t)
			}
			continue
		}
		for _, piece := range splitDashes(t.lit) {
			if !piece.dash {
				for i := range forms {
					forms[i] = forms[i].lit(piece.text)
				}
				continue
			}
			if n++; n > MaxDashes {
				return []pattern{anyDash(v.pat)}, nil
			}
			forms = vary(forms)
		}
	}
	return forms, nil
}

// anyDash is one form of a value for all of its dashes.
func anyDash(p pattern) pattern {
	var out pattern
	for _, t := range p {
		if t.kind != tokLit {
			out = append(out, t)
			continue
		}
		for _, piece := range splitDashes(t.lit) {
			if piece.dash {
				out = append(out, tok{kind: tokDash})
			} else {
				out = out.lit(piece.text)
			}
		}
	}
	return out
}

func vary(forms []pattern) []pattern {
	out := make([]pattern, 0, len(forms)*len(dashes))
	for _, f := range forms {
		for _, d := range dashes {
			out = append(out, append(pattern(nil), f...).lit(d))
		}
	}
	return out
}

type dashPiece struct {
	text string
	dash bool
}

func splitDashes(s string) []dashPiece {
	var out []dashPiece
	start, prevWord := 0, false
	for i, r := range s {
		n := utf8.RuneLen(r)
		if n < 0 {
			n = 1
		}
		next, _ := utf8.DecodeRuneInString(s[min(i+n, len(s)):])
		if isDash(r) && !prevWord && i+n < len(s) && isWord(next) {
			if i > start {
				out = append(out, dashPiece{text: s[start:i]})
			}
			out = append(out, dashPiece{text: s[i : i+n], dash: true})
			start = i + n
		}
		prevWord = isWord(r)
	}
	if start < len(s) {
		out = append(out, dashPiece{text: s[start:]})
	}
	return out
}

func isDash(r rune) bool {
	return r == '-' || r == '/' || r == '–' || r == '—' || r == '―'
}

func isWord(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }

// expand puts in the values of %name%; \% is a plain percent sign.
func (it *item) expand(v ruleValue) ([]pattern, *fault) {
	forms := []pattern{nil}
	for _, t := range v.pat {
		if t.kind != tokLit {
			for i := range forms {
				forms[i] = append(forms[i], t)
			}
			continue
		}
		for _, piece := range splitVars(t.lit) {
			if !piece.dash {
				for i := range forms {
					forms[i] = forms[i].lit(piece.text)
				}
				continue
			}
			values, ok := it.tables[piece.text]
			if !ok {
				return nil, faultf(v.line, "placeholder", "give a table for it", "no table for the placeholder %%%s%%", piece.text)
			}
			if len(forms)*len(values) > MaxValues {
				return nil, faultf(v.line, "too-many", "use a shorter table", "placeholder %%%s%% makes more than %d values", piece.text, MaxValues)
			}
			forms = product(forms, values)
		}
	}
	if len(forms) == 0 {
		return nil, faultf(v.line, "placeholder", "put a value into it", "the table of a placeholder is empty")
	}
	return forms, nil
}

func product(forms []pattern, values []string) []pattern {
	out := make([]pattern, 0, len(forms)*len(values))
	for _, f := range forms {
		for _, s := range values {
			out = append(out, append(pattern(nil), f...).join(parsePattern(s)))
		}
	}
	return out
}

// splitVars splits text into plain parts and the names between percent signs.
func splitVars(s string) []dashPiece {
	var out []dashPiece
	var plain strings.Builder
	flush := func() {
		if plain.Len() > 0 {
			out = append(out, dashPiece{text: plain.String()})
			plain.Reset()
		}
	}
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && s[i+1] == '%' {
			i++
			plain.WriteByte('%')
			continue
		}
		if s[i] == '%' {
			if end := strings.IndexByte(s[i+1:], '%'); end > 0 && !strings.ContainsAny(s[i+1:i+1+end], " \\\t") {
				flush()
				out = append(out, dashPiece{text: s[i+1 : i+1+end], dash: true})
				i += end + 1
				continue
			}
		}
		plain.WriteByte(s[i])
	}
	flush()
	return out
}

// nearest is advice for a word that is not known.
func nearest(word string, known []string) string {
	best, at := 3, ""
	for _, k := range known {
		if d := editDistance(strings.ToLower(word), k); d < best {
			best, at = d, k
		}
	}
	if at == "" {
		return "look for a typing error"
	}
	return "did you mean " + at + "?"
}

func editDistance(a, b string) int {
	if len(a) > 32 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diag := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diag
			if a[i] != b[j] {
				cost++
			}
			diag = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
