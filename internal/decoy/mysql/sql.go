package mysql

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/decoy/relations"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// db is a database that the visitor names or uses.
func (v *visit) db(name string) *relations.DB {
	db := v.view.dbs[name]
	if db == nil {
		var tables []*relations.Table
		if name == v.c.Database {
			tables = relations.Company(v.c.Seed, v.c.Domain, v.s.Clock.Now().Truncate(24*time.Hour))
		}
		db = relations.New(nil, tables...)
		v.view.dbs[name] = db
	}
	db.Dialect = dialect{v}
	return db
}

func (v *visit) databases() []string {
	out := []string{"information_schema", "mysql", "performance_schema", v.c.Database, "sys"}
	for n := range v.view.dbs {
		if n != "" && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}

// list is a result of one column or more, all of text.
func list(columns []string, rows ...[]string) relations.Result {
	r := relations.Result{Verb: "SELECT", Columns: []relations.Column{}, Count: len(rows)}
	for _, c := range columns {
		r.Columns = append(r.Columns, relations.Column{Name: c, Type: "text"})
	}
	for _, row := range rows {
		var out []relations.Value
		for _, s := range row {
			if s == "\x00" {
				out = append(out, relations.Null)
			} else {
				out = append(out, relations.Text(s))
			}
		}
		r.Rows = append(r.Rows, out)
	}
	return r
}

var outfile = regexp.MustCompile(`(?is)\binto\s+(outfile|dumpfile)\s+('(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*")(.*)$`)

// run works one statement out.
func (v *visit) run(s string) (relations.Result, *fault) {
	words := strings.Fields(strings.ToLower(s[:min(len(s), 400)]))
	at := func(i int) string {
		if i < len(words) {
			return strings.Trim(words[i], "`;'\"")
		}
		return ""
	}
	switch at(0) {
	case "show":
		return v.show(words, at)
	case "use":
		if !slices.Contains(v.databases(), at(1)) {
			return relations.Result{}, unknownDatabase(at(1))
		}
		v.database = at(1)
		return relations.Result{}, nil
	case "set", "begin", "start", "commit", "rollback", "flush", "grant", "revoke", "lock", "unlock", "analyze", "optimize", "kill", "alter", "truncate", "do", "handler", "install", "uninstall", "change", "reset":
		return relations.Result{}, nil
	case "desc", "describe":
		return v.columns(at(1))
	case "load":
		return relations.Result{}, &fault{1290, "HY000", "The MariaDB server is running with the --local-infile=0 option so it cannot execute this statement"}
	case "create", "drop":
		if r, f, ok := v.define(s); ok {
			return r, f
		}
	case "select":
		if m := outfile.FindStringSubmatch(s); m != nil {
			return v.write(s[:len(s)-len(m[0])]+m[3], m[2], strings.EqualFold(m[1], "dumpfile"))
		}
	}
	db, f := v.current(s)
	if f != nil {
		return relations.Result{}, f
	}
	r, err := db.Exec(s)
	if err != nil {
		return relations.Result{}, v.worded(s, err)
	}
	return r, nil
}

var qualified = regexp.MustCompile("(?is)\\b(?:from|into|update|table)\\s+(?:if\\s+(?:not\\s+)?exists\\s+)?`?([a-z0-9_$]+)`?\\s*\\.")

// current is the database that a statement names, or the one in use.
func (v *visit) current(s string) (*relations.DB, *fault) {
	name := v.database
	if m := qualified.FindStringSubmatch(s[:min(len(s), 4096)]); m != nil {
		if name = strings.ToLower(m[1]); !slices.Contains(v.databases(), name) {
			return nil, unknownDatabase(m[1])
		}
	}
	return v.db(name), nil
}

var defined = regexp.MustCompile("(?is)^(create|drop)\\s+(?:or\\s+replace\\s+)?(database|schema|user|role|function|index|unique\\s+index|view|trigger|procedure|event|aggregate\\s+function)\\s+(if\\s+(?:not\\s+)?exists\\s+)?[`'\"]?([^\\s`'\"(;@]*)")

// define is what CREATE and DROP do to other things than tables.
func (v *visit) define(s string) (relations.Result, *fault, bool) {
	s = s[:min(len(s), 4096)]
	m := defined.FindStringSubmatch(s)
	if m == nil {
		return relations.Result{}, nil, false
	}
	create, kind, name := strings.EqualFold(m[1], "create"), strings.ToLower(m[2]), m[4]
	there := slices.Contains(v.databases(), name)
	switch {
	case kind == "database" || kind == "schema":
		switch {
		case create && there && m[3] == "":
			return relations.Result{}, &fault{1007, "HY000", "Can't create database '" + name + "'; database exists"}, true
		case !create && !there && m[3] == "":
			return relations.Result{}, &fault{1008, "HY000", "Can't drop database '" + name + "'; database doesn't exist"}, true
		case create:
			if len(v.view.dbs) < 64 {
				v.db(clip(name, 64))
			}
		default:
			v.view.dbs[name] = relations.New(nil) // empty from now on; its name stays, which is the lesser give-away
		}
		return relations.Result{Count: 1}, nil, true
	case strings.Contains(kind, "function"):
		if lib := regexp.MustCompile(`(?is)\bsoname\s+['"]([^'"]{1,200})['"]`).FindStringSubmatch(s); lib != nil {
			return relations.Result{}, &fault{1126, "HY000", fmt.Sprintf("Can't open shared library '%s' (errno: 2, cannot open shared object file: No such file or directory)", lib[1])}, true
		}
	}
	return relations.Result{}, nil, true
}

func (v *visit) show(words []string, at func(int) string) (relations.Result, *fault) {
	what := at(1)
	if what == "full" || what == "global" || what == "session" {
		words = slices.Delete(slices.Clone(words), 1, 2)
		what = strings.Trim(words[min(1, len(words)-1)], "`;")
	}
	pattern := "%"
	for i, w := range words {
		if w == "like" && i+1 < len(words) {
			pattern = strings.Trim(words[i+1], "'\"`;")
		}
	}
	switch what {
	case "databases", "schemas":
		return column("Database", v.databases()), nil
	case "tables":
		return v.showTables(words)
	case "columns", "fields":
		return v.columns(strings.Trim(words[min(3, len(words)-1)], "`;'\""))
	case "variables", "status":
		return v.showVariables(pattern), nil
	case "grants":
		return list([]string{"Grants for " + v.user + "@%"}, []string{"GRANT ALL PRIVILEGES ON *.* TO `" + v.user + "`@`%` IDENTIFIED BY PASSWORD '*0000000000000000000000000000000000000000' WITH GRANT OPTION"}), nil
	case "processlist":
		return list([]string{"Id", "User", "Host", "db", "Command", "Time", "State", "Info", "Progress"}, []string{strconv.Itoa(int(v.thread)), v.user, v.s.Source.String(), v.database, "Query", "0", "starting", "show processlist", "0.000"}), nil
	case "warnings", "errors":
		return list([]string{"Level", "Code", "Message"}), nil
	case "engines":
		return list([]string{"Engine", "Support", "Comment", "Transactions", "XA", "Savepoints"}, []string{"InnoDB", "DEFAULT", "Supports transactions, row-level locking, foreign keys and encryption for tables", "YES", "YES", "YES"}), nil
	case "plugins", "triggers", "events", "master", "slave", "binary":
		return list([]string{"Name"}), nil
	case "create":
		return v.showCreate(at(3))
	}
	return relations.Result{}, syntaxNear(strings.Join(words[min(1, len(words)):], " "))
}

func column(name string, values []string) relations.Result {
	rows := make([][]string, len(values))
	for i, s := range values {
		rows[i] = []string{s}
	}
	return list([]string{name}, rows...)
}

func (v *visit) showTables(words []string) (relations.Result, *fault) {
	name := v.database
	for i, w := range words {
		if (w == "from" || w == "in") && i+1 < len(words) {
			name = strings.Trim(words[i+1], "`;")
		}
	}
	if name == "" {
		return relations.Result{}, noDatabase()
	}
	if !slices.Contains(v.databases(), name) {
		return relations.Result{}, unknownDatabase(name)
	}
	var names []string
	for _, t := range v.db(name).Tables() {
		names = append(names, t.Name)
	}
	if name == "mysql" {
		names = []string{"column_stats", "db", "event", "func", "general_log", "global_priv", "help_topic", "plugin", "proc", "servers", "slow_log", "tables_priv", "user"}
	}
	return column("Tables_in_"+name, names), nil
}

func noDatabase() *fault { return &fault{1046, "3D000", "No database selected"} }

func (v *visit) find(table string) *relations.Table {
	for _, t := range v.db(v.database).Tables() {
		if strings.EqualFold(t.Name, table) {
			return t
		}
	}
	return nil
}

func (v *visit) noTable(name string) *fault {
	return &fault{1146, "42S02", "Table '" + v.database + "." + name + "' doesn't exist"}
}

func (v *visit) columns(table string) (relations.Result, *fault) {
	if v.database == "" {
		return relations.Result{}, noDatabase()
	}
	t := v.find(table)
	if t == nil {
		return relations.Result{}, v.noTable(table)
	}
	var rows [][]string
	for i, c := range t.Columns {
		key := ""
		if i == 0 && c.Name == "id" {
			key = "PRI"
		}
		rows = append(rows, []string{c.Name, typeName(c.Type), map[bool]string{true: "NO", false: "YES"}[key != ""], key, "\x00", ""})
	}
	return list([]string{"Field", "Type", "Null", "Key", "Default", "Extra"}, rows...), nil
}

func typeName(t string) string {
	switch t {
	case "integer", "int":
		return "int(11)"
	case "numeric":
		return "decimal(10,2)"
	case "timestamp":
		return "datetime"
	}
	return "varchar(255)"
}

func (v *visit) showCreate(table string) (relations.Result, *fault) {
	t := v.find(table)
	if t == nil {
		return relations.Result{}, v.noTable(table)
	}
	var b strings.Builder
	b.WriteString("CREATE TABLE `" + t.Name + "` (\n")
	for i, c := range t.Columns {
		b.WriteString("  `" + c.Name + "` " + typeName(c.Type) + map[bool]string{true: " NOT NULL", false: " DEFAULT NULL"}[i == 0])
		b.WriteString(map[bool]string{true: "\n", false: ",\n"}[i == len(t.Columns)-1])
	}
	b.WriteString(") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci")
	return list([]string{"Table", "Create Table"}, []string{t.Name, b.String()}), nil
}

// variables are those that clients and visitors ask for.
func (v *visit) variables() map[string]string {
	return map[string]string{
		"version": version, "version_comment": "Debian 12", "version_compile_os": "debian-linux-gnu", "version_compile_machine": "x86_64", "hostname": v.s.Host.Persona().Hostname,
		"datadir": "/var/lib/mysql/", "basedir": "/usr", "plugin_dir": "/usr/lib/mysql/plugin/", "secure_file_priv": "", "tmpdir": "/tmp", "socket": "/run/mysqld/mysqld.sock",
		"port": strconv.Itoa(int(v.s.Local.Port())), "max_allowed_packet": "16777216", "character_set_client": "utf8mb4", "character_set_server": "utf8mb4", "collation_server": "utf8mb4_general_ci",
		"sql_mode": "STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_AUTO_CREATE_USER,NO_ENGINE_SUBSTITUTION", "autocommit": "1", "have_ssl": "DISABLED", "local_infile": "OFF", "general_log": "OFF",
		"general_log_file": v.s.Host.Persona().Hostname + ".log", "lower_case_table_names": "0", "wait_timeout": "28800", "interactive_timeout": "28800", "tx_isolation": "REPEATABLE-READ",
		"license": "GPL", "protocol_version": "10", "log_bin": "OFF", "skip_networking": "OFF", "system_time_zone": "UTC", "time_zone": "SYSTEM", "innodb_version": "10.11.14", "server_id": "1", "read_only": "OFF",
	}
}

func (v *visit) showVariables(pattern string) relations.Result {
	re := regexp.MustCompile("(?i)^" + strings.NewReplacer("%", ".*", "_", ".").Replace(regexp.QuoteMeta(clip(pattern, 128))) + "$")
	var rows [][]string
	for k, s := range v.variables() {
		if re.MatchString(k) {
			rows = append(rows, []string{k, s})
		}
	}
	slices.SortFunc(rows, func(a, b []string) int { return strings.Compare(a[0], b[0]) })
	return list([]string{"Variable_name", "Value"}, rows...)
}

// write is SELECT ... INTO OUTFILE or DUMPFILE: into the fake host's file system
// as this source sees it, and into the captures.
func (v *visit) write(q, quoted string, raw bool) (relations.Result, *fault) {
	db, f := v.current(q)
	if f != nil {
		return relations.Result{}, f
	}
	r, err := db.Exec(q)
	if err != nil {
		return relations.Result{}, v.worded(q, err)
	}
	var b bytes.Buffer
	for _, row := range r.Rows {
		for i, x := range row {
			if i > 0 && !raw {
				b.WriteByte('\t')
			}
			b.WriteString(x.S)
		}
		if !raw {
			b.WriteByte('\n')
		}
	}
	name := strings.NewReplacer(`\\`, `\`, `\'`, "'").Replace(quoted[1 : len(quoted)-1])
	where := name
	if !strings.HasPrefix(where, "/") {
		where = "/var/lib/mysql/" + where
	}
	v.rec.Capture(where, bytes.NewReader(b.Bytes()), "into outfile")
	if _, err := v.host.M.FS.Stat(vfs.Root(), where); err == nil {
		return relations.Result{}, &fault{1086, "HY000", "File '" + name + "' already exists"}
	}
	if _, err := v.host.M.FS.Stat(vfs.Root(), path.Dir(path.Clean(where))); err != nil {
		return relations.Result{}, &fault{1, "HY000", "Can't create/write to file '" + name + "' (Errcode: 2 \"No such file or directory\")"}
	}
	if err := v.host.M.FS.WriteFile(vfs.Root(), where, b.Bytes(), 0o644); err != nil {
		return relations.Result{}, &fault{1, "HY000", "Can't create/write to file '" + name + "' (Errcode: 13 \"Permission denied\")"}
	}
	return relations.Result{Count: len(r.Rows)}, nil
}

func syntaxNear(near string) *fault {
	return &fault{1064, "42000", "You have an error in your SQL syntax; check the manual that corresponds to your MariaDB server version for the right syntax to use near '" + clip(near, 80) + "' at line 1"}
}

// worded turns an error of the small database into MariaDB's.
func (v *visit) worded(s string, err *relations.Error) *fault {
	if f, ok := errors.AsType[*fault](err.Cause); ok {
		return f
	}
	switch err.Kind {
	case relations.NoTable:
		if v.database == "" && err.Of == "" {
			return noDatabase()
		}
		return v.noTable(err.Name)
	case relations.NoColumn:
		return &fault{1054, "42S22", "Unknown column '" + err.Name + "' in 'field list'"}
	case relations.NoFunction:
		return &fault{1305, "42000", "FUNCTION " + v.database + "." + err.Name + " does not exist"}
	case relations.NoVariable:
		return &fault{1193, "HY000", "Unknown system variable '" + err.Name + "'"}
	case relations.Exists:
		return &fault{1050, "42S01", "Table '" + err.Name + "' already exists"}
	case relations.Columns:
		return &fault{1136, "21S01", "Column count doesn't match value count at row 1"}
	case relations.TooMuch:
		return &fault{1114, "HY000", "The table '" + err.Name + "' is full"}
	}
	return syntaxNear(s[min(max(err.At, 0), len(s)):])
}

// dialect is what the small database asks this one.
type dialect struct{ v *visit }

func (dialect) Quotes() bool { return false }

func (d dialect) Variable(name string) (relations.Value, bool) {
	s, ok := d.v.variables()[name]
	return relations.Text(s), ok
}

// Call knows the functions that visitors ask with.
func (d dialect) Call(name string, a []relations.Value) (relations.Value, bool, error) {
	v := d.v
	switch name {
	case "version":
		return relations.Text(version), true, nil
	case "database", "schema":
		if v.database == "" {
			return relations.Null, true, nil
		}
		return relations.Text(v.database), true, nil
	case "user", "session_user", "system_user":
		return relations.Text(v.user + "@" + v.s.Source.Addr().String()), true, nil
	case "current_user":
		return relations.Text(v.user + "@%"), true, nil
	case "connection_id":
		return relations.Int(int64(v.thread)), true, nil
	case "now", "current_timestamp", "sysdate":
		return relations.Text(v.s.Clock.Now().UTC().Format("2006-01-02 15:04:05")), true, nil
	case "sleep":
		v.s.Clock.Sleep(v.ctx, relations.Pause(a)) //nolint:errcheck // who leaves is seen elsewhere
		return relations.Int(0), true, nil
	case "benchmark":
		return relations.Int(0), true, nil
	case "load_file":
		if len(a) == 1 {
			if data, err := v.host.M.FS.ReadFile(vfs.Caller{UID: 108, GID: 115}, a[0].S, 64<<10); err == nil {
				return relations.Text(string(data)), true, nil
			}
		}
		return relations.Null, true, nil
	}
	return relations.Null, false, nil
}

// Virtual are the tables of information_schema and mysql that visitors read.
func (d dialect) Virtual(name string) *relations.Table {
	v := d.v
	t := relations.Text
	cols := func(names ...string) (out []relations.Column) {
		for _, n := range names {
			out = append(out, relations.Column{Name: n, Type: "text"})
		}
		return out
	}
	switch name {
	case "schemata":
		tab := &relations.Table{Name: name, Columns: cols("CATALOG_NAME", "SCHEMA_NAME", "DEFAULT_CHARACTER_SET_NAME")}
		for _, n := range v.databases() {
			tab.Rows = append(tab.Rows, []relations.Value{t("def"), t(n), t("utf8mb4")})
		}
		return tab
	case "tables":
		tab := &relations.Table{Name: name, Columns: cols("TABLE_SCHEMA", "TABLE_NAME", "TABLE_TYPE", "ENGINE", "TABLE_ROWS")}
		for _, x := range v.db(v.c.Database).Tables() {
			tab.Rows = append(tab.Rows, []relations.Value{t(v.c.Database), t(x.Name), t("BASE TABLE"), t("InnoDB"), relations.Int(int64(len(x.Rows)))})
		}
		return tab
	case "columns":
		tab := &relations.Table{Name: name, Columns: cols("TABLE_SCHEMA", "TABLE_NAME", "COLUMN_NAME", "DATA_TYPE")}
		for _, x := range v.db(v.c.Database).Tables() {
			for _, c := range x.Columns {
				tab.Rows = append(tab.Rows, []relations.Value{t(v.c.Database), t(x.Name), t(c.Name), t(typeName(c.Type))})
			}
		}
		return tab
	case "user":
		return &relations.Table{Name: name, Columns: cols("Host", "User", "Password", "plugin", "authentication_string"), Rows: [][]relations.Value{
			{t("localhost"), t("root"), t("invalid"), t("unix_socket"), t("invalid")},
			{t("%"), t("root"), t("invalid"), t("mysql_native_password"), t("invalid")},
			{t("localhost"), t("mariadb.sys"), t(""), t("mysql_native_password"), t("")},
			{t("%"), t(v.c.Database), t("invalid"), t("mysql_native_password"), t("invalid")},
		}}
	case "dual":
		return &relations.Table{Name: name, Columns: cols("dummy"), Rows: [][]relations.Value{{t("X")}}}
	}
	return nil
}
