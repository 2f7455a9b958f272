package relations

import (
	"slices"
	"strings"
)

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
