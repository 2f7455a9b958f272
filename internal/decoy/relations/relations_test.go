package relations

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

type plain struct{}

func (plain) Quotes() bool { return true }
func (plain) Call(name string, _ []Value) (Value, bool, error) {
	return Text("15.20"), name == "version", nil
}
func (plain) Variable(name string) (Value, bool) { return Text("x"), name == "version" }
func (plain) Virtual(string) *Table              { return nil }

func sample() *DB {
	return New(plain{}, &Table{Name: "t", Columns: []Column{{"id", "integer"}, {"name", "text"}}, Rows: [][]Value{
		{Int(1), Text("anna")}, {Int(2), Text("Bert")}, {Int(10), Null},
	}})
}

func shown(r Result) string {
	var b strings.Builder
	for _, row := range r.Rows {
		for i, v := range row {
			if i > 0 {
				b.WriteByte('|')
			}
			if v.Null {
				b.WriteString("NULL")
			}
			b.WriteString(v.S)
		}
		b.WriteByte(';')
	}
	return b.String()
}

func TestSelect(t *testing.T) {
	for _, tt := range [][2]string{
		{"SELECT 1+2*3, 'a''b', -5, 7/2, 7%4", "7|a'b|-5|3|3;"},
		{"select * from t", "1|anna;2|Bert;10|NULL;"},
		{"SELECT name FROM t WHERE id > 1 AND name IS NOT NULL", "Bert;"},
		{"SELECT id FROM t ORDER BY id DESC LIMIT 2", "10;2;"},
		{"SELECT id FROM t ORDER BY 1 OFFSET 1", "2;10;"},
		{"SELECT count(*), max(id), min(name), sum(id) FROM t", "3|10|Bert|13;"},
		{"SELECT count(name) FROM t WHERE id > 100", "0;"},
		{"SELECT upper(t.name) FROM public.t WHERE name LIKE 'a%'", "ANNA;"},
		{"SELECT id FROM t WHERE id IN (1,10) AND NOT id = 1", "10;"},
		{"SELECT CASE WHEN id=1 THEN 'one' ELSE 'more' END FROM t x WHERE x.id BETWEEN 1 AND 2", "one;more;"},
		{"SELECT version()", "15.20;"},
		{"SELECT coalesce(NULL, 'b') || 'c'::text", "bc;"},
		{"SELECT substring('abcdef' from 2 for 3)", "bcd;"},
		{"SELECT $$a'b$$, E'x\\ny'", "a'b|x\ny;"},
		{"SELECT /* c */ 1 -- end", "1;"},
	} {
		r, err := sample().Exec(tt[0])
		if err != nil || shown(r) != tt[1] {
			t.Errorf("%s\n got %q %v\nwant %q", tt[0], shown(r), err, tt[1])
		}
	}
}

func TestFaults(t *testing.T) {
	for in, want := range map[string]ErrorKind{
		"SELECT FROM t": Syntax, "SELECT * FROM nosuch": NoTable, "SELECT nosuch FROM t": NoColumn, "SELECT nosuch()": NoFunction, "SELECT 1 1 1": Syntax,
		"INSERT INTO t VALUES (1,2,3)": Columns, "CREATE TABLE t (a int)": Exists, "COPY t FROM STDIN": Unknown, "SELECT @@nosuch": NoVariable, "DROP TABLE nosuch": NoTable, "": Unknown,
		"SELECT " + strings.Repeat("(", 1000) + "1": Syntax,
	} {
		if _, err := sample().Exec(in); err == nil || err.Kind != want {
			t.Errorf("%.60s: %v", in, err)
		}
	}
}

func TestChange(t *testing.T) {
	db := sample()
	for _, s := range []struct {
		in    string
		verb  string
		count int
	}{
		{"CREATE TABLE IF NOT EXISTS cmd (out text, n integer NOT NULL DEFAULT (1), PRIMARY KEY (n))", "CREATE TABLE", 0},
		{"INSERT INTO cmd VALUES ('a', 1), ('b', 2)", "INSERT", 2},
		{"INSERT INTO cmd (n) VALUES (3)", "INSERT", 1},
		{"UPDATE cmd SET out = 'z' WHERE n >= 2", "UPDATE", 2},
		{"DELETE FROM cmd WHERE n = 1", "DELETE", 1},
		{"SELECT out, n FROM cmd", "SELECT", 2},
		{"DROP TABLE IF EXISTS cmd", "DROP TABLE", 0},
		{"DROP TABLE IF EXISTS cmd", "DROP TABLE", 0},
	} {
		r, err := db.Exec(s.in)
		if err != nil || r.Verb != s.verb || r.Count != s.count {
			t.Errorf("%s: %s %d, %v", s.in, r.Verb, r.Count, err)
		}
	}
	if db.cells != 6 {
		t.Errorf("%d cells are counted", db.cells)
	}
}

func TestSplit(t *testing.T) {
	got := Split("a; b ';' ; -- c;\n d;;", 10)
	if fmt.Sprint(got) != "[a b ';' -- c;\n d]" {
		t.Errorf("%q", got)
	}
}

func TestBounds(t *testing.T) {
	db := New(plain{}, Company(1, "", time.Unix(1e9, 0))...)
	if r, err := db.Exec("SELECT count(*) FROM customers"); err != nil || r.Rows[0][0].number() < 60 {
		t.Errorf("%v %v", r, err)
	}
	if _, err := db.Exec("CREATE TABLE big (a text)"); err != nil {
		t.Fatal(err)
	}
	long := "INSERT INTO big VALUES ('" + strings.Repeat("x", 1<<20) + "')"
	full := false
	for range 20 {
		_, err := db.Exec(long)
		full = full || err != nil && err.Kind == TooMuch
	}
	if !full || db.held > maxHeld+2<<20 {
		t.Errorf("full %v, %d bytes are held", full, db.held)
	}
}

func FuzzExec(f *testing.F) {
	for _, s := range []string{"SELECT 1", "SELECT * FROM t WHERE id IN (1,2) ORDER BY name DESC LIMIT 1", "INSERT INTO t VALUES (1,'a')", "CREATE TABLE a (b int)", "SELECT CASE id WHEN 1 THEN 2 END FROM t", "UPDATE t SET name = name || name", "SELECT $a$x$a$::text"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, script string) {
		db := sample()
		for _, s := range Split(script, 50) {
			r, err := db.Exec(s)
			if err != nil && (r.Rows != nil || err.At > len(s)) {
				t.Errorf("%q: %v at %d of %d", s, err, err.At, len(s))
			}
			for _, row := range r.Rows {
				if len(row) != len(r.Columns) {
					t.Errorf("%q: %d values in %d columns", s, len(row), len(r.Columns))
				}
			}
		}
		if db.held > 3*maxHeld {
			t.Errorf("%d bytes are held", db.held)
		}
	})
}
