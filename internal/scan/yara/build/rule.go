package build

import (
	"strings"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/code"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/lex"
)

func (b *Builder) readRule() error {
	r := &rule{byName: map[string]*stringDecl{}, nodes: len(b.prog.Nodes), lists: len(b.prog.Lists)}
	r.out.File, r.out.Namespace = b.file, b.ns.index
	for b.keyword("private") || b.keyword("global") {
		r.out.Private = r.out.Private || b.keyword("private")
		r.out.Global = r.out.Global || b.keyword("global")
		if err := b.advance(); err != nil {
			return err
		}
	}
	if !b.keyword("rule") {
		return b.unexpected("'rule'")
	}
	if err := b.advance(); err != nil {
		return err
	}
	if b.tok.Kind != lex.Ident {
		return b.unexpected("identifier")
	}
	r.out.Name, r.out.Line = b.tok.Text, int32(b.tok.Line)
	b.rule = r
	if err := b.checkRuleName(r.out.Name); err != nil {
		return err
	}
	// A rule may name itself; it is false then.
	b.ns.rules[r.out.Name] = int32(len(b.prog.Rules))
	b.ns.order = append(b.ns.order, r.out.Name)
	if err := b.advance(); err != nil {
		return err
	}
	for _, step := range []func() error{b.tags, b.meta, b.strings, b.condition} {
		if err := step(); err != nil {
			return err
		}
	}
	return b.finishRule()
}

func (b *Builder) checkRuleName(name string) error {
	if _, ok := b.ns.rules[name]; ok {
		return b.fail(codeDupIdent, "duplicated identifier %q", name)
	}
	if _, ok := b.externals[name]; ok {
		return b.fail(codeDupIdent, "duplicated identifier %q: it is an external variable", name)
	}
	for _, w := range b.ns.wildcards {
		if strings.HasPrefix(name, w) {
			return b.fail(codeWildcard, "rule identifier %q matches previously used wildcard rule set %q", name, w+"*")
		}
	}
	return nil
}

func (b *Builder) finishRule() error {
	r := b.rule
	for _, s := range r.strings {
		if !s.referenced && !strings.HasPrefix(s.name, "_") {
			return Problem{Line: s.line, Code: codeUnreferenced, Message: "unreferenced string \"$" + s.name + "\""}
		}
		r.out.Strings = append(r.out.Strings, code.String{Name: "$" + s.name, Pattern: s.pattern, Private: s.private})
	}
	if !b.punct("}") {
		return b.unexpected("'}'")
	}
	b.prog.Rules = append(b.prog.Rules, r.out)
	b.rule = nil
	return b.advance()
}

func (b *Builder) tags() error {
	if !b.punct(":") {
		return b.expect("{")
	}
	if err := b.advance(); err != nil {
		return err
	}
	if b.tok.Kind != lex.Ident {
		return b.unexpected("identifier")
	}
	seen := map[string]bool{}
	for b.tok.Kind == lex.Ident {
		if seen[b.tok.Text] {
			return b.fail(codeDupTag, "duplicated tag identifier %q", b.tok.Text)
		}
		if len(seen) >= maxTags {
			return b.fail(codeSyntax, "more than %d tags", maxTags)
		}
		seen[b.tok.Text] = true
		b.rule.out.Tags = append(b.rule.out.Tags, b.tok.Text)
		if err := b.advance(); err != nil {
			return err
		}
	}
	return b.expect("{")
}

func (b *Builder) section(name string) (bool, error) {
	if !b.keyword(name) {
		return false, nil
	}
	if err := b.advance(); err != nil {
		return false, err
	}
	return true, b.expect(":")
}

func (b *Builder) meta() error {
	ok, err := b.section("meta")
	if !ok || err != nil {
		return err
	}
	if b.tok.Kind != lex.Ident {
		return b.unexpected("identifier")
	}
	for b.tok.Kind == lex.Ident {
		if err := b.metaEntry(); err != nil {
			return err
		}
	}
	return nil
}

func (b *Builder) metaEntry() error {
	m := code.Meta{Name: b.tok.Text}
	if err := b.advance(); err != nil {
		return err
	}
	if err := b.expect("="); err != nil {
		return err
	}
	negative := b.punct("-")
	if negative {
		if err := b.advance(); err != nil {
			return err
		}
	}
	switch {
	case b.tok.Kind == lex.Int:
		m.Kind, m.Int = 'i', b.tok.Int
		if negative {
			m.Int = -m.Int
		}
	case negative:
		return b.unexpected("number")
	case b.tok.Kind == lex.Text:
		m.Kind, m.Text = 's', b.tok.Text
	case b.keyword("true"), b.keyword("false"):
		m.Kind = 'b'
		if b.keyword("true") {
			m.Int = 1
		}
	default:
		return b.unexpected("text string, number, true or false")
	}
	b.rule.out.Metas = append(b.rule.out.Metas, m)
	return b.advance()
}

func (b *Builder) strings() error {
	ok, err := b.section("strings")
	if !ok || err != nil {
		return err
	}
	if b.tok.Kind != lex.StringID {
		return b.unexpected("string identifier")
	}
	for b.tok.Kind == lex.StringID {
		if err := b.stringDeclaration(); err != nil {
			return err
		}
	}
	return nil
}

func (b *Builder) condition() error {
	if !b.keyword("condition") {
		return b.unexpected("'condition'")
	}
	if err := b.advance(); err != nil {
		return err
	}
	if err := b.expect(":"); err != nil {
		return err
	}
	o, err := b.expr()
	if err != nil {
		return err
	}
	o = b.boolean(o)
	if len(b.prog.Nodes) > maxNodes {
		return b.fail(codeSyntax, "the conditions are too many")
	}
	b.rule.out.Cond, b.rule.out.NeedsHit = o.node, o.needs
	return nil
}
