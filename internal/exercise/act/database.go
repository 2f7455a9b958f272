package act

import (
	"context"
	"errors"
	"fmt"

	"github.com/lapwing-defence/lapwing/internal/exercise/wire"
)

// LDAPBind binds with user and password.
func (a *Actor) LDAPBind(ctx context.Context, t Target, l Login) LoggedIn {
	return a.login(ctx, "ldap.bind", t, l, func(_ *run, c *conn, cred Credential) (bool, []string, error) {
		if in, err := c.bind(cred); !in {
			return false, nil, err
		}
		return true, nil, c.send(wire.AppendLDAP(wire.LDAPMessage{ID: 2, Op: wire.LDAPUnbind}))
	})
}

// bind binds to a directory; in says whether the password was right.
func (c *conn) bind(cred Credential) (in bool, err error) {
	if err := c.send(wire.AppendLDAP(wire.LDAPMessage{ID: 1, Op: wire.LDAPBind, DN: cred.User, Password: cred.Password})); err != nil {
		return false, err
	}
	code, err := wire.ReadLDAPResult(c.buf)
	return err == nil && code == wire.LDAPSuccess, err
}

// LDAPSearch binds and asks a directory for the names of all entries of a class
// ("user", "computer"; "" every one) below base. Output are their names.
func (a *Actor) LDAPSearch(ctx context.Context, t Target, l Login, base, class string) LoggedIn {
	if err := errors.Join(plain("a base", base, 512), plain("a class", class, 64)); err != nil {
		var out LoggedIn
		a.begin(ctx, "ldap.search", &out.Outcome).end(err)
		return out
	}
	return a.login(ctx, "ldap.search", t, l, func(_ *run, c *conn, cred Credential) (bool, []string, error) {
		if in, err := c.bind(cred); !in {
			return false, nil, err
		}
		if err := c.send(wire.AppendLDAP(wire.LDAPMessage{ID: 2, Op: wire.LDAPSearch, DN: base, Class: class})); err != nil {
			return true, nil, err
		}
		var names []string
		for size := 0; size < maxOutput; {
			dn, done, code, err := wire.ReadLDAPFound(c.buf)
			switch {
			case err != nil:
				return true, names, err
			case done && code != wire.LDAPSuccess:
				return true, names, fmt.Errorf("a search below %q: code %d: %w", base, code, errRefused)
			case done:
				return true, names, c.send(wire.AppendLDAP(wire.LDAPMessage{ID: 3, Op: wire.LDAPUnbind}))
			}
			size += len(dn) + 16
			names = append(names, dn)
		}
		return true, names, nil
	})
}

// SQLLogin logs in to mysql, postgres or mssql.
func (a *Actor) SQLLogin(ctx context.Context, t Target, protocol string, l Login) LoggedIn {
	return a.sql(ctx, "sql.login", t, l, protocol, nil)
}

// SQLQuery logs in and asks questions of wire.SQLQuestions. Output are the
// version of the server and the rows that came.
func (a *Actor) SQLQuery(ctx context.Context, t Target, protocol string, l Login, ask []string) LoggedIn {
	return a.sql(ctx, "sql.query", t, l, protocol, ask)
}

// database is how a protocol of SQL logs in, asks and leaves.
type database struct {
	login session
	ask   func(c *conn, text string) (rows []string, ok bool, err error)
	bye   []byte
}

func (a *Actor) sql(ctx context.Context, action string, t Target, l Login, protocol string, ask []string) LoggedIn {
	db, known := map[string]database{
		wire.ProtocolMySQL:    {mysqlLogin, mysqlAsk, wire.AppendMySQL(wire.MySQL{Body: []byte{1}})},
		wire.ProtocolPostgres: {postgresLogin, postgresAsk, wire.AppendPostgres(wire.Postgres{Kind: 'X'})},
		wire.ProtocolMSSQL:    {mssqlLogin, mssqlAsk, nil},
	}[protocol]
	err := error(nil)
	if !known {
		err = fmt.Errorf("protocol %q: mysql, postgres or mssql: %w", protocol, errWrong)
	}
	for _, q := range ask {
		if known && wire.SQLText(protocol, q) == "" {
			err = fmt.Errorf("the question %q: one of %v: %w", q, wire.SQLQuestions(), errWrong)
		}
	}
	if err != nil {
		var out LoggedIn
		a.begin(ctx, action, &out.Outcome).end(err)
		return out
	}
	return a.login(ctx, action, t, l, func(r *run, c *conn, cred Credential) (bool, []string, error) {
		in, said, err := db.login(r, c, cred)
		if !in || err != nil {
			return in, said, err
		}
		for i, q := range ask {
			if i > 0 && r.pause(l.Delay, l.Jitter) != nil {
				return true, said, r.ctx.Err()
			}
			rows, ok, err := db.ask(c, wire.SQLText(protocol, q))
			if err == nil && !ok {
				err = fmt.Errorf("the question for %s: %w", q, errRefused)
			}
			if err != nil {
				return true, said, err
			}
			said = append(said, rows...)
		}
		return true, said, c.send(db.bye)
	})
}

func mysqlAsk(c *conn, text string) ([]string, bool, error) {
	if err := c.send(wire.AppendMySQL(wire.MySQL{Body: append([]byte{3}, text...)})); err != nil {
		return nil, false, err
	}
	return wire.ReadMySQLAnswer(c.buf)
}

func postgresAsk(c *conn, text string) ([]string, bool, error) {
	if err := c.send(wire.AppendPostgres(wire.Postgres{Kind: 'Q', Body: append([]byte(text), 0)})); err != nil {
		return nil, false, err
	}
	return wire.ReadPostgresAnswer(c.buf)
}

func mssqlAsk(c *conn, text string) ([]string, bool, error) {
	if err := c.send(wire.AppendTDS(wire.TDSQuery, wire.TDSAsk(text))); err != nil {
		return nil, false, err
	}
	_, b, err := wire.ReadTDS(c.buf)
	if err != nil {
		return nil, false, err
	}
	return wire.ParseTDSAnswer(b)
}

func mysqlLogin(_ *run, c *conn, cred Credential) (bool, []string, error) {
	g, err := wire.ReadMySQL(c.buf)
	if err != nil {
		return false, nil, err
	}
	version, salt, err := wire.ParseMySQLGreeting(g.Body)
	if err != nil {
		return false, nil, err
	}
	if err := c.send(wire.AppendMySQL(wire.MySQL{Seq: g.Seq + 1, Body: wire.AppendMySQLLogin(cred.User, cred.Password, salt)})); err != nil {
		return false, nil, err
	}
	m, err := wire.ReadMySQL(c.buf)
	if err != nil || len(m.Body) == 0 || m.Body[0] != 0 {
		return false, nil, err
	}
	return true, []string{version}, nil
}

func postgresLogin(_ *run, c *conn, cred Credential) (bool, []string, error) {
	if err := c.send(wire.AppendPostgres(wire.PostgresHello(cred.User, "postgres"))); err != nil {
		return false, nil, err
	}
	m, err := wire.ReadPostgres(c.buf, false)
	if err != nil {
		return false, nil, err
	}
	if m.Kind != 'R' || len(m.Body) != 8 || m.Body[3] != 5 {
		return false, nil, fmt.Errorf("a question for a password: %w", wire.ErrMalformed)
	}
	hash := wire.PostgresHash(cred.User, cred.Password, [4]byte(m.Body[4:8]))
	if err := c.send(wire.AppendPostgres(wire.Postgres{Kind: 'p', Body: append([]byte(hash), 0)})); err != nil {
		return false, nil, err
	}
	if m, err = wire.ReadPostgres(c.buf, false); err != nil || m.Kind != 'R' {
		return false, nil, err
	}
	_, ready, err := wire.ReadPostgresAnswer(c.buf)
	return ready, nil, err
}

func mssqlLogin(r *run, c *conn, cred Credential) (bool, []string, error) {
	if err := c.send(wire.AppendTDS(wire.TDSPrelogin, wire.TDSOptions([6]byte{11}))); err != nil {
		return false, nil, err
	}
	_, b, err := wire.ReadTDS(c.buf)
	if err != nil {
		return false, nil, err
	}
	version, err := wire.TDSVersion(b)
	if err != nil {
		return false, nil, err
	}
	login := wire.TDSCredentials{Host: r.c.Host, User: cred.User, Password: cred.Password, App: "client"}
	if err := c.send(wire.AppendTDS(wire.TDSLogin, wire.AppendTDSLogin(login))); err != nil {
		return false, nil, err
	}
	_, b, err = wire.ReadTDS(c.buf)
	if err != nil {
		return false, nil, err
	}
	ok, _, err := wire.TDSOutcome(b)
	return ok, []string{version}, err
}
