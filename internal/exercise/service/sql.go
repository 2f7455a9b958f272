package service

import (
	"bytes"
	"fmt"

	"github.com/lapwing-defence/lapwing/internal/exercise/wire"
)

const sqlQueries = 1000 // of one connection

// answers are the rows to one of the questions that a range knows. Every other
// query is refused, and a decoy refuses all.
func (v *visit) answers(protocol, text string) (wire.SQLRows, bool) {
	h := v.c.Host
	var rows []string
	q := wire.SQLAsked(protocol, text)
	switch q {
	case "version":
		rows = []string{map[string]string{
			wire.ProtocolMySQL:    first(v.c.Banner, "8.0.36-0ubuntu0.22.04.1"),
			wire.ProtocolPostgres: "PostgreSQL 15.6 (Debian 15.6-0+deb12u1) on x86_64-pc-linux-gnu",
			wire.ProtocolMSSQL:    "Microsoft SQL Server 2019 (RTM) - 15.0.2000.5 (X64)",
		}[protocol]}
	case "databases":
		rows = append(map[string][]string{
			wire.ProtocolMySQL: {"information_schema", "mysql"}, wire.ProtocolPostgres: {"postgres", "template1"}, wire.ProtocolMSSQL: {"master", "tempdb"},
		}[protocol], "stock", "works")
	case "tables":
		rows = []string{"customers", "invoices", "orders", "staff"}
	case "users":
		rows = []string{map[string]string{wire.ProtocolMySQL: "root", wire.ProtocolPostgres: "postgres", wire.ProtocolMSSQL: "sa"}[protocol]}
		for _, list := range [][]Credential{h.c.Accept, v.c.Accept} {
			for _, c := range list {
				rows = append(rows, c.User)
			}
		}
	case "customers":
		for i := range 40 {
			rows = append(rows, fmt.Sprintf("Customer %d of the exercise", 1000+i))
		}
	}
	return wire.SQLRows{Column: q, Rows: rows}, q != "" && !v.decoy
}

// serveMySQL greets, judges the login and answers a few questions.
func serveMySQL(v *visit) error {
	h := v.c.Host
	var salt [20]byte
	for i := range salt {
		salt[i] = byte('!' + h.draw(90))
	}
	greeting := wire.MySQLGreeting(first(v.c.Banner, "8.0.36-0ubuntu0.22.04.1"), uint32(8+h.draw(5000)), salt)
	if err := v.send(wire.AppendMySQL(wire.MySQL{Body: greeting})); err != nil {
		return err
	}
	m, err := wire.ReadMySQL(v.r)
	if err != nil {
		return over(err)
	}
	l, err := wire.ParseMySQLLogin(m.Body)
	if err != nil {
		return err
	}
	j := v.prove(l.User, func(p string) bool { return l.Knows(p, salt) })
	if !j.ok {
		text := fmt.Sprintf("Access denied for user '%s'@'%s' (using password: %s)", clip(l.User, 80), v.src.Addr(), map[bool]string{true: "YES", false: "NO"}[len(l.Response) > 0])
		v.logged("mysql.error", "mysqld", "[Note] [MY-010926] [Server] "+text, authenticated(j, l.User))
		return v.send(wire.AppendMySQL(wire.MySQL{Seq: m.Seq + 1, Body: wire.MySQLError(1045, "28000", text)}))
	}
	v.logged("mysql.log", "mysqld", fmt.Sprintf("Connect %s@%s on %s using TCP/IP", l.User, v.src.Addr(), l.Database), authenticated(j, l.User))
	if err := v.send(wire.AppendMySQL(wire.MySQL{Seq: m.Seq + 1, Body: wire.MySQLOK()})); err != nil {
		return err
	}
	return v.mysqlQueries(l.User)
}

func (v *visit) mysqlQueries(user string) error {
	for range sqlQueries {
		m, err := wire.ReadMySQL(v.r)
		if err != nil || len(m.Body) == 0 || m.Body[0] == 1 { // COM_QUIT
			return over(err)
		}
		out := wire.MySQLOK()
		if m.Body[0] == 3 { // COM_QUERY
			v.asksSQL("mysqld", user, string(m.Body[1:]))
			if rows, ok := v.answers(wire.ProtocolMySQL, string(m.Body[1:])); ok {
				if err := v.send(wire.AppendMySQLAnswer(m.Seq, rows)); err != nil {
					return err
				}
				continue
			}
			out = wire.MySQLError(1142, "42000", "command denied to user '"+clip(user, 80)+"'")
		}
		if err := v.send(wire.AppendMySQL(wire.MySQL{Seq: m.Seq + 1, Body: out})); err != nil {
			return err
		}
	}
	return nil
}

// asksSQL logs a query.
func (v *visit) asksSQL(program, user, text string) {
	v.query("query", text)
	v.logged(program+".log", program, fmt.Sprintf("Query by %s: %s", user, clip(text, 500)), nil)
}

// servePostgres starts a session of protocol 3.0 and answers a few questions.
func servePostgres(v *visit) error {
	var user string
	for {
		m, err := wire.ReadPostgres(v.r, true)
		if err != nil {
			return over(err)
		}
		code, u, _, err := wire.PostgresStart(m)
		if err != nil {
			return err
		}
		if code == wire.PostgresVersion {
			user = u
			break
		}
		if code != wire.PostgresTLS {
			return fmt.Errorf("start code %d: %w", code, errMalformed)
		}
		if err := v.send([]byte("N")); err != nil {
			return err
		}
	}
	ok, err := v.postgresLogin(user)
	if !ok || err != nil {
		return err
	}
	return v.postgresQueries(user)
}

func (v *visit) postgresLogin(user string) (bool, error) {
	var salt [4]byte
	for i := range salt {
		salt[i] = byte(v.c.Host.draw(256))
	}
	if err := v.send(wire.AppendPostgres(wire.Postgres{Kind: 'R', Body: append([]byte{0, 0, 0, 5}, salt[:]...)})); err != nil {
		return false, err
	}
	m, err := wire.ReadPostgres(v.r, false)
	if err != nil {
		return false, over(err)
	}
	given := string(bytes.TrimRight(m.Body, "\x00"))
	j := v.prove(user, func(p string) bool { return m.Kind == 'p' && given == wire.PostgresHash(user, p, salt) })
	if !j.ok {
		text := fmt.Sprintf("password authentication failed for user %q", clip(user, 80))
		v.logged("postgresql.log", "postgres", "FATAL:  "+text, authenticated(j, user))
		return false, v.send(wire.AppendPostgres(wire.PostgresError("28P01", text)))
	}
	v.logged("postgresql.log", "postgres", fmt.Sprintf("LOG:  connection authorized: user=%s host=%s", user, v.src.Addr()), authenticated(j, user))
	out := wire.AppendPostgres(wire.Postgres{Kind: 'R', Body: []byte{0, 0, 0, 0}})
	out = append(out, wire.AppendPostgres(wire.Postgres{Kind: 'S', Body: []byte("server_version\x0015.6\x00")})...)
	return true, v.send(append(out, wire.AppendPostgres(wire.Postgres{Kind: 'Z', Body: []byte("I")})...))
}

func (v *visit) postgresQueries(user string) error {
	for range sqlQueries {
		m, err := wire.ReadPostgres(v.r, false)
		if err != nil || m.Kind == 'X' {
			return over(err)
		}
		if m.Kind != 'Q' {
			continue
		}
		text := string(bytes.TrimRight(m.Body, "\x00"))
		v.asksSQL("postgresql", user, text)
		if rows, ok := v.answers(wire.ProtocolPostgres, text); ok {
			if err := v.send(wire.AppendPostgresAnswer(rows)); err != nil {
				return err
			}
			continue
		}
		out := wire.AppendPostgres(wire.PostgresError("42501", "permission denied"))
		if err := v.send(append(out, wire.AppendPostgres(wire.Postgres{Kind: 'Z', Body: []byte("I")})...)); err != nil {
			return err
		}
	}
	return nil
}

// serveMSSQL goes through prelogin and login of TDS and answers a few questions.
func serveMSSQL(v *visit) error {
	h := v.c.Host
	in, user := false, ""
	for range sqlQueries {
		kind, b, err := wire.ReadTDS(v.r)
		if err != nil {
			return over(err)
		}
		var out []byte
		switch kind {
		case wire.TDSPrelogin:
			out = wire.TDSOptions([6]byte{15, 0, 0x07, 0xd0, 0, 0})
		case wire.TDSLogin:
			c, err := wire.ParseTDSLogin(b)
			if err != nil {
				return err
			}
			out = v.tdsLogin(c)
			in, _, _ = wire.TDSOutcome(out) // what was just written
			user = c.User
		case wire.TDSQuery:
			text := wire.TDSText(b)
			v.asksSQL("mssql", user, text)
			out = wire.TDSRefusal(229, "The permission was denied.", h.Name())
			if rows, ok := v.answers(wire.ProtocolMSSQL, text); ok && in {
				out = wire.TDSAnswer(rows)
			}
		default:
			return fmt.Errorf("TDS packet %#x: %w", kind, errMalformed)
		}
		if err := v.send(wire.AppendTDS(wire.TDSReply, out)); err != nil {
			return err
		}
	}
	return nil
}

func (v *visit) tdsLogin(c wire.TDSCredentials) []byte {
	h := v.c.Host
	j := v.admit(c.User, c.Password)
	id, text := 18456, fmt.Sprintf("Login failed for user '%s'.", clip(c.User, 80))
	if j.ok {
		id, text = 18454, fmt.Sprintf("Login succeeded for user '%s'. Connection made using SQL Server authentication.", clip(c.User, 80))
	}
	switch {
	case v.decoy:
	case h.records != nil:
		v.records(h.records.Application("MSSQLSERVER", id, clip(c.User, 80), "Data", fmt.Sprintf("%s [CLIENT: %s]", text, v.src.Addr())))
	default:
		v.logged("mssql.log", "sqlservr", fmt.Sprintf("Logon       %s [CLIENT: %s]", text, v.src.Addr()), authenticated(j, c.User))
	}
	if !j.ok {
		return wire.TDSRefusal(18456, text, h.Name())
	}
	return wire.TDSWelcome("Microsoft SQL Server", [4]byte{15, 0, 7, 208})
}
