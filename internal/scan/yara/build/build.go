// Package build reads YARA rules and makes the compiled form. It finds the
// faults that libyara 4.5.8 finds, in the order of the text, under its names.
package build

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/code"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/lex"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/module"
)

// Problem is a fault or a warning.
type Problem struct { //nolint:errname // a warning is one too
	File    string
	Line    int
	Code    string // libyara's name of the error; empty for a warning
	Message string
	Rule    string
	Warning bool
}

func (p Problem) Error() string {
	kind := "error"
	if p.Warning {
		kind = "warning"
	}
	in := ""
	if p.Rule != "" {
		in = fmt.Sprintf(" in rule %q", p.Rule)
	}
	return fmt.Sprintf("%s:%d: %s%s: %s", p.File, p.Line, kind, in, p.Message)
}

// Config is what a Builder needs to know.
type Config struct {
	Modules   map[string]*module.Module
	Externals []code.External
	// Include opens what an include names; it may be nil.
	Include func(name, from string) (src []byte, path string, err error)
}

// Limits on a set of rules.
const (
	maxNesting  = 250
	maxIncludes = 16
	maxProblems = 200
	maxNodes    = 20_000_000
	maxLoops    = 4
	maxTags     = 1000
)

// Builder compiles sources into one program.
type Builder struct {
	cfg       Config
	prog      *code.Program
	problems  []Problem
	modules   map[string]int32
	funcs     map[string]int32
	texts     map[string]int32
	patterns  map[string]int32
	externals map[string]int32
	spaces    map[string]*space

	// Of the source being read.
	file    string
	files   []string
	lx      *lex.Lexer
	tok     lex.Token
	peeked  *lex.Token
	peekErr error
	ns      *space
	depth   int

	rule *rule
}

// space is a namespace.
type space struct {
	index     int32
	rules     map[string]int32
	order     []string
	imports   map[string]bool
	wildcards []string
}

// rule is the state of the rule being read.
type rule struct {
	out     code.Rule
	strings []*stringDecl
	byName  map[string]*stringDecl
	loops   []loop
	inOf    bool
	slots   int32
	// How much of the program there was before it.
	nodes, lists int
}

type stringDecl struct {
	name       string
	pattern    int32
	private    bool
	referenced bool
	line       int
}

type loop struct {
	vars []variable
}

type variable struct {
	name string
	slot int32
	typ  *module.Type
}

// New makes a Builder.
func New(cfg Config) *Builder {
	b := &Builder{
		cfg: cfg, prog: &code.Program{}, modules: map[string]int32{}, funcs: map[string]int32{}, texts: map[string]int32{},
		patterns: map[string]int32{}, externals: map[string]int32{}, spaces: map[string]*space{},
	}
	for _, e := range cfg.Externals {
		if i, ok := b.externals[e.Name]; ok {
			b.prog.Externals[i] = e
			continue
		}
		b.externals[e.Name] = int32(len(b.prog.Externals))
		b.prog.Externals = append(b.prog.Externals, e)
	}
	return b
}

// Program gives what was compiled, and all problems.
func (b *Builder) Program() (*code.Program, []Problem) { return b.prog, b.problems }

// Add reads one source into a namespace.
func (b *Builder) Add(file, namespace string, src []byte) {
	ns := b.spaces[namespace]
	if ns == nil {
		ns = &space{index: int32(len(b.prog.Namespaces)), rules: map[string]int32{}, imports: map[string]bool{}}
		b.spaces[namespace] = ns
		b.prog.Namespaces = append(b.prog.Namespaces, namespace)
	}
	b.ns = ns
	b.source(file, src)
}

func (b *Builder) source(file string, src []byte) {
	save := *b
	b.file, b.lx, b.peeked, b.peekErr = file, lex.New(src), nil, nil
	b.files = append(b.files, file)
	b.statements()
	b.file, b.lx, b.tok, b.peeked, b.peekErr = save.file, save.lx, save.tok, save.peeked, save.peekErr
	b.files = b.files[:len(b.files)-1]
}

func (b *Builder) statements() {
	err := b.advance()
	for len(b.problems) < maxProblems {
		if err == nil {
			if b.tok.Kind == lex.EOF {
				return
			}
			err = b.statement()
		}
		if err == nil {
			continue
		}
		b.report(err)
		b.forget()
		b.rule, b.depth, b.peeked = nil, 0, nil
		if !b.lx.Recover() {
			return
		}
		err = b.advance()
	}
}

// forget takes back what a rule that failed has left.
func (b *Builder) forget() {
	if b.rule == nil {
		return
	}
	b.prog.Nodes, b.prog.Lists = b.prog.Nodes[:b.rule.nodes], b.prog.Lists[:b.rule.lists]
	name := b.rule.out.Name
	if i, ok := b.ns.rules[name]; ok && i == int32(len(b.prog.Rules)) {
		delete(b.ns.rules, name)
		b.ns.order = b.ns.order[:len(b.ns.order)-1]
	}
}

func (b *Builder) report(err error) {
	var p Problem
	var l *lex.Error
	switch {
	case errors.As(err, &p):
	case errors.As(err, &l):
		p = Problem{Line: l.Line, Code: codeSyntax, Message: l.Msg}
	default:
		p = Problem{Line: b.lx.Line(), Code: codeSyntax, Message: err.Error()}
	}
	p.File = b.file
	if b.rule != nil && p.Rule == "" {
		p.Rule = b.rule.out.Name
	}
	b.problems = append(b.problems, p)
}

// The names of libyara's errors.
const (
	codeSyntax          = "ERROR_SYNTAX_ERROR"
	codeDupIdent        = "ERROR_DUPLICATED_IDENTIFIER"
	codeDupString       = "ERROR_DUPLICATED_STRING_IDENTIFIER"
	codeDupTag          = "ERROR_DUPLICATED_TAG_IDENTIFIER"
	codeDupMeta         = "ERROR_DUPLICATED_META_IDENTIFIER"
	codeDupLoop         = "ERROR_DUPLICATED_LOOP_IDENTIFIER"
	codeDupModifier     = "ERROR_DUPLICATED_MODIFIER"
	codeModifier        = "ERROR_INVALID_MODIFIER"
	codeEmptyString     = "ERROR_EMPTY_STRING"
	codeRegexp          = "ERROR_INVALID_REGULAR_EXPRESSION"
	codeHex             = "ERROR_INVALID_HEX_STRING"
	codeUnreferenced    = "ERROR_UNREFERENCED_STRING"
	codeUndefString     = "ERROR_UNDEFINED_STRING"
	codeUndefIdent      = "ERROR_UNDEFINED_IDENTIFIER"
	codeMisplacedAnon   = "ERROR_MISPLACED_ANONYMOUS_STRING"
	codeIncludeDepth    = "ERROR_INCLUDE_DEPTH_EXCEEDED"
	codeIncludeCircular = "ERROR_INCLUDES_CIRCULAR_REFERENCE"
	codeInclude         = "ERROR_COULD_NOT_OPEN_FILE"
	codeLoopNesting     = "ERROR_LOOP_NESTING_LIMIT_EXCEEDED"
	codeNestedOf        = "ERROR_NESTED_FOR_OF_LOOP"
	codeField           = "ERROR_INVALID_FIELD_NAME"
	codeModule          = "ERROR_UNKNOWN_MODULE"
	codeModuleName      = "ERROR_INVALID_MODULE_NAME"
	codeNotStruct       = "ERROR_NOT_A_STRUCTURE"
	codeNotIndexable    = "ERROR_NOT_INDEXABLE"
	codeNotFunction     = "ERROR_NOT_A_FUNCTION"
	codeWrongType       = "ERROR_WRONG_TYPE"
	codeArguments       = "ERROR_WRONG_ARGUMENTS"
	codeOverflow        = "ERROR_INTEGER_OVERFLOW"
	codeDivision        = "ERROR_DIVISION_BY_ZERO"
	codeOperand         = "ERROR_INVALID_OPERAND"
	codeValue           = "ERROR_INVALID_VALUE"
	codePercentage      = "ERROR_INVALID_PERCENTAGE"
	codeWildcard        = "ERROR_IDENTIFIER_MATCHES_WILDCARD"
	codeTooLarge        = "ERROR_REGULAR_EXPRESSION_TOO_LARGE"
)

func (b *Builder) fail(name, format string, a ...any) error {
	return Problem{Line: b.tok.Line, Code: name, Message: fmt.Sprintf(format, a...)}
}

func (b *Builder) warn(line int, format string, a ...any) {
	if len(b.problems) >= 100*maxProblems {
		return
	}
	p := Problem{File: b.file, Line: line, Warning: true, Message: fmt.Sprintf(format, a...)}
	if b.rule != nil {
		p.Rule = b.rule.out.Name
	}
	b.problems = append(b.problems, p)
}

func (b *Builder) advance() error { return b.next(false) }

func (b *Builder) next(afterAssign bool) error {
	if b.peeked != nil {
		b.tok, b.peeked = *b.peeked, nil
		return b.peekErr
	}
	var err error
	b.tok, err = b.lx.Next(afterAssign)
	return err
}

// peek looks at the token after the present one.
func (b *Builder) peek() lex.Token {
	if b.peeked == nil {
		t, err := b.lx.Next(false)
		b.peeked, b.peekErr = &t, err
	}
	return *b.peeked
}

func (b *Builder) is(kind lex.Kind, text string) bool {
	return b.tok.Kind == kind && b.tok.Text == text
}

func (b *Builder) punct(s string) bool   { return b.is(lex.Punct, s) }
func (b *Builder) keyword(s string) bool { return b.is(lex.Keyword, s) }

func (b *Builder) unexpected(want string) error {
	return b.fail(codeSyntax, "syntax error, unexpected %s, expecting %s", describe(b.tok), want)
}

func describe(t lex.Token) string {
	switch t.Kind {
	case lex.EOF:
		return "end of file"
	case lex.Text:
		return "text string"
	case lex.Regexp:
		return "regular expression"
	case lex.Hex:
		return "hex string"
	case lex.Int, lex.Float:
		return "number"
	case lex.Ident:
		return fmt.Sprintf("identifier %q", t.Text)
	case lex.StringID, lex.StringWild:
		return "string identifier"
	case lex.StringCount, lex.StringOffset, lex.StringLength:
		return "string count, offset or length"
	}
	return fmt.Sprintf("'%s'", t.Text)
}

// expect passes over a token that must be here.
func (b *Builder) expect(s string) error {
	if !b.punct(s) && !b.keyword(s) {
		return b.unexpected("'" + s + "'")
	}
	return b.advance()
}

func (b *Builder) text(s string) int32 {
	if i, ok := b.texts[s]; ok {
		return i
	}
	i := int32(len(b.prog.Texts))
	b.prog.Texts = append(b.prog.Texts, s)
	b.texts[s] = i
	return i
}

func (b *Builder) statement() error {
	switch {
	case b.keyword("import"):
		return b.importModule()
	case b.keyword("include"):
		return b.include()
	case b.keyword("rule"), b.keyword("private"), b.keyword("global"):
		return b.readRule()
	}
	return b.unexpected("rule, import or include")
}

func (b *Builder) importModule() error {
	if err := b.advance(); err != nil {
		return err
	}
	if b.tok.Kind != lex.Text {
		return b.unexpected("text string")
	}
	name := b.tok.Text
	if name == "" || strings.ContainsRune(name, 0) {
		return b.fail(codeModuleName, "invalid module name %q", name)
	}
	if b.cfg.Modules[name] == nil {
		return b.fail(codeModule, "unknown module %q", name)
	}
	b.ns.imports[name] = true
	if _, ok := b.modules[name]; !ok {
		b.modules[name] = int32(len(b.prog.Modules))
		b.prog.Modules = append(b.prog.Modules, name)
	}
	return b.advance()
}

func (b *Builder) include() error {
	if err := b.advance(); err != nil {
		return err
	}
	if b.tok.Kind != lex.Text {
		return b.unexpected("text string")
	}
	name := b.tok.Text
	if b.cfg.Include == nil {
		return b.fail(codeInclude, "can't open include file %q: includes are not allowed here", name)
	}
	if len(b.files) >= maxIncludes {
		return b.fail(codeIncludeDepth, "include %q: more than %d files deep", name, maxIncludes)
	}
	src, path, err := b.cfg.Include(name, b.file)
	if err != nil {
		return b.fail(codeInclude, "can't open include file %q: %v", name, err)
	}
	if slices.Contains(b.files, path) {
		return b.fail(codeIncludeCircular, "include %q includes itself", name)
	}
	b.source(path, src)
	return b.advance()
}
