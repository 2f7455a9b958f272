package postgres

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/lapwing-defence/lapwing/internal/decoy/record"
	"github.com/lapwing-defence/lapwing/internal/decoy/relations"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// Types as the protocol names them.
const (
	oidBool    = 16
	oidInt4    = 23
	oidText    = 25
	oidNumeric = 1700
	oidStamp   = 1114
)

// fault is an error as PostgreSQL words it.
type fault struct {
	code, text, detail, hint string
	at                       int // 1-based character, 0: none
	file                     string
	line                     int32
	routine                  string
}

func (f *fault) Error() string { return f.text }

// fail answers with an error; a transaction is over with it.
func (v *visit) fail(f *fault) {
	v.b.Send(&pgproto3.ErrorResponse{
		Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: f.code, Message: f.text, Detail: f.detail, Hint: f.hint, Position: int32(f.at),
		File: f.file, Line: f.line, Routine: f.routine,
	})
	v.failed = true
	if v.tx == 'T' {
		v.tx = 'E'
	}
}

// script runs the statements of one message, until one fails.
func (v *visit) script(text string) {
	list := relations.Split(text, maxStatements)
	if len(list) == 0 {
		v.b.Send(&pgproto3.EmptyQueryResponse{})
		return
	}
	for i, s := range list {
		if !v.one(s, true) || v.copying != nil {
			if v.copying != nil {
				v.copying.rest = list[i+1:]
			}
			return
		}
	}
}

// one runs a statement, records it and answers.
func (v *visit) one(s string, describe bool) bool {
	v.view.mu.Lock()
	r, f := v.run(s)
	v.view.mu.Unlock()
	v.rec.Emit(event.ActionQueryExecuted, event.DepthAct, func(e *event.Event) {
		e.Add("lapwing.database", v.database)
		why := ""
		if f != nil {
			why = f.text
		}
		record.Query(e, s, why)
	})
	if f != nil {
		v.fail(f)
		return false
	}
	if v.copying != nil {
		v.b.Send(&pgproto3.CopyInResponse{OverallFormat: 0, ColumnFormatCodes: make([]uint16, v.copying.columns)})
		return true
	}
	v.result(r, describe)
	return true
}

func rowDescription(columns []relations.Column) *pgproto3.RowDescription {
	d := &pgproto3.RowDescription{}
	for _, c := range columns {
		f := pgproto3.FieldDescription{Name: []byte(strings.TrimPrefix(name(c.Name), "\x00")), DataTypeOID: oidText, DataTypeSize: -1, TypeModifier: -1}
		switch c.Type {
		case "integer", "int", "int4", "serial", "bigint":
			f.DataTypeOID, f.DataTypeSize = oidInt4, 4
		case "boolean", "bool":
			f.DataTypeOID, f.DataTypeSize = oidBool, 1
		case "numeric", "decimal":
			f.DataTypeOID = oidNumeric
		case "timestamp":
			f.DataTypeOID, f.DataTypeSize = oidStamp, 8
		}
		d.Fields = append(d.Fields, f)
	}
	return d
}

// name is a column's: expressions that are no names have none in PostgreSQL.
func name(s string) string {
	if strings.HasPrefix(s, "\x00") {
		return "?column?"
	}
	return s
}

func (v *visit) result(r relations.Result, describe bool) {
	if r.Columns != nil {
		if describe {
			v.b.Send(rowDescription(r.Columns))
		}
		for _, row := range r.Rows {
			m := &pgproto3.DataRow{}
			for _, x := range row {
				if x.Null {
					m.Values = append(m.Values, nil)
				} else {
					m.Values = append(m.Values, []byte(x.S))
				}
			}
			v.b.Send(m)
		}
	}
	tag := r.Verb
	switch r.Verb {
	case "SELECT", "UPDATE", "DELETE", "COPY":
		tag = fmt.Sprintf("%s %d", r.Verb, r.Count)
	case "INSERT":
		tag = fmt.Sprintf("INSERT 0 %d", r.Count)
	}
	v.b.Send(&pgproto3.CommandComplete{CommandTag: []byte(tag)})
}

// db is the database that the visitor is connected to.
func (v *visit) db() *relations.DB {
	db := v.view.dbs[v.database]
	if db == nil {
		var tables []*relations.Table
		if v.database == v.c.Database {
			tables = relations.Company(v.c.Seed, v.c.Domain, v.s.Clock.Now().Truncate(24*time.Hour))
		}
		db = relations.New(nil, tables...)
		v.view.dbs[v.database] = db
	}
	db.Dialect = dialect{v}
	return db
}

// done is a statement that is acknowledged and changes nothing.
func done(verb string) relations.Result { return relations.Result{Verb: verb} }

// run works one statement out.
func (v *visit) run(s string) (relations.Result, *fault) {
	words := strings.Fields(strings.ToLower(firstWords(s)))
	first, second := at(words, 0), at(words, 1)
	if v.tx == 'E' && first != "rollback" && first != "commit" && first != "end" {
		return relations.Result{}, &fault{code: "25P02", text: "current transaction is aborted, commands ignored until end of transaction block", file: "postgres.c", line: 1484, routine: "exec_parse_message"}
	}
	switch first {
	case "copy":
		return v.copyStatement(s)
	case "show":
		return v.show(second)
	case "begin", "start", "commit", "end", "rollback":
		return v.transaction(first), nil
	case "set", "reset", "discard", "listen", "notify", "analyze", "vacuum", "comment", "grant", "revoke", "checkpoint", "lock", "truncate", "savepoint", "release", "do", "reindex":
		return done(strings.ToUpper(acknowledged(first, second))), nil
	case "alter":
		return done("ALTER " + strings.ToUpper(second)), nil
	case "select":
		if r, ok := v.catalogue(s); ok {
			return r, nil
		}
	case "create", "drop":
		if r, f, ok := v.define(s, first); ok {
			return r, f
		}
	}
	r, err := v.db().Exec(s)
	if err != nil {
		return relations.Result{}, worded(s, err)
	}
	return r, nil
}

func at(words []string, i int) string {
	if i < len(words) {
		return strings.Trim(words[i], `";`)
	}
	return ""
}

// firstWords is the beginning of a statement after its comments.
func firstWords(s string) string {
	for {
		s = strings.TrimSpace(s)
		switch {
		case strings.HasPrefix(s, "--"):
			_, rest, ok := strings.Cut(s, "\n")
			if !ok {
				return ""
			}
			s = rest
		case strings.HasPrefix(s, "/*"):
			_, rest, ok := strings.Cut(s, "*/")
			if !ok {
				return ""
			}
			s = rest
		default:
			return s[:min(len(s), 400)]
		}
	}
}

func acknowledged(first, second string) string {
	switch first {
	case "truncate":
		return "truncate table"
	case "discard":
		return strings.TrimSpace("discard " + second)
	case "lock":
		return "lock table"
	}
	return first
}

func (v *visit) transaction(first string) relations.Result {
	switch first {
	case "begin", "start":
		v.tx = 'T'
		return done(map[string]string{"begin": "BEGIN", "start": "START TRANSACTION"}[first])
	case "rollback":
		v.tx = 'I'
		return done("ROLLBACK")
	}
	verb := "COMMIT"
	if v.tx == 'E' {
		verb = "ROLLBACK"
	}
	v.tx = 'I'
	return done(verb)
}

func one(column, value string) relations.Result {
	return relations.Result{Verb: "SELECT", Count: 1, Columns: []relations.Column{{Name: column, Type: "text"}}, Rows: [][]relations.Value{{relations.Text(value)}}}
}

func (v *visit) show(what string) (relations.Result, *fault) {
	if s, ok := v.setting(what); ok {
		r := one(what, s)
		r.Verb = "SHOW"
		return r, nil
	}
	return relations.Result{}, &fault{code: "42704", text: `unrecognized configuration parameter "` + what + `"`, file: "guc.c", line: 5766, routine: "find_option"}
}

func (v *visit) setting(name string) (string, bool) {
	settings := map[string]string{
		"server_version": version, "server_version_num": "150020", "ssl": map[bool]string{true: "on", false: "off"}[v.tls != nil], "data_directory": "/var/lib/postgresql/15/main",
		"config_file": "/etc/postgresql/15/main/postgresql.conf", "hba_file": "/etc/postgresql/15/main/pg_hba.conf", "port": strconv.Itoa(int(v.s.Local.Port())), "listen_addresses": "*",
		"max_connections": "100", "shared_buffers": "128MB", "timezone": "Etc/UTC", "search_path": `"$user", public`, "client_encoding": "UTF8", "server_encoding": "UTF8",
		"is_superuser": "on", "standard_conforming_strings": "on", "transaction_isolation": "read committed", "transaction": "read committed", "log_destination": "stderr", "password_encryption": "scram-sha-256",
		"lc_collate": "en_US.UTF-8", "lc_ctype": "en_US.UTF-8", "shared_preload_libraries": "", "archive_mode": "off", "archive_command": "(disabled)", "wal_level": "replica", "session_authorization": v.user,
		"block_size": "8192", "cluster_name": "15/main", "external_pid_file": "/var/run/postgresql/15-main.pid", "fsync": "on", "work_mem": "4MB", "datestyle": "ISO, MDY", "unix_socket_directories": "/var/run/postgresql",
	}
	s, ok := settings[strings.ToLower(name)]
	return s, ok
}

var defined = regexp.MustCompile(`(?is)^\s*(create|drop)\s+(?:or\s+replace\s+)?(database|user|role|schema|function|extension|language|index|unique\s+index|view|sequence|type|trigger|operator|cast|server|tablespace|procedure|aggregate|event|policy)\s+(if\s+(?:not\s+)?exists\s+)?"?([^\s"(;]*)`)

// define is what CREATE and DROP do to other things than tables.
func (v *visit) define(s, first string) (relations.Result, *fault, bool) {
	m := defined.FindStringSubmatch(s[:min(len(s), 4096)])
	if m == nil {
		return relations.Result{}, nil, false
	}
	kind, called := strings.ToLower(m[2]), m[4]
	verb := strings.ToUpper(first) + " " + strings.ToUpper(strings.TrimPrefix(strings.Join(strings.Fields(kind), " "), "unique "))
	if kind == "user" {
		verb = strings.ToUpper(first) + " ROLE"
	}
	switch {
	case kind == "database" && first == "drop" && called == v.database:
		return relations.Result{}, &fault{code: "55006", text: "cannot drop the currently open database", file: "dbcommands.c", line: 1580, routine: "dropdb"}, true
	case kind == "database" && first == "drop" && m[3] == "" && called != v.c.Database && v.view.dbs[called] == nil:
		return relations.Result{}, &fault{code: "3D000", text: `database "` + called + `" does not exist`, file: "dbcommands.c", line: 1548, routine: "dropdb"}, true
	case kind == "function" && regexp.MustCompile(`(?is)\blanguage\s+'?c\b`).MatchString(s[:min(len(s), 4096)]):
		lib := "$libdir/x"
		if q := regexp.MustCompile(`(?is)\bas\s+'([^']{1,200})'`).FindStringSubmatch(s[:min(len(s), 4096)]); q != nil {
			lib = q[1]
		}
		return relations.Result{}, &fault{code: "58P01", text: `could not access file "` + lib + `": No such file or directory`, file: "dfmgr.c", line: 208, routine: "internal_load_library"}, true
	}
	return done(verb), nil, true
}

// worded turns an error of the small database into PostgreSQL's.
func worded(s string, err *relations.Error) *fault {
	if f, ok := errors.AsType[*fault](err.Cause); ok {
		return f
	}
	f := &fault{at: utf8.RuneCountInString(s[:min(err.At, len(s))]) + 1}
	switch err.Kind {
	case relations.NoTable:
		f.code, f.text, f.file, f.line, f.routine = "42P01", `relation "`+err.Name+`" does not exist`, "parse_relation.c", 1392, "parserOpenTable"
	case relations.NoColumn:
		what := `column "` + err.Name + `" does not exist`
		if err.Of != "" {
			what = "column " + err.Of + "." + err.Name + " does not exist"
		}
		f.code, f.text, f.file, f.line, f.routine = "42703", what, "parse_relation.c", 3665, "errorMissingColumn"
	case relations.NoFunction:
		f.code, f.text, f.file, f.line, f.routine = "42883", "function "+err.Name+"(unknown) does not exist", "parse_func.c", 629, "ParseFuncOrColumn"
		f.hint = "No function matches the given name and argument types. You might need to add explicit type casts."
	case relations.Exists:
		return &fault{code: "42P07", text: `relation "` + err.Name + `" already exists`, file: "heap.c", line: 1150, routine: "heap_create_with_catalog"}
	case relations.Columns:
		return &fault{code: "42601", text: "INSERT has more expressions than target columns", file: "analyze.c", line: 1017, routine: "transformInsertRow"}
	case relations.TooMuch:
		return &fault{code: "53100", text: "could not extend file \"base/16384/16402\": No space left on device", hint: "Check free disk space.", file: "md.c", line: 466, routine: "mdextend"}
	default:
		f.code, f.text, f.file, f.line, f.routine = "42601", `syntax error at or near "`+clip(err.Name, 200)+`"`, "scan.l", 1188, "scanner_yyerror"
		if err.Name == "" {
			f.text = "syntax error at end of input"
		}
	}
	return f
}

// dialect is what the small database asks this one.
type dialect struct{ v *visit }

func (dialect) Quotes() bool { return true }

func (dialect) Variable(string) (relations.Value, bool) { return relations.Null, false }

// Call knows the functions that visitors ask with.
func (d dialect) Call(name string, a []relations.Value) (relations.Value, bool, error) {
	v := d.v
	now := v.s.Clock.Now().UTC()
	switch name {
	case "version":
		return relations.Text(banner), true, nil
	case "current_user", "session_user", "user", "current_role":
		return relations.Text(v.user), true, nil
	case "current_database", "current_catalog":
		return relations.Text(v.database), true, nil
	case "current_schema":
		return relations.Text("public"), true, nil
	case "now", "current_timestamp", "clock_timestamp":
		return relations.Text(now.Format("2006-01-02 15:04:05.000000+00")), true, nil
	case "current_date":
		return relations.Text(now.Format("2006-01-02")), true, nil
	case "pg_backend_pid":
		return relations.Int(int64(v.pid)), true, nil
	case "inet_server_addr", "inet_client_addr":
		return relations.Text(map[bool]string{true: v.s.Local.Addr().String(), false: v.s.Source.Addr().String()}[name == "inet_server_addr"]), true, nil
	case "inet_server_port":
		return relations.Int(int64(v.s.Local.Port())), true, nil
	case "pg_sleep":
		v.s.Clock.Sleep(v.ctx, relations.Pause(a)) //nolint:errcheck // who leaves is seen elsewhere
		return relations.Text(""), true, nil
	case "current_setting":
		if len(a) > 0 {
			if s, ok := v.setting(a[0].S); ok {
				return relations.Text(s), true, nil
			}
		}
	case "pg_read_file", "pg_read_binary_file":
		if len(a) > 0 {
			data, err := v.host.M.FS.ReadFile(v.caller(), path(a[0].S), 64<<10)
			if err != nil {
				return relations.Null, false, &fault{code: "58P01", text: `could not open file "` + clip(a[0].S, 300) + `" for reading: ` + unixText(err), file: "genfile.c", line: 121, routine: "read_binary_file"}
			}
			return relations.Text(strings.ToValidUTF8(string(data), "?")), true, nil
		}
	case "pg_is_in_recovery", "has_table_privilege", "pg_table_is_visible":
		return relations.Text(map[bool]string{true: "f", false: "t"}[name == "pg_is_in_recovery"]), true, nil
	case "lo_import", "lo_create", "lo_from_bytea":
		return relations.Int(16_500 + int64(v.pid%97)), true, nil
	case "lo_export", "lo_unlink", "lowrite", "lo_put", "pg_reload_conf", "set_config", "pg_terminate_backend":
		return relations.Text("t"), true, nil
	}
	return relations.Null, false, nil
}

func path(p string) string {
	if strings.HasPrefix(p, "/") {
		return p
	}
	return "/var/lib/postgresql/15/main/" + p
}

func (v *visit) caller() vfs.Caller { return vfs.Caller{UID: uidPostgres, GID: gidPostgres} }

// Virtual are the tables of the catalogue that visitors read by themselves.
func (d dialect) Virtual(name string) *relations.Table {
	v := d.v
	cols := func(names ...string) (out []relations.Column) {
		for _, n := range names {
			out = append(out, relations.Column{Name: n, Type: "text"})
		}
		return out
	}
	t := relations.Text
	switch name {
	case "pg_database":
		tab := &relations.Table{Name: name, Columns: cols("oid", "datname", "datdba", "encoding", "datistemplate", "datallowconn", "datconnlimit")}
		for i, n := range v.databases() {
			tab.Rows = append(tab.Rows, []relations.Value{relations.Int(int64([]int{5, 16384, 4, 1, 16390}[min(i, 4)])), t(n), relations.Int(10), relations.Int(6), t(tf(strings.HasPrefix(n, "template"))), t(tf(n != "template0")), relations.Int(-1)})
		}
		return tab
	case "pg_user", "pg_shadow", "pg_roles", "pg_authid":
		pw := "********"
		if name == "pg_shadow" || name == "pg_authid" {
			pw = fmt.Sprintf("SCRAM-SHA-256$4096:%016x$", v.c.Seed*0x9e3779b97f4a7c15) // a salt with no verifier behind it: nothing to guess at
		}
		if name == "pg_roles" || name == "pg_authid" {
			return &relations.Table{Name: name, Columns: cols("rolname", "rolsuper", "rolinherit", "rolcreaterole", "rolcreatedb", "rolcanlogin", "rolreplication", "rolconnlimit", "rolpassword"), Rows: [][]relations.Value{
				{t("postgres"), t("t"), t("t"), t("t"), t("t"), t("t"), t("t"), relations.Int(-1), t(pw)}, {t("shop"), t("f"), t("t"), t("f"), t("f"), t("t"), t("f"), relations.Int(-1), t(pw)},
			}}
		}
		return &relations.Table{Name: name, Columns: cols("usename", "usesysid", "usecreatedb", "usesuper", "userepl", "usebypassrls", "passwd", "valuntil"), Rows: [][]relations.Value{
			{t("postgres"), relations.Int(10), t("t"), t("t"), t("t"), t("t"), t(pw), relations.Null}, {t("shop"), relations.Int(16385), t("f"), t("f"), t("f"), t("f"), t(pw), relations.Null},
		}}
	case "pg_tables", "tables":
		tab := &relations.Table{Name: name, Columns: cols("schemaname", "tablename", "tableowner", "table_schema", "table_name", "table_type", "table_catalog")}
		for _, x := range v.db().Tables() {
			tab.Rows = append(tab.Rows, []relations.Value{t("public"), t(x.Name), t("postgres"), t("public"), t(x.Name), t("BASE TABLE"), t(v.database)})
		}
		return tab
	case "columns":
		tab := &relations.Table{Name: name, Columns: cols("table_schema", "table_name", "column_name", "data_type", "ordinal_position")}
		for _, x := range v.db().Tables() {
			for i, c := range x.Columns {
				tab.Rows = append(tab.Rows, []relations.Value{t("public"), t(x.Name), t(c.Name), t(c.Type), relations.Int(int64(i + 1))})
			}
		}
		return tab
	case "pg_settings":
		tab := &relations.Table{Name: name, Columns: cols("name", "setting")}
		for _, n := range []string{"config_file", "data_directory", "hba_file", "listen_addresses", "port", "server_version", "ssl"} {
			s, _ := v.setting(n)
			tab.Rows = append(tab.Rows, []relations.Value{t(n), t(s)})
		}
		return tab
	}
	return nil
}

func tf(b bool) string { return map[bool]string{true: "t", false: "f"}[b] }

func (v *visit) databases() []string {
	out := []string{"postgres", v.c.Database, "template0", "template1"}
	for n := range v.view.dbs {
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

// catalogue answers what psql asks for \l, \d, \dt, \du and \dn: queries that
// join more than the small database can, known by the tables that they name.
func (v *visit) catalogue(s string) (relations.Result, bool) {
	if !strings.Contains(s, "pg_catalog.") {
		return relations.Result{}, false
	}
	t := relations.Text
	table := func(rows [][]relations.Value, names ...string) (relations.Result, bool) {
		r := relations.Result{Verb: "SELECT", Rows: rows, Count: len(rows)}
		for _, n := range names {
			r.Columns = append(r.Columns, relations.Column{Name: n, Type: "text"})
		}
		return r, true
	}
	switch {
	case strings.Contains(s, "FROM pg_catalog.pg_database d") && strings.Contains(s, `"Encoding"`):
		var rows [][]relations.Value
		names := v.databases()
		slices.Sort(names)
		for _, n := range names {
			acl := relations.Null
			if strings.HasPrefix(n, "template") {
				acl = t("=c/postgres\npostgres=CTc/postgres")
			}
			row := []relations.Value{t(n), t("postgres"), t("UTF8"), t("en_US.UTF-8"), t("en_US.UTF-8")}
			if strings.Contains(s, "ICU Locale") {
				row = append(row, relations.Null, t("libc"))
			}
			rows = append(rows, append(row, acl))
		}
		if strings.Contains(s, "ICU Locale") {
			return table(rows, "Name", "Owner", "Encoding", "Collate", "Ctype", "ICU Locale", "Locale Provider", "Access privileges")
		}
		return table(rows, "Name", "Owner", "Encoding", "Collate", "Ctype", "Access privileges")
	case strings.Contains(s, "FROM pg_catalog.pg_class c") && strings.Contains(s, `as "Schema"`):
		var rows [][]relations.Value
		if strings.Contains(s, "'r'") {
			for _, x := range v.db().Tables() {
				rows = append(rows, []relations.Value{t("public"), t(x.Name), t("table"), t("postgres")})
			}
		}
		return table(rows, "Schema", "Name", "Type", "Owner")
	case strings.Contains(s, "FROM pg_catalog.pg_roles r") && strings.Contains(s, "rolconnlimit"):
		return table([][]relations.Value{
			{t("postgres"), t("t"), t("t"), t("t"), t("t"), t("t"), relations.Int(-1), relations.Null, t("{}"), t("t"), t("t")},
			{t("shop"), t("f"), t("t"), t("f"), t("f"), t("t"), relations.Int(-1), relations.Null, t("{}"), t("f"), t("f")},
		}, "rolname", "rolsuper", "rolinherit", "rolcreaterole", "rolcreatedb", "rolcanlogin", "rolconnlimit", "rolvaliduntil", "memberof", "rolreplication", "rolbypassrls")
	case strings.Contains(s, "FROM pg_catalog.pg_namespace n") && strings.Contains(s, `"Owner"`):
		return table([][]relations.Value{{t("public"), t("pg_database_owner")}}, "Name", "Owner")
	case strings.Contains(s, "FROM pg_catalog.pg_proc p"):
		return table(nil, "Schema", "Name", "Result data type", "Argument data types", "Type")
	}
	return relations.Result{}, false
}
