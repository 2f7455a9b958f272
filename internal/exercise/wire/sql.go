package wire

import (
	"bytes"
	"encoding/binary"
	"io"
	"maps"
	"slices"
	"strings"
)

// Protocols of SQL.
const (
	ProtocolMySQL    = "mysql"
	ProtocolPostgres = "postgres"
	ProtocolMSSQL    = "mssql"
)

// questions are what is asked of a database: a closed list, in the words of each
// protocol. None of them changes anything.
var questions = map[string]map[string]string{
	"version":   {ProtocolMySQL: "select version()", ProtocolPostgres: "select version()", ProtocolMSSQL: "select @@version"},
	"databases": {ProtocolMySQL: "show databases", ProtocolPostgres: "select datname from pg_database", ProtocolMSSQL: "select name from sys.databases"},
	"tables": {
		ProtocolMySQL:    "select table_name from information_schema.tables",
		ProtocolPostgres: "select table_name from information_schema.tables",
		ProtocolMSSQL:    "select table_name from information_schema.tables",
	},
	"users":     {ProtocolMySQL: "select user from mysql.user", ProtocolPostgres: "select usename from pg_user", ProtocolMSSQL: "select name from sys.sql_logins"},
	"customers": {ProtocolMySQL: "select name from customers", ProtocolPostgres: "select name from customers", ProtocolMSSQL: "select name from customers"},
}

// SQLQuestions are what can be asked, sorted.
func SQLQuestions() []string { return slices.Sorted(maps.Keys(questions)) }

// SQLText is a question in the words of a protocol; "" where there is none.
func SQLText(protocol, question string) string { return questions[question][protocol] }

// SQLAsked is the question that a text asks; "" for every other text.
func SQLAsked(protocol, text string) string {
	text = strings.ToLower(strings.Join(strings.Fields(strings.TrimRight(text, "; \t\r\n")), " "))
	for q, by := range questions {
		if by[protocol] == text {
			return q
		}
	}
	return ""
}

// SQLRows are the result of a query: one column of texts.
type SQLRows struct {
	Column string
	Rows   []string
}

const (
	maxRows     = 10_000
	mysqlString = 0xfd
	postgresTxt = 25
	tdsNVarChar = 0xe7
)

// lenenc is a text with its length as MySQL writes it; at most 64 KiB.
func lenenc(s string) []byte {
	s = s[:min(len(s), 0xffff)]
	if len(s) < 251 {
		return append([]byte{byte(len(s))}, s...)
	}
	return append([]byte{0xfc, byte(len(s)), byte(len(s) >> 8)}, s...)
}

func cutLenenc(b []byte) (string, bool) {
	if len(b) == 0 || b[0] > 0xfc || b[0] == 0xfb {
		return "", false
	}
	n, head := int(b[0]), 1
	if b[0] == 0xfc {
		if len(b) < 3 {
			return "", false
		}
		n, head = int(binary.LittleEndian.Uint16(b[1:])), 3
	}
	if len(b)-head < n {
		return "", false
	}
	return string(b[head : head+n]), true
}

// AppendMySQLAnswer writes a result set that follows the packet seq.
func AppendMySQLAnswer(seq byte, a SQLRows) []byte {
	var out []byte
	put := func(body []byte) {
		seq++
		out = append(out, AppendMySQL(MySQL{Seq: seq, Body: body})...)
	}
	end := []byte{0xfe, 0, 0, 2, 0}
	put([]byte{1})
	def := slices.Concat(lenenc("def"), lenenc(""), lenenc(""), lenenc(""), lenenc(a.Column), lenenc(a.Column), []byte{12, 33, 0})
	put(append(binary.LittleEndian.AppendUint32(def, 1024), mysqlString, 0, 0, 0, 0, 0))
	put(end)
	for _, r := range a.Rows {
		put(lenenc(r))
	}
	put(end)
	return out
}

// ReadMySQLAnswer reads a result set of one column; ok is false where the server
// refused.
func ReadMySQLAnswer(r io.Reader) (rows []string, ok bool, err error) {
	ends := 0
	for n := range maxRows {
		m, err := ReadMySQL(r)
		switch {
		case err != nil:
			return rows, false, err
		case len(m.Body) == 0:
			return rows, false, bad("a result of MySQL")
		case m.Body[0] == 0xff:
			return rows, false, nil
		case n == 0 && m.Body[0] == 0:
			return nil, true, nil
		case m.Body[0] == 0xfe && len(m.Body) < 9:
			if ends++; ends == 2 {
				return rows, true, nil
			}
		case ends == 1:
			text, ok := cutLenenc(m.Body)
			if !ok {
				return rows, false, bad("a row of MySQL")
			}
			rows = append(rows, text)
		}
	}
	return rows, false, bad("a result of MySQL")
}

// AppendPostgresAnswer writes a result set and that the server is ready.
func AppendPostgresAnswer(a SQLRows) []byte {
	head := append(append([]byte{0, 1}, a.Column...), 0)
	head = append(append(head, make([]byte, 6)...), 0, 0, 0, postgresTxt, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0)
	out := AppendPostgres(Postgres{Kind: 'T', Body: head})
	for _, r := range a.Rows {
		out = append(out, AppendPostgres(Postgres{Kind: 'D', Body: append([]byte{0, 1}, prefixed([]byte(r))...)})...)
	}
	out = append(out, AppendPostgres(Postgres{Kind: 'C', Body: []byte("SELECT " + itoa(len(a.Rows)) + "\x00")})...)
	return append(out, AppendPostgres(Postgres{Kind: 'Z', Body: []byte("I")})...)
}

// ReadPostgresAnswer reads messages up to "ready": the rows of one column. ok is
// false where the server refused.
func ReadPostgresAnswer(r io.Reader) (rows []string, ok bool, err error) {
	ok = true
	for range maxRows {
		m, err := ReadPostgres(r, false)
		if err != nil {
			return rows, false, err
		}
		switch m.Kind {
		case 'Z':
			return rows, ok, nil
		case 'E':
			ok = false
		case 'D':
			if len(m.Body) < 6 {
				return rows, false, bad("a row of PostgreSQL")
			}
			rows = append(rows, string(m.Body[6:]))
		}
	}
	return rows, false, bad("a result of PostgreSQL")
}

// TDSAsk is the body of a query.
func TDSAsk(text string) []byte {
	head := append([]byte{22, 0, 0, 0, 18, 0, 0, 0, 2, 0}, make([]byte, 8)...)
	return append(append(head, 1, 0, 0, 0), utf16le(text)...)
}

// TDSText is the text of a query.
func TDSText(b []byte) string {
	if len(b) >= 4 {
		if n := int(binary.LittleEndian.Uint32(b)); n >= 4 && n <= len(b) {
			return fromUTF16(b[n:])
		}
	}
	return fromUTF16(b)
}

// TDSAnswer is the body of an answer with rows.
func TDSAnswer(a SQLRows) []byte {
	out := append([]byte{0x81, 1, 0, 0, 0, 0, 0, 9, 0, tdsNVarChar, 0, 0x10, 9, 4, 0xd0, 0, 0x34}, varchar(a.Column)...)
	for _, r := range a.Rows {
		t := utf16le(r[:min(len(r), 1000)])
		out = append(le(append(out, 0xd1), len(t)), t...)
	}
	done := tdsDone(0x10)
	done[3] = 0xc1
	binary.LittleEndian.PutUint64(done[5:], uint64(len(a.Rows)))
	return append(out, done...)
}

// ParseTDSAnswer reads the rows of such an answer; ok is false where the server
// refused.
func ParseTDSAnswer(b []byte) (rows []string, ok bool, err error) {
	if len(b) > 0 && b[0] == 0xaa {
		return nil, false, nil
	}
	const head = 17
	if len(b) < head+1 || b[0] != 0x81 || b[1] != 1 || b[2] != 0 || b[9] != tdsNVarChar {
		return nil, false, bad("a result of TDS")
	}
	b = b[head:]
	if n := 1 + 2*int(b[0]); n <= len(b) {
		b = b[n:]
	}
	for len(b) >= 3 && b[0] == 0xd1 {
		n := int(binary.LittleEndian.Uint16(b[1:]))
		if n > len(b)-3 {
			return rows, false, bad("a row of TDS")
		}
		rows, b = append(rows, fromUTF16(b[3:3+n])), b[3+n:]
	}
	if !bytes.HasPrefix(b, []byte{0xfd}) {
		return rows, false, bad("a result of TDS")
	}
	return rows, true, nil
}
