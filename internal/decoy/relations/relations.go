// Package relations is the small relational database behind the decoys that
// speak SQL: tables in memory, and as much of the language as visitors of a
// honeypot use. It reads SELECT over one table (WHERE, ORDER BY, LIMIT, count,
// sum, min, max), INSERT, UPDATE, DELETE, CREATE and DROP. What else there is
// the dialect answers. Everything is bounded; nothing outside is reached.
package relations

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits of one database.
const (
	maxTables = 200
	maxCells  = 400_000
	maxHeld   = 8 << 20 // bytes of all values
	maxList   = 1000    // members of a list, rows of an INSERT
	maxResult = 4 << 20 // bytes of one result
)

// ErrorKind says what is wrong with a statement; the dialect words it.
type ErrorKind uint8

// The kinds.
const (
	Syntax ErrorKind = iota
	NoTable
	NoColumn
	NoFunction
	NoVariable
	Exists  // a table that is there already
	TooMuch // more than one statement may work out or keep
	Columns // other numbers of columns and values
	Failed  // a function of the dialect: Cause
	Unknown // a statement that this package does not know: the dialect may
)

// Error is why a statement failed.
type Error struct {
	Kind ErrorKind
	Name string // what is missing, or the text near which the grammar ends
	Of   string // table that a column was looked for in
	At   int    // byte of the statement

	Cause error
}

// Error is for logs; a dialect has its own words.
func (e *Error) Error() string { return fmt.Sprintf("sql: kind %d near %q", e.Kind, e.Name) }

// Column is one of a table or a result. Type is the dialect's word.
type Column struct{ Name, Type string }

// Table is a named list of rows.
type Table struct {
	Name    string
	Columns []Column
	Rows    [][]Value
}

func (t *Table) index(name string) int {
	return slices.IndexFunc(t.Columns, func(c Column) bool { return strings.EqualFold(c.Name, name) })
}

// Result is what a statement gives. Columns are nil where it gives no rows.
type Result struct {
	Columns []Column
	Rows    [][]Value
	Verb    string // SELECT, INSERT, UPDATE, DELETE, CREATE TABLE, DROP TABLE
	Count   int
}

// Dialect is what the databases differ in.
type Dialect interface {
	// Quotes tells whether "..." is a name.
	Quotes() bool
	// Call is a function; ok is false for one that is not there. An error ends
	// the statement and comes back as the Cause of its Error.
	Call(name string, args []Value) (v Value, ok bool, err error)
	// Variable is @@name.
	Variable(name string) (v Value, ok bool)
	// Virtual is a table that is made when it is asked for, such as pg_database.
	Virtual(name string) *Table
}

// DB is one database. It is for one goroutine.
type DB struct {
	Dialect Dialect
	tables  map[string]*Table
	held    int
	cells   int
}

// New makes a database with tables.
func New(d Dialect, tables ...*Table) *DB {
	db := &DB{Dialect: d, tables: map[string]*Table{}}
	for _, t := range tables {
		db.put(t)
	}
	return db
}

func (db *DB) put(t *Table) {
	db.tables[strings.ToLower(t.Name)] = t
	for _, r := range t.Rows {
		db.weigh(r, 1)
	}
}

func (db *DB) weigh(row []Value, sign int) {
	db.cells += sign * len(row)
	for _, v := range row {
		db.held += sign * (len(v.S) + 40)
	}
}

// Tables are the names of those that are no virtual ones, sorted.
func (db *DB) Tables() []*Table {
	out := make([]*Table, 0, len(db.tables))
	for _, t := range db.tables {
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b *Table) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Put adds rows to a table that is there; it tells how many fit.
func (db *DB) Put(name string, rows [][]Value) (n int, err *Error) {
	t := db.tables[strings.ToLower(name)]
	if t == nil {
		return 0, &Error{Kind: NoTable, Name: name}
	}
	for _, r := range rows {
		if len(r) != len(t.Columns) {
			return n, &Error{Kind: Columns, Name: name}
		}
		if !db.add(t, r) {
			return n, &Error{Kind: TooMuch, Name: name}
		}
		n++
	}
	return n, nil
}

func (db *DB) add(t *Table, row []Value) bool {
	if db.cells+len(row) > maxCells || db.held > maxHeld {
		return false
	}
	db.weigh(row, 1)
	t.Rows = append(t.Rows, row)
	return true
}

func (db *DB) table(name string) *Table {
	if t := db.tables[strings.ToLower(name)]; t != nil {
		return t
	}
	return db.Dialect.Virtual(strings.ToLower(name))
}

func (db *DB) call(name string, args []Value, at int) (Value, *Error) {
	v, ok, err := db.Dialect.Call(name, args)
	if err != nil {
		return Null, &Error{Kind: Failed, Name: name, Cause: err, At: at}
	}
	if ok {
		return v, nil
	}
	if v, ok := builtin(name, args); ok {
		return v, nil
	}
	return Null, &Error{Kind: NoFunction, Name: name, At: at}
}

func (db *DB) variable(name string, at int) (Value, *Error) {
	if v, ok := db.Dialect.Variable(strings.ToLower(name)); ok {
		return v, nil
	}
	return Null, &Error{Kind: NoVariable, Name: name, At: at}
}

// builtin are functions that all dialects have.
func builtin(name string, a []Value) (Value, bool) {
	if name == "coalesce" || name == "ifnull" {
		for _, v := range a {
			if !v.Null {
				return v, true
			}
		}
		return Null, true
	}
	if len(a) > 0 && a[0].Null && name != "concat" {
		return Null, slices.Contains([]string{"lower", "upper", "length", "char_length", "trim", "abs", "substr", "substring", "left"}, name)
	}
	switch {
	case name == "lower" && len(a) == 1:
		return Text(strings.ToLower(a[0].S)), true
	case name == "upper" && len(a) == 1:
		return Text(strings.ToUpper(a[0].S)), true
	case (name == "length" || name == "char_length" || name == "octet_length") && len(a) == 1:
		return Int(int64(len(a[0].S))), true
	case name == "trim" && len(a) == 1:
		return Text(strings.TrimSpace(a[0].S)), true
	case name == "abs" && len(a) == 1:
		return Value{S: strings.TrimPrefix(a[0].S, "-"), Numeric: true}, true
	case name == "concat":
		var b strings.Builder
		for _, v := range a {
			b.WriteString(v.S[:min(len(v.S), max(0, maxText-b.Len()))])
		}
		return Text(b.String()), true
	case (name == "substr" || name == "substring") && (len(a) == 2 || len(a) == 3):
		return Text(cut(a)), true
	case name == "left" && len(a) == 2:
		return Text(a[0].S[:min(len(a[0].S), max(0, int(a[1].number())))]), true
	}
	return Null, false
}

// longestPause is the longest time that a statement waits.
const longestPause = 30 * time.Second

// Pause is how long SLEEP or pg_sleep waits: as asked, at most half a minute, so
// that a test for time sees it.
func Pause(a []Value) time.Duration {
	if len(a) == 0 {
		return 0
	}
	sec, err := strconv.ParseFloat(a[0].S, 64)
	switch {
	case err != nil || !(sec > 0):
		return 0
	case sec < longestPause.Seconds():
		return time.Duration(sec * float64(time.Second))
	}
	return longestPause
}

func cut(a []Value) string {
	s := a[0].S
	from := min(max(int(min(max(a[1].number(), -maxText), maxText))-1, 0), len(s))
	s = s[from:]
	if len(a) == 3 {
		s = s[:min(len(s), max(0, int(min(max(a[2].number(), 0), maxText))))]
	}
	return s
}
