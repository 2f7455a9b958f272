package build

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/code"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/lex"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/rex"
)

const stdAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// modifiers are those of one string.
type modifiers struct {
	wide, ascii, nocase, fullword, private bool
	xor, base64, base64wide                bool
	xorMin, xorMax                         int
	alphabet                               string
}

func (b *Builder) stringDeclaration() error {
	d := &stringDecl{name: b.tok.Text, line: b.tok.Line}
	if err := b.advance(); err != nil {
		return err
	}
	if !b.punct("=") {
		return b.unexpected("'='")
	}
	if err := b.next(true); err != nil {
		return err
	}
	value := b.tok
	if k := value.Kind; k != lex.Text && k != lex.Regexp && k != lex.Hex {
		return b.unexpected("text string, hex string or regular expression")
	}
	if err := b.advance(); err != nil {
		return err
	}
	m, err := b.modifiers(value.Kind)
	if err != nil {
		return err
	}
	if err := b.declare(d, value, m); err != nil {
		return err
	}
	b.rule.strings = append(b.rule.strings, d)
	return nil
}

func (b *Builder) declare(d *stringDecl, value lex.Token, m *modifiers) error {
	at := func(name, format string, a ...any) error {
		return Problem{Line: d.line, Code: name, Message: fmt.Sprintf(format, a...)}
	}
	if d.name != "" {
		if b.rule.byName[d.name] != nil {
			return at(codeDupString, "duplicated string identifier \"$%s\"", d.name)
		}
		b.rule.byName[d.name] = d
	}
	if value.Text == "" {
		return at(codeEmptyString, "empty string \"$%s\"", d.name)
	}
	if bad := m.conflict(); bad != "" {
		return at(codeModifier, "invalid modifier combination: %s", bad)
	}
	m.nocase = m.nocase || value.NoCase
	m.ascii = m.ascii || !m.wide
	d.private = m.private
	var err error
	d.pattern, err = b.pattern(d, value, m)
	if errors.Is(err, rex.ErrTooLarge) {
		return at(codeTooLarge, "string \"$%s\": %v", d.name, err)
	}
	return err
}

func (m *modifiers) conflict() string {
	is64 := m.base64 || m.base64wide
	name := "base64"
	if !m.base64 {
		name = "base64wide"
	}
	switch {
	case m.xor && m.nocase:
		return "xor nocase"
	case is64 && m.nocase:
		return name + " nocase"
	case is64 && m.fullword:
		return name + " fullword"
	case is64 && m.xor:
		return name + " xor"
	}
	return ""
}

// modifiers reads the words after a string's value.
func (b *Builder) modifiers(kind lex.Kind) (*modifiers, error) {
	m := &modifiers{}
	for b.tok.Kind == lex.Keyword {
		word := b.tok.Text
		flag := m.flag(word, kind)
		if flag == nil {
			if slices.Contains([]string{"wide", "ascii", "nocase", "fullword", "xor", "base64", "base64wide"}, word) {
				return nil, b.unexpected("end of the string's declaration")
			}
			return m, nil
		}
		if *flag {
			return nil, b.fail(codeDupModifier, "duplicated modifier %q", word)
		}
		*flag = true
		if err := b.advance(); err != nil {
			return nil, err
		}
		var err error
		switch word {
		case "xor":
			err = b.xorRange(m)
		case "base64", "base64wide":
			err = b.alphabet(m)
		}
		if err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *modifiers) flag(word string, kind lex.Kind) *bool {
	if word == "private" {
		return &m.private
	}
	if kind == lex.Hex {
		return nil
	}
	switch word {
	case "wide":
		return &m.wide
	case "ascii":
		return &m.ascii
	case "nocase":
		return &m.nocase
	case "fullword":
		return &m.fullword
	}
	if kind == lex.Regexp {
		return nil
	}
	switch word {
	case "xor":
		return &m.xor
	case "base64":
		return &m.base64
	case "base64wide":
		return &m.base64wide
	}
	return nil
}

func (b *Builder) xorRange(m *modifiers) error {
	m.xorMin, m.xorMax = 0, 255
	if !b.punct("(") {
		return nil
	}
	lo, err := b.xorKey()
	if err != nil {
		return err
	}
	hi := lo
	if b.punct("-") {
		if hi, err = b.xorKey(); err != nil {
			return err
		}
	}
	switch {
	case lo > 255 || hi > 255:
		return b.fail(codeModifier, "invalid xor range: the largest key is 255")
	case lo > hi:
		return b.fail(codeModifier, "xor lower bound exceeds upper bound")
	}
	m.xorMin, m.xorMax = int(lo), int(hi)
	return b.expect(")")
}

func (b *Builder) xorKey() (int64, error) {
	if err := b.advance(); err != nil {
		return 0, err
	}
	if b.tok.Kind != lex.Int {
		return 0, b.unexpected("number")
	}
	v := b.tok.Int
	return v, b.advance()
}

// ownAlphabet reads what may stand in brackets after base64.
func (b *Builder) ownAlphabet() (string, error) {
	if !b.punct("(") {
		return stdAlphabet, nil
	}
	if err := b.advance(); err != nil {
		return "", err
	}
	if b.tok.Kind != lex.Text {
		return "", b.unexpected("text string")
	}
	a := b.tok.Text
	if len(a) != 64 {
		return "", b.fail(codeModifier, "length of base64 alphabet must be 64")
	}
	if err := b.advance(); err != nil {
		return "", err
	}
	return a, b.expect(")")
}

func (b *Builder) alphabet(m *modifiers) error {
	a, err := b.ownAlphabet()
	if err != nil {
		return err
	}
	if m.alphabet != "" && m.alphabet != a {
		return b.fail(codeModifier, "can not specify multiple alphabets")
	}
	m.alphabet = a
	return nil
}

// pattern makes the pattern of a string, or finds the equal one.
func (b *Builder) pattern(d *stringDecl, v lex.Token, m *modifiers) (int32, error) {
	if v.Kind == lex.Text {
		return b.textPattern(d, []byte(v.Text), m), nil
	}
	var p *rex.Pattern
	var err error
	name, what := codeRegexp, "regular expression"
	if v.Kind == lex.Hex {
		name, what = codeHex, "hex string"
		p, err = rex.ParseHex([]byte(v.Text))
	} else {
		p, err = rex.ParseRegexp([]byte(v.Text))
	}
	if err != nil {
		return 0, Problem{Line: v.Line, Code: name, Message: fmt.Sprintf("invalid %s \"$%s\": %v", what, d.name, err)}
	}
	if p.UnknownEscape {
		b.warn(v.Line, "unknown escape sequence in \"$%s\"", d.name)
	}
	if p.Greedy && p.Ungreedy {
		return 0, Problem{Line: v.Line, Code: codeRegexp, Message: fmt.Sprintf("invalid regular expression \"$%s\": greedy and ungreedy quantifiers can't be mixed", d.name)}
	}
	if p.HasDotStar() && v.Kind == lex.Regexp {
		b.warn(v.Line, "\"$%s\" contains .*, .+ or .{x,}: consider .{,N}, .{1,N} or .{x,N} with a reasonable N", d.name)
	}
	if lit, ok := p.Literal(); ok {
		return b.textPattern(d, lit, m), nil
	}
	parts := p.Split()
	worst := 1 << 10
	for _, part := range parts {
		worst = min(worst, part.Pattern.Quality())
	}
	if worst < rex.SlowBelow {
		b.slow(d)
	}
	key := fmt.Sprintf("re %d %v %v %v %v %v %s", v.Kind, m.wide, m.ascii, m.nocase, m.fullword, v.DotAll, v.Text)
	if i, ok := b.patterns[key]; ok {
		return i, nil
	}
	i, err := b.chain(p, parts, m, v.DotAll || v.Kind == lex.Hex)
	if err == nil {
		b.patterns[key] = i
	}
	return i, err
}

func (b *Builder) slow(d *stringDecl) {
	b.warn(d.line, "string \"$%s\" may slow down scanning", d.name)
}

// textPattern makes the pattern of plain bytes.
func (b *Builder) textPattern(d *stringDecl, lit []byte, m *modifiers) int32 {
	lits, wides := m.encodings(lit)
	worst := 1 << 10
	for _, l := range lits {
		lo, hi := 0, -1
		if m.xor {
			lo, hi = m.xorMin, m.xorMax
		}
		worst = min(worst, rex.TextQuality(l, lo, hi))
	}
	if worst < rex.SlowBelow {
		b.slow(d)
	}
	key := fmt.Sprintf("text %v %v %v %v %v %v %v %d %d %s %s", m.wide, m.ascii, m.nocase, m.fullword, m.xor, m.base64, m.base64wide, m.xorMin, m.xorMax, m.alphabet, lit)
	if i, ok := b.patterns[key]; ok {
		return i
	}
	i := int32(len(b.prog.Patterns))
	b.prog.Patterns = append(b.prog.Patterns, code.Pattern{Links: 1})
	for n, l := range lits {
		b.literal(code.Unit{
			Pattern: i, Lit: l, Wide: wides[n], NoCase: m.nocase, FullWord: m.fullword,
			Xor: m.xor, XorMin: uint8(m.xorMin), XorMax: uint8(m.xorMax),
		})
	}
	b.patterns[key] = i
	return i
}

// encodings are the byte sequences that a text is looked for as.
func (m *modifiers) encodings(lit []byte) (lits [][]byte, wides []bool) {
	add := func(l []byte, wide bool) {
		if len(l) > 0 && !slices.ContainsFunc(lits, func(x []byte) bool { return string(x) == string(l) }) {
			lits, wides = append(lits, l), append(wides, wide)
		}
	}
	var plain [][]byte
	if m.ascii {
		plain = append(plain, lit)
	}
	if m.wide {
		plain = append(plain, widen(lit))
	}
	for n, p := range plain {
		if !m.base64 && !m.base64wide {
			add(p, n == 1 || !m.ascii)
			continue
		}
		for shift := range 3 {
			enc := encode64(p, shift, m.alphabet)
			if m.base64 {
				add(enc, false)
			}
			if m.base64wide {
				add(widen(enc), true)
			}
		}
	}
	return lits, wides
}

func widen(b []byte) []byte {
	out := make([]byte, 0, 2*len(b))
	for _, c := range b {
		out = append(out, c, 0)
	}
	return out
}

// encode64 gives the characters that b has in base64 whatever stands around
// it, where shift bytes of the first group stand before it.
func encode64(b []byte, shift int, alphabet string) []byte {
	// Letters may repeat in a user's alphabet, so the standard one is mapped.
	padded := append(make([]byte, shift), b...)
	out := []byte(base64.StdEncoding.EncodeToString(padded))
	tail := 0
	for tail < len(out) && out[len(out)-1-tail] == '=' {
		tail++
	}
	if tail > 0 {
		tail++
	}
	head := 0
	if shift > 0 {
		head = shift + 1
	}
	if head+tail >= len(out) {
		return nil
	}
	out = out[head : len(out)-tail]
	for i, c := range out {
		out[i] = alphabet[position(c)]
	}
	return out
}

func position(c byte) int {
	switch {
	case c >= 'A' && c <= 'Z':
		return int(c - 'A')
	case c >= 'a' && c <= 'z':
		return int(c-'a') + 26
	case c >= '0' && c <= '9':
		return int(c-'0') + 52
	case c == '+':
		return 62
	}
	return 63
}
