package relations

import (
	"slices"
	"strings"
)

// reserved are words that begin the next part of a statement, and so are no names.
var reserved = map[string]bool{
	"from": true, "where": true, "order": true, "group": true, "limit": true, "offset": true, "having": true, "union": true, "as": true, "and": true, "or": true, "not": true,
	"on": true, "join": true, "left": true, "inner": true, "when": true, "then": true, "else": true, "end": true, "values": true, "set": true, "into": true, "asc": true, "desc": true,
	"select": true, "in": true, "is": true, "like": true, "between": true, "for": true,
}

// parser reads one statement.
type parser struct {
	l         lexer
	tok       token
	err       *Error
	depth     int
	aggregate bool
}

func (p *parser) advance() { p.tok = p.l.next() }

func (p *parser) take(s string) bool {
	if p.err == nil && p.tok.is(s) {
		p.advance()
		return true
	}
	return false
}

func (p *parser) need(s string) {
	if !p.take(s) {
		p.fail()
	}
}

func (p *parser) fail() {
	if p.err == nil {
		p.err = &Error{Kind: Syntax, Name: p.tok.s, At: p.tok.at}
	}
}

// name reads a name, and what stands before its last dot.
func (p *parser) name() (of, name string, at int) {
	at = p.tok.at
	for p.err == nil {
		if p.tok.kind != word || !p.tok.quoted && reserved[strings.ToLower(p.tok.s)] {
			p.fail()
			return "", "", at
		}
		of, name = name, p.tok.s
		p.advance()
		if !p.take(".") {
			return of, name, at
		}
	}
	return of, name, at
}

// typeName reads a type, with its size.
func (p *parser) typeName() string {
	_, name, _ := p.name()
	for p.tok.kind == word && slices.ContainsFunc([]string{"varying", "precision", "with", "without", "time", "zone", "unsigned"}, p.tok.is) {
		name += " " + strings.ToLower(p.tok.s)
		p.advance()
	}
	if p.take("(") {
		for p.err == nil && !p.tok.is(")") && p.tok.kind != end {
			p.advance()
		}
		p.need(")")
	}
	if p.take("[") {
		p.need("]")
	}
	return strings.ToLower(name)
}

// Exec runs one statement.
func (db *DB) Exec(statement string) (Result, *Error) {
	p := &parser{l: lexer{src: statement, ansi: db.Dialect.Quotes()}}
	p.advance()
	var r Result
	var err *Error
	switch {
	case p.tok.is("select"):
		r, err = db.query(p)
	case p.take("insert"):
		r, err = db.insert(p)
	case p.take("update"):
		r, err = db.update(p)
	case p.take("delete"):
		r, err = db.remove(p)
	case p.tok.is("create"), p.tok.is("drop"):
		r, err = db.define(p)
	default:
		return Result{}, &Error{Kind: Unknown, Name: p.tok.s, At: p.tok.at}
	}
	if p.err != nil {
		err = p.err
	}
	if err != nil {
		return Result{}, err
	}
	return r, nil
}

func (p *parser) finish() {
	p.take(";")
	if p.err == nil && p.tok.kind != end {
		p.fail()
	}
}

// item is one column of a SELECT.
type item struct {
	e    expr
	name string
	all  bool
}

type selection struct {
	items   []item
	table   *Table
	alias   string
	where   expr
	order   []ordering
	limit   int
	offset  int
	grouped bool
}

type ordering struct {
	e    expr
	nth  int // column by its number
	down bool
}

func (db *DB) query(p *parser) (Result, *Error) {
	q := &selection{limit: -1}
	p.need("select")
	p.take("distinct")
	p.take("all")
	for p.err == nil && len(q.items) < maxList {
		q.items = append(q.items, p.item())
		if !p.take(",") {
			break
		}
	}
	q.grouped = p.aggregate
	if p.take("from") {
		of, name, at := p.name()
		if p.err != nil {
			return Result{}, p.err
		}
		if q.table = db.table(name); q.table == nil {
			return Result{}, &Error{Kind: NoTable, Name: name, Of: of, At: at}
		}
		p.take("as")
		if p.tok.kind == word && (p.tok.quoted || !reserved[strings.ToLower(p.tok.s)]) {
			_, q.alias, _ = p.name()
		}
	}
	p.clauses(q)
	p.finish()
	if p.err != nil {
		return Result{}, p.err
	}
	return db.run(q)
}

func (p *parser) item() item {
	if p.take("*") {
		return item{all: true}
	}
	t := p.tok
	it := item{e: p.expression()}
	switch it.name = "?column?"; {
	case p.err == nil && p.tok.is("*"): // t.*
		p.advance()
		return item{all: true}
	case !p.l.ansi: // MySQL calls a column as it was written
		it.name = strings.TrimSpace(p.l.src[t.at:min(p.tok.at, len(p.l.src))])
		if t.quoted {
			it.name = lastName(it.name)
		}
	case t.kind == word && t.is("case"):
		it.name = "case"
	case t.kind == word:
		it.name = strings.ToLower(lastName(p.l.src[t.at:min(p.tok.at, len(p.l.src))]))
	default:
		it.name = "\x00" + strings.TrimSpace(p.l.src[t.at:min(p.tok.at, len(p.l.src))])
	}
	if p.take("as") || p.tok.kind == word && (p.tok.quoted || !reserved[strings.ToLower(p.tok.s)]) {
		it.name = p.tok.s
		p.advance()
	}
	return it
}

// lastName is what a column is called that is this name or this call of a function.
func lastName(s string) string {
	s, _, _ = strings.Cut(s, "(")
	s, _, _ = strings.Cut(s, "::")
	s = strings.TrimSpace(s)
	if i := strings.LastIndexByte(s, '.'); i >= 0 {
		s = s[i+1:]
	}
	return strings.Trim(s, "\"`")
}

func (p *parser) clauses(q *selection) {
	if p.take("where") {
		q.where = p.expression()
	}
	if p.take("order") {
		p.need("by")
		for p.err == nil && len(q.order) < 20 {
			o := ordering{}
			if t := p.tok; t.kind == number {
				o.nth = int(numberOf(t.s).number())
			}
			o.e = p.expression()
			o.down = p.take("desc")
			p.take("asc")
			q.order = append(q.order, o)
			if !p.take(",") {
				break
			}
		}
	}
	for p.err == nil && (p.tok.is("limit") || p.tok.is("offset")) {
		off := p.tok.is("offset")
		p.advance()
		n := max(0, int(min(numberOf(p.tok.s).number(), maxCells)))
		if p.tok.kind != number && !p.tok.is("all") {
			p.fail()
		}
		p.advance()
		switch {
		case off:
			q.offset = n
		case p.take(","): // LIMIT offset, count
			q.offset, q.limit = n, max(0, int(min(numberOf(p.tok.s).number(), maxCells)))
			p.advance()
		default:
			q.limit = n
		}
	}
}

func (db *DB) run(q *selection) (Result, *Error) {
	steps := 0
	s := &scope{db: db, table: q.table, alias: q.alias, steps: &steps}
	rows, err := s.matching(q.where)
	if err != nil {
		return Result{}, err
	}
	r := Result{Verb: "SELECT"}
	for _, it := range q.items {
		if !it.all {
			r.Columns = append(r.Columns, Column{Name: it.name, Type: "text"})
			continue
		}
		if q.table == nil {
			return Result{}, &Error{Kind: Syntax, Name: "*"}
		}
		r.Columns = append(r.Columns, q.table.Columns...)
	}
	if q.grouped {
		s.group = rows
		rows = []int{-1}
	} else if err := s.sort(rows, q, r.Columns); err != nil {
		return Result{}, err
	}
	rows = rows[min(q.offset, len(rows)):]
	if q.limit >= 0 {
		rows = rows[:min(q.limit, len(rows))]
	}
	size := 0
	for _, i := range rows {
		if q.table != nil && i >= 0 {
			s.row = q.table.Rows[i]
		}
		out, err := s.project(q.items)
		if err != nil {
			return Result{}, err
		}
		for c, v := range out {
			if size += len(v.S) + 8; v.Numeric && r.Columns[c].Type == "text" && len(r.Rows) == 0 {
				r.Columns[c].Type = "integer"
			}
		}
		if size > maxResult {
			return Result{}, &Error{Kind: TooMuch}
		}
		r.Rows = append(r.Rows, out)
	}
	r.Count = len(r.Rows)
	return r, nil
}

// matching are the rows that a condition lets through. Without a table there is one.
func (s *scope) matching(where expr) ([]int, *Error) {
	n := 1
	if s.table != nil {
		n = len(s.table.Rows)
	}
	var rows []int
	for i := range n {
		if s.table != nil {
			s.row = s.table.Rows[i]
		}
		if where != nil {
			v, err := where(s)
			if err != nil {
				return nil, err
			}
			if !v.truth() {
				continue
			}
		}
		rows = append(rows, i)
	}
	if n == 0 && where != nil { // a column that is not there is told also of an empty table
		s.row = nil
		if _, err := where(s); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

func (s *scope) sort(rows []int, q *selection, columns []Column) *Error {
	if len(q.order) == 0 || s.table == nil {
		return nil
	}
	keys := make(map[int][]Value, len(rows))
	for _, i := range rows {
		s.row = s.table.Rows[i]
		for _, o := range q.order {
			e := o.e
			if o.nth > 0 {
				if o.nth > len(columns) {
					return &Error{Kind: NoColumn, Name: "ORDER BY"}
				}
				out, err := s.project(q.items)
				if err != nil {
					return err
				}
				e = constant(out[o.nth-1])
			}
			v, err := e(s)
			if err != nil {
				return err
			}
			keys[i] = append(keys[i], v)
		}
	}
	slices.SortStableFunc(rows, func(a, b int) int {
		for k, o := range q.order {
			c := compare(keys[a][k], keys[b][k])
			if o.down {
				c = -c
			}
			if c != 0 {
				return c
			}
		}
		return 0
	})
	return nil
}

func (s *scope) project(items []item) ([]Value, *Error) {
	var out []Value
	for _, it := range items {
		if it.all {
			row := s.row
			if row == nil {
				row = make([]Value, len(s.table.Columns))
			}
			out = append(out, row...)
			continue
		}
		v, err := it.e(s)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}
