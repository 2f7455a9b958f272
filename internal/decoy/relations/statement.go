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

func (db *DB) insert(p *parser) (Result, *Error) {
	p.take("ignore")
	p.need("into")
	of, name, at := p.name()
	t := db.tables[strings.ToLower(name)]
	if p.err == nil && t == nil {
		return Result{}, &Error{Kind: NoTable, Name: name, Of: of, At: at}
	}
	var into []int
	if p.take("(") {
		for p.err == nil && len(into) < maxList {
			_, c, at := p.name()
			i := -1
			if t != nil {
				i = t.index(c)
			}
			if p.err == nil && i < 0 {
				return Result{}, &Error{Kind: NoColumn, Name: c, Of: name, At: at}
			}
			into = append(into, i)
			if !p.take(",") {
				break
			}
		}
		p.need(")")
	}
	if !p.take("values") {
		p.need("value")
	}
	var rows [][]expr
	for p.err == nil && len(rows) < maxList {
		p.need("(")
		var row []expr
		for p.err == nil && len(row) < maxList {
			row = append(row, p.expression())
			if !p.take(",") {
				break
			}
		}
		p.need(")")
		rows = append(rows, row)
		if !p.take(",") {
			break
		}
	}
	if p.err != nil {
		return Result{}, p.err
	}
	return db.store(t, into, rows)
}

func (db *DB) store(t *Table, into []int, rows [][]expr) (Result, *Error) {
	steps := 0
	s := &scope{db: db, steps: &steps}
	for _, exprs := range rows {
		row := make([]Value, len(t.Columns))
		for i := range row {
			row[i] = Null
		}
		if into == nil && len(exprs) > len(row) || into != nil && len(exprs) != len(into) {
			return Result{}, &Error{Kind: Columns, Name: t.Name}
		}
		for i, e := range exprs {
			v, err := e(s)
			if err != nil {
				return Result{}, err
			}
			if into != nil {
				row[into[i]] = v
			} else {
				row[i] = v
			}
		}
		if !db.add(t, row) {
			return Result{}, &Error{Kind: TooMuch, Name: t.Name}
		}
	}
	return Result{Verb: "INSERT", Count: len(rows)}, nil
}

func (db *DB) update(p *parser) (Result, *Error) {
	of, name, at := p.name()
	t := db.tables[strings.ToLower(name)]
	if p.err == nil && t == nil {
		return Result{}, &Error{Kind: NoTable, Name: name, Of: of, At: at}
	}
	p.need("set")
	set := map[int]expr{}
	for p.err == nil && len(set) < maxList {
		_, c, at := p.name()
		p.need("=")
		e := p.expression()
		if p.err != nil {
			return Result{}, p.err
		}
		i := t.index(c)
		if i < 0 {
			return Result{}, &Error{Kind: NoColumn, Name: c, Of: name, At: at}
		}
		set[i] = e
		if !p.take(",") {
			break
		}
	}
	s, rows, err := db.target(p, t)
	if err != nil {
		return Result{}, err
	}
	for _, i := range rows {
		s.row = t.Rows[i]
		row := slices.Clone(s.row)
		for c, e := range set {
			if row[c], err = e(s); err != nil {
				return Result{}, err
			}
		}
		db.weigh(s.row, -1)
		db.weigh(row, 1)
		if db.held > 2*maxHeld {
			db.weigh(row, -1)
			db.weigh(s.row, 1)
			return Result{}, &Error{Kind: TooMuch, Name: name}
		}
		t.Rows[i] = row
	}
	return Result{Verb: "UPDATE", Count: len(rows)}, nil
}

// target reads a WHERE and gives the rows that it means.
func (db *DB) target(p *parser, t *Table) (*scope, []int, *Error) {
	q := &selection{limit: -1}
	p.clauses(q)
	p.finish()
	if p.err != nil {
		return nil, nil, p.err
	}
	steps := 0
	s := &scope{db: db, table: t, steps: &steps}
	rows, err := s.matching(q.where)
	return s, rows, err
}

func (db *DB) remove(p *parser) (Result, *Error) {
	p.need("from")
	of, name, at := p.name()
	t := db.tables[strings.ToLower(name)]
	if p.err == nil && t == nil {
		return Result{}, &Error{Kind: NoTable, Name: name, Of: of, At: at}
	}
	_, rows, err := db.target(p, t)
	if err != nil {
		return Result{}, err
	}
	gone := map[int]bool{}
	for _, i := range rows {
		gone[i] = true
		db.weigh(t.Rows[i], -1)
	}
	kept := t.Rows[:0:0]
	for i, r := range t.Rows {
		if !gone[i] {
			kept = append(kept, r)
		}
	}
	t.Rows = kept
	return Result{Verb: "DELETE", Count: len(rows)}, nil
}

// define is CREATE TABLE and DROP TABLE; of other things the dialect knows.
func (db *DB) define(p *parser) (Result, *Error) {
	create := p.tok.is("create")
	first := p.tok
	p.advance()
	if create {
		for p.take("temporary") || p.take("temp") || p.take("unlogged") {
			continue
		}
	}
	if !p.take("table") {
		return Result{}, &Error{Kind: Unknown, Name: first.s, At: first.at}
	}
	lenient := false
	if p.take("if") {
		p.take("not")
		p.need("exists")
		lenient = true
	}
	of, name, at := p.name()
	if p.err != nil {
		return Result{}, p.err
	}
	old := db.tables[strings.ToLower(name)]
	if !create {
		if old == nil && !lenient {
			return Result{}, &Error{Kind: NoTable, Name: name, Of: of, At: at}
		}
		if old != nil {
			for _, r := range old.Rows {
				db.weigh(r, -1)
			}
			delete(db.tables, strings.ToLower(name))
		}
		return Result{Verb: "DROP TABLE"}, nil
	}
	columns := p.columns()
	switch {
	case p.err != nil:
		return Result{}, p.err
	case old != nil && lenient:
		return Result{Verb: "CREATE TABLE"}, nil
	case old != nil:
		return Result{}, &Error{Kind: Exists, Name: name, At: at}
	case len(db.tables) >= maxTables:
		return Result{}, &Error{Kind: TooMuch, Name: name}
	}
	db.tables[strings.ToLower(name)] = &Table{Name: name, Columns: columns}
	return Result{Verb: "CREATE TABLE"}, nil
}

// columns reads (name type ..., ...); constraints are passed over.
func (p *parser) columns() []Column {
	p.need("(")
	var out []Column
	for p.err == nil && len(out) < maxList && !p.tok.is(")") {
		if slices.ContainsFunc([]string{"primary", "unique", "key", "constraint", "foreign", "check", "index"}, p.tok.is) {
			p.over()
		} else {
			_, name, _ := p.name()
			out = append(out, Column{Name: name, Type: p.typeName()})
			p.over()
		}
		if !p.take(",") {
			break
		}
	}
	p.need(")")
	return out
}

// over passes to the next comma or the closing bracket.
func (p *parser) over() {
	depth := 0
	for p.err == nil && p.tok.kind != end {
		switch {
		case p.tok.is("("):
			depth++
		case p.tok.is(")") && depth == 0, p.tok.is(",") && depth == 0:
			return
		case p.tok.is(")"):
			depth--
		}
		p.advance()
	}
}
