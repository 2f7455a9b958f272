package postgres

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/lapwing-defence/lapwing/internal/decoy/relations"
	"github.com/lapwing-defence/lapwing/internal/host"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/shell"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// copying is a COPY ... FROM STDIN that is under way.
type copying struct {
	table   string
	columns int
	data    []byte
	rest    []string
}

const (
	maxCopied = 4 << 20 // bytes of one COPY
	maxOutput = 1 << 20 // bytes of a program that are read
)

var copyForm = regexp.MustCompile(`(?is)^\s*copy\s+(\(.*\)|[^\s(]+)\s*(?:\([^)]*\))?\s*(from|to)\s+(program\s+)?(stdin|stdout|'(?:[^']|'')*'|E'(?:[^'\\]|\\.|'')*'|\$\$.*?\$\$)`)

// copyStatement is COPY between a table, a file of the fake host, a program in
// its shell, or the client.
func (v *visit) copyStatement(s string) (relations.Result, *fault) {
	m := copyForm.FindStringSubmatch(s[:min(len(s), 256<<10)])
	if m == nil {
		return relations.Result{}, worded(s, &relations.Error{Kind: relations.Syntax, Name: "COPY"})
	}
	what, in, program, where := m[1], strings.EqualFold(m[2], "from"), m[3] != "", unquote(m[4])
	target := strings.Trim(what[strings.LastIndexByte(what, '.')+1:], `"`)
	if in {
		if n := v.width(target); n < 0 {
			return relations.Result{}, worded(s, &relations.Error{Kind: relations.NoTable, Name: target, At: strings.Index(s, what)})
		}
	}
	switch {
	case strings.EqualFold(where, "stdin") && m[4][0] != '\'' && in:
		v.copying = &copying{table: target, columns: v.width(target)}
		return relations.Result{}, nil
	case program && in:
		out, status := v.program(where, nil)
		if status != 0 {
			return relations.Result{}, &fault{code: "38000", text: `program "` + where + `" failed`, detail: fmt.Sprintf("child process exited with exit code %d", status), file: "copyfrom.c", line: 1622, routine: "ClosePipeFromProgram"}
		}
		return v.fill(target, out)
	case in:
		data, err := v.host.M.FS.ReadFile(v.caller(), path(where), maxOutput)
		if err != nil {
			return relations.Result{}, &fault{code: "58P01", text: `could not open file "` + where + `" for reading: ` + unixText(err), hint: `COPY FROM instructs the PostgreSQL server process to read a file. You may want a client-side facility such as psql's \copy.`, file: "copyfrom.c", line: 1523, routine: "BeginCopyFrom"}
		}
		return v.fill(target, data)
	}
	return v.copyOut(what, program, where, m[4][0] != '\'')
}

func unixText(err error) string {
	t := err.Error()
	return strings.ToUpper(t[:1]) + t[1:]
}

func unquote(s string) string {
	switch {
	case strings.HasPrefix(s, "$$"):
		return strings.TrimSuffix(strings.TrimPrefix(s, "$$"), "$$")
	case len(s) > 1 && (s[0] == 'E' || s[0] == 'e') && s[1] == '\'':
		s = strings.ReplaceAll(strings.ReplaceAll(s[1:], `\'`, "''"), `\\`, `\`)
	}
	if len(s) < 2 || s[0] != '\'' {
		return s
	}
	return strings.ReplaceAll(s[1:len(s)-1], "''", "'")
}

// width is the number of columns of a table, -1 for none of that name.
func (v *visit) width(table string) int {
	for _, t := range v.db().Tables() {
		if strings.EqualFold(t.Name, table) {
			return len(t.Columns)
		}
	}
	return -1
}

// fill puts lines into a table, their fields parted by tabs.
func (v *visit) fill(table string, data []byte) (relations.Result, *fault) {
	width := v.width(table)
	var rows [][]relations.Value
	for line := range bytes.Lines(data) {
		fields := strings.Split(strings.TrimRight(strings.ToValidUTF8(string(line), "?"), "\r\n"), "\t")
		if fields[0] == `\.` {
			break
		}
		if len(fields) != width {
			code, text := "22P04", `missing data for column "`+v.columnName(table, len(fields))+`"`
			if len(fields) > width {
				text = "extra data after last expected column"
			}
			return relations.Result{}, &fault{code: code, text: text, file: "copyfromparse.c", line: 884, routine: "NextCopyFrom"}
		}
		row := make([]relations.Value, width)
		for i, f := range fields {
			if row[i] = relations.Text(f); f == `\N` {
				row[i] = relations.Null
			}
		}
		rows = append(rows, row)
	}
	n, err := v.db().Put(table, rows)
	if err != nil {
		return relations.Result{}, worded("", err)
	}
	return relations.Result{Verb: "COPY", Count: n}, nil
}

func (v *visit) columnName(table string, i int) string {
	for _, t := range v.db().Tables() {
		if strings.EqualFold(t.Name, table) && i < len(t.Columns) {
			return t.Columns[i].Name
		}
	}
	return ""
}

// copyOut writes a table or a query to a file of the fake host, into a program
// there, or to the client.
func (v *visit) copyOut(what string, program bool, where string, toClient bool) (relations.Result, *fault) {
	q := "SELECT * FROM " + what
	if inner, ok := strings.CutPrefix(what, "("); ok {
		q = strings.TrimSuffix(inner, ")")
	}
	r, err := v.db().Exec(q)
	if err != nil {
		return relations.Result{}, worded(q, err)
	}
	var b bytes.Buffer
	for _, row := range r.Rows {
		for i, x := range row {
			if i > 0 {
				b.WriteByte('\t')
			}
			if x.Null {
				b.WriteString(`\N`)
			}
			b.WriteString(x.S)
		}
		b.WriteByte('\n')
	}
	switch {
	case toClient:
		v.b.Send(&pgproto3.CopyOutResponse{ColumnFormatCodes: make([]uint16, len(r.Columns))})
		for line := range bytes.Lines(b.Bytes()) {
			v.b.Send(&pgproto3.CopyData{Data: line})
		}
		v.b.Send(&pgproto3.CopyDone{})
	case program:
		if _, status := v.program(where, b.Bytes()); status != 0 {
			return relations.Result{}, &fault{code: "38000", text: `program "` + where + `" failed`, detail: fmt.Sprintf("child process exited with exit code %d", status), file: "copyto.c", line: 300, routine: "ClosePipeToProgram"}
		}
	default:
		if err := v.host.M.FS.WriteFile(v.caller(), path(where), b.Bytes(), 0o644); err != nil {
			return relations.Result{}, &fault{code: "42501", text: `could not open file "` + where + `" for writing: ` + unixText(err), file: "copyto.c", line: 735, routine: "BeginCopyTo"}
		}
		v.rec.Capture(path(where), bytes.NewReader(b.Bytes()), "copy to")
	}
	return relations.Result{Verb: "COPY", Count: len(r.Rows)}, nil
}

// copyMessage takes what a client sends for COPY ... FROM STDIN.
func (v *visit) copyMessage(msg pgproto3.FrontendMessage) bool {
	c := v.copying
	switch m := msg.(type) {
	case *pgproto3.CopyData:
		if len(c.data)+len(m.Data) <= maxCopied {
			c.data = append(c.data, m.Data...)
		}
		return true
	case *pgproto3.CopyDone:
		v.copying = nil
		v.view.mu.Lock()
		r, f := v.fill(c.table, c.data)
		v.view.mu.Unlock()
		if len(c.data) > 0 {
			v.rec.Capture("copy/"+clip(c.table, 63), bytes.NewReader(c.data), "copy from stdin")
		}
		if f != nil {
			v.fail(f)
		} else {
			v.result(r, true)
			for i, s := range c.rest {
				if !v.one(s, true) {
					break
				}
				if v.copying != nil {
					v.copying.rest = c.rest[i+1:]
					return true
				}
			}
		}
		v.ready()
		return true
	case *pgproto3.CopyFail:
		v.copying = nil
		v.fail(&fault{code: "57014", text: "COPY from stdin failed: " + clip(m.Message, 200), file: "copyfromparse.c", line: 251, routine: "CopyGetData"})
		v.ready()
		return true
	case *pgproto3.Flush, *pgproto3.Sync:
		return true
	case *pgproto3.Terminate:
		return false
	}
	v.copying = nil
	v.fail(&fault{code: "08P01", text: "unexpected message type during COPY from stdin", file: "copyfromparse.c", line: 263, routine: "CopyGetData"})
	v.ready()
	return true
}

// The account that the server runs under, as Debian's package makes it.
const (
	uidPostgres = 106
	gidPostgres = 114
	accountLine = "postgres:x:106:114:PostgreSQL administrator,,,:/var/lib/postgresql:/bin/bash\n"
	groupLine   = "postgres:x:114:\n"
)

// account makes sure that the fake host knows the server's user.
func (v *visit) account() {
	for file, line := range map[string]string{"/etc/passwd": accountLine, "/etc/group": groupLine} {
		old, err := v.host.M.FS.ReadFile(vfs.Root(), file, 1<<20)
		if err != nil || bytes.Contains(old, []byte("\npostgres:")) {
			continue
		}
		v.host.M.FS.WriteFile(vfs.Root(), file, append(old, line...), 0o644) //nolint:errcheck // a full disk is full
	}
}

// program runs a command line in the fake host's shell as postgres.
func (v *visit) program(line string, input []byte) (output []byte, status int) {
	v.account()
	sess, ctx, cancel := v.host.Open(v.ctx, host.Login{User: "postgres", From: v.s.Source, To: v.s.Local, Service: "postgres", Recorder: v.rec})
	defer cancel(nil)
	v.rec.Watch(v.host.M.FS)
	out := &bounded{limit: maxOutput}
	fds := map[int]*kernel.FD{
		0: kernel.NewFD("pipe:[0]", readOnly{bytes.NewReader(input)}, nil), 1: kernel.NewFD("pipe:[1]", out, nil), 2: kernel.NewFD("/dev/null", &bounded{}, nil),
	}
	p := host.Shell(sess, fds)
	status = shell.Exec(ctx, p, line)
	v.rec.Line(ctx, kernel.Line{Text: line, Dir: p.Dir, User: "postgres", PID: p.PID, Exit: status})
	if err := context.Cause(ctx); err != nil {
		status = 137
	}
	v.rec.Sweep(v.host.M.FS)
	return out.Bytes(), status
}

// bounded keeps the first bytes of what is written to it.
type bounded struct {
	bytes.Buffer
	limit int
}

func (b *bounded) Write(p []byte) (int, error) {
	b.Buffer.Write(p[:min(len(p), max(0, b.limit-b.Len()))])
	return len(p), nil
}

type readOnly struct{ *bytes.Reader }

func (readOnly) Write(p []byte) (int, error) { return len(p), nil }
