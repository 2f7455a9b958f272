// Package postgres is a decoy that speaks PostgreSQL's protocol 3.0 as Debian
// 12's PostgreSQL 15 does, with a pg_hba.conf that asks for passwords in clear.
// Behind the login are the tables of a small firm. What a visitor changes only
// he sees; COPY ... PROGRAM runs in the fake host's shell, and nowhere else.
package postgres

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/lapwing-defence/lapwing/internal/decoy"
	"github.com/lapwing-defence/lapwing/internal/decoy/access"
	"github.com/lapwing-defence/lapwing/internal/decoy/record"
	"github.com/lapwing-defence/lapwing/internal/decoy/relations"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/host"
)

// LogConnection is OpenCanary's number of a connection: it has none for PostgreSQL.
const LogConnection = 0

// What the server claims to be.
const (
	version = "15.20 (Debian 15.20-0+deb12u1)"
	banner  = "PostgreSQL 15.20 (Debian 15.20-0+deb12u1) on x86_64-pc-linux-gnu, compiled by gcc (Debian 12.2.0-14+deb12u1) 12.2.0, 64-bit"
)

// Limits.
const (
	maxStartup    = 10_000      // bytes of the first message, as in PostgreSQL
	maxBody       = 4 << 20     // bytes of one message
	authTime      = time.Minute // authentication_timeout
	maxSources    = 256
	maxStatements = 200 // of one message
	maxRequests   = 20_000
	maxPrepared   = 200
)

// Config is what New takes.
type Config struct {
	Door        *access.Door
	Database    string           // of the application, beside postgres
	Domain      string           // of the firm in the tables
	Certificate *tls.Certificate // nil: SSL is refused
	Seed        uint64
}

// Server is the decoy.
type Server struct {
	c   Config
	tls *tls.Config

	views decoy.Views[*view]

	mu   sync.Mutex
	next uint32
}

var _ decoy.Decoy = (*Server)(nil)

// view is the databases as one source sees them.
type view struct {
	mu  sync.Mutex
	dbs map[string]*relations.DB
}

func newView() *view { return &view{dbs: map[string]*relations.DB{}} }

// New makes a Server.
func New(c Config) *Server {
	if c.Database == "" {
		c.Database = "shop"
	}
	d := &Server{c: c, views: decoy.Views[*view]{Max: maxSources}}
	if c.Certificate != nil {
		d.tls = &tls.Config{Certificates: []tls.Certificate{*c.Certificate}, MinVersion: tls.VersionTLS12}
	}
	return d
}

// visit is one connection.
type visit struct {
	*Server
	s    *decoy.Session
	ctx  context.Context //nolint:containedctx // of the connection
	last context.Context //nolint:containedctx // outlives the connection, for its last events
	host *host.Visit
	conn net.Conn
	b    *pgproto3.Backend
	rec  *record.Session
	view *view

	user, database, app string
	pid                 uint32
	tx                  byte // I, T, E
	failed              bool // an error of the extended protocol: nothing is done until Sync
	prepared            map[string]string
	portals             map[string]string
	copying             *copying
}

// Serve speaks with one visitor.
func (d *Server) Serve(ctx context.Context, s *decoy.Session) error {
	v := &visit{Server: d, s: s, ctx: ctx, last: context.WithoutCancel(ctx), conn: s.Conn, tx: 'I', prepared: map[string]string{}, portals: map[string]string{}}
	v.host = s.Host.Visit(ctx, s.Source.Addr())
	defer v.host.Close()
	defer v.close()
	stop := context.AfterFunc(ctx, func() { s.Conn.Close() }) //nolint:errcheck // ends the read
	defer stop()
	s.Conn.SetReadDeadline(s.Clock.Now().Add(authTime)) //nolint:errcheck // a failed read follows
	first, err := v.startup()
	if err != nil || first == nil {
		return decoy.Quiet(err)
	}
	ok, err := v.authenticate(first)
	if err != nil || !ok {
		return decoy.Quiet(err)
	}
	v.view = d.views.Get(host.Key(s.Source.Addr()), s.Clock.Now(), newView)
	v.rec = record.New(v.last, s, v.user, "postgres")
	return decoy.Quiet(v.session())
}

func (v *visit) close() {
	if v.rec != nil {
		v.rec.Close(v.host, "")
	}
}

// The codes that stand in place of a version.
const (
	codeSSL    = 80877103
	codeGSS    = 80877104
	codeCancel = 80877102
)

// startup reads first messages until one is a StartupMessage; nil ends the visit.
func (v *visit) startup() (*pgproto3.StartupMessage, error) {
	for range 4 {
		var head [8]byte
		if _, err := io.ReadFull(v.conn, head[:]); err != nil {
			return nil, err
		}
		size, code := binary.BigEndian.Uint32(head[:]), binary.BigEndian.Uint32(head[4:])
		if size < 8 || size > maxStartup {
			v.broken("a first message of a wrong length")
			return nil, nil //nolint:nilnil // it ends here
		}
		body := make([]byte, size-8)
		if _, err := io.ReadFull(v.conn, body); err != nil {
			return nil, err
		}
		switch {
		case code == codeSSL:
			if err := v.secure(); err != nil {
				return nil, err
			}
		case code == codeGSS:
			if _, err := v.conn.Write([]byte("N")); err != nil {
				return nil, err
			}
		case code == codeCancel:
			return nil, nil //nolint:nilnil // such a client leaves
		case code>>16 != 3:
			return nil, v.otherProtocol(code)
		default:
			if code&0xffff != 0 { // NegotiateProtocolVersion: no newer minor version than 0
				if _, err := v.conn.Write([]byte("v\x00\x00\x00\x0c\x00\x03\x00\x00\x00\x00\x00\x00")); err != nil {
					return nil, err
				}
			}
			m := &pgproto3.StartupMessage{}
			if len(body) == 1 && body[0] == 0 { // no parameter at all
				return m, nil
			}
			if err := m.Decode(append(binary.BigEndian.AppendUint32(nil, code&0xffff0000), body...)); err != nil {
				v.broken("a startup message that is none")
				return nil, nil //nolint:nilnil,nilerr // it ends here
			}
			return m, nil
		}
	}
	v.broken("no startup message")
	return nil, nil //nolint:nilnil // it ends here
}

// otherProtocol answers who speaks another protocol than 3: before it, errors were a line of text.
func (v *visit) otherProtocol(code uint32) error {
	spoken := fmt.Sprintf("%d.%d", code>>16, code&0xffff)
	v.broken("protocol " + spoken)
	text := "unsupported frontend protocol " + spoken + ": server supports 3.0 to 3.0"
	if code>>16 < 3 {
		_, err := io.WriteString(v.conn, "EFATAL:  "+text+"\n\x00")
		return err
	}
	v.b = pgproto3.NewBackend(v.conn, v.conn)
	v.fatal("0A000", text, "postmaster.c", 2220, "ProcessStartupPacket")
	return v.b.Flush()
}

func (v *visit) broken(why string) { record.Broken(v.last, v.s, why) }

// secure answers a request for SSL.
func (v *visit) secure() error {
	if _, already := v.conn.(*tls.Conn); v.tls == nil || already {
		_, err := v.conn.Write([]byte("N"))
		return err
	}
	if _, err := v.conn.Write([]byte("S")); err != nil {
		return err
	}
	c := tls.Server(v.conn, v.tls)
	if err := c.HandshakeContext(v.ctx); err != nil {
		return err
	}
	v.conn = c
	return nil
}

// authenticate asks for a password in clear.
func (v *visit) authenticate(m *pgproto3.StartupMessage) (bool, error) {
	v.b = pgproto3.NewBackend(v.conn, v.conn)
	v.b.SetMaxBodyLen(maxBody)
	v.user, v.database, v.app = clip(m.Parameters["user"], 63), clip(m.Parameters["database"], 63), clip(m.Parameters["application_name"], 63)
	e := v.s.Event(event.ActionClientIdentified)
	e.Depth = event.DepthTouch
	e.Add("user_agent.original", v.app)
	v.s.Post(v.last, e)
	if v.user == "" {
		v.fatal("28000", "no PostgreSQL user name specified in startup packet", "postmaster.c", 2349, "ProcessStartupPacket")
		return false, v.b.Flush()
	}
	if v.database == "" {
		v.database = v.user
	}
	v.b.Send(&pgproto3.AuthenticationCleartextPassword{})
	if err := v.b.Flush(); err != nil {
		return false, err
	}
	if err := v.b.SetAuthType(pgproto3.AuthTypeCleartextPassword); err != nil {
		return false, err
	}
	msg, err := v.b.Receive()
	if err != nil {
		return false, err
	}
	pw, ok := msg.(*pgproto3.PasswordMessage)
	if !ok {
		v.fatal("08P01", "expected password response, got message type", "auth.c", 678, "recv_password_packet")
		return false, v.b.Flush()
	}
	if !v.login(pw.Password) {
		v.fatal("28P01", `password authentication failed for user "`+v.user+`"`, "auth.c", 326, "auth_failed")
		return false, v.b.Flush()
	}
	if v.database != "postgres" && v.database != "template1" && v.database != v.c.Database {
		v.fatal("3D000", `database "`+v.database+`" does not exist`, "postinit.c", 883, "InitPostgres")
		return false, v.b.Flush()
	}
	return true, nil
}

func clip(s string, n int) string { return s[:min(len(s), n)] }

func (v *visit) login(password string) bool {
	a := v.c.Door.Check(v.s.Source.Addr(), v.host, v.user, password)
	e := record.Login(v.s, record.Try{User: v.user, Method: "password", Password: password, Token: a.Token, OK: a.OK})
	e.Add("lapwing.database", v.database)
	v.s.Post(v.last, e)
	return a.OK
}

func (v *visit) fatal(code, text, file string, line int32, routine string) {
	v.b.Send(&pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: code, Message: text, File: file, Line: line, Routine: routine})
}

// session answers until the visitor leaves.
func (v *visit) session() error {
	v.mu.Lock()
	v.next += 1 + uint32(v.s.Clock.Now().UnixNano()>>10&7)
	v.pid = 1200 + v.next
	v.mu.Unlock()
	v.b.Send(&pgproto3.AuthenticationOk{})
	for _, p := range [][2]string{
		{"application_name", v.app},
		{"client_encoding", "UTF8"},
		{"DateStyle", "ISO, MDY"},
		{"default_transaction_read_only", "off"},
		{"in_hot_standby", "off"},
		{"integer_datetimes", "on"},
		{"IntervalStyle", "postgres"},
		{"is_superuser", "on"},
		{"server_encoding", "UTF8"},
		{"server_version", version},
		{"session_authorization", v.user},
		{"standard_conforming_strings", "on"},
		{"TimeZone", "Etc/UTC"},
	} {
		v.b.Send(&pgproto3.ParameterStatus{Name: p[0], Value: p[1]})
	}
	v.b.Send(&pgproto3.BackendKeyData{ProcessID: v.pid, SecretKey: binary.BigEndian.AppendUint32(nil, uint32(v.c.Seed)^v.pid*2654435761)})
	v.ready()
	for range maxRequests {
		if err := v.b.Flush(); err != nil {
			return err
		}
		v.conn.SetReadDeadline(time.Time{}) //nolint:errcheck // the Server's own limits hold
		msg, err := v.b.Receive()
		if err != nil {
			return err
		}
		if more := v.message(msg); !more {
			return v.b.Flush()
		}
	}
	return nil
}

func (v *visit) ready() { v.b.Send(&pgproto3.ReadyForQuery{TxStatus: v.tx}) }

// message handles one; false ends the connection.
func (v *visit) message(msg pgproto3.FrontendMessage) bool {
	if v.copying != nil {
		return v.copyMessage(msg)
	}
	switch m := msg.(type) {
	case *pgproto3.Terminate:
		return false
	case *pgproto3.Query:
		v.failed = false
		v.script(m.String)
		if v.copying == nil {
			v.ready()
		}
		return true
	case *pgproto3.Sync:
		v.failed = false
		v.ready()
		return true
	case *pgproto3.Flush:
		return true
	}
	if v.failed {
		return true
	}
	v.extended(msg)
	return true
}

// extended is the protocol with prepared statements. Parameters are put into
// the text as it is recorded; they come as text or not at all.
func (v *visit) extended(msg pgproto3.FrontendMessage) {
	switch m := msg.(type) {
	case *pgproto3.Parse:
		if len(v.prepared) >= maxPrepared {
			clear(v.prepared)
		}
		v.prepared[clip(m.Name, 63)] = m.Query
		v.b.Send(&pgproto3.ParseComplete{})
	case *pgproto3.Bind:
		q, ok := v.prepared[clip(m.PreparedStatement, 63)]
		if !ok {
			v.fail(&fault{code: "26000", text: `prepared statement "` + clip(m.PreparedStatement, 63) + `" does not exist`, file: "prepare.c", line: 451, routine: "FetchPreparedStatement"})
			return
		}
		if len(v.portals) >= maxPrepared {
			clear(v.portals)
		}
		v.portals[clip(m.DestinationPortal, 63)] = bound(q, m.Parameters, m.ParameterFormatCodes)
		v.b.Send(&pgproto3.BindComplete{})
	case *pgproto3.Describe:
		v.describe(m)
	case *pgproto3.Execute:
		q := v.portals[clip(m.Portal, 63)]
		if strings.TrimSpace(q) == "" {
			v.b.Send(&pgproto3.EmptyQueryResponse{})
			return
		}
		v.one(q, false)
	case *pgproto3.Close:
		if m.ObjectType == 'S' {
			delete(v.prepared, clip(m.Name, 63))
		} else {
			delete(v.portals, clip(m.Name, 63))
		}
		v.b.Send(&pgproto3.CloseComplete{})
	default:
		v.fail(&fault{code: "08P01", text: "invalid frontend message type", file: "postgres.c", line: 4735, routine: "PostgresMain"})
	}
}

// describe tells the columns of a statement by asking for its rows; what would
// change something is not tried.
func (v *visit) describe(m *pgproto3.Describe) {
	q := v.portals[clip(m.Name, 63)]
	if m.ObjectType == 'S' {
		q = v.prepared[clip(m.Name, 63)]
		n := strings.Count(q, "$")
		oids := make([]uint32, min(n, 100))
		for i := range oids {
			oids[i] = oidText
		}
		v.b.Send(&pgproto3.ParameterDescription{ParameterOIDs: oids})
		q = bound(q, make([][]byte, len(oids)), nil)
	}
	word, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(q)), " ")
	if word != "select" && word != "show" && word != "values" {
		v.b.Send(&pgproto3.NoData{})
		return
	}
	v.view.mu.Lock()
	r, f := v.run(q)
	v.view.mu.Unlock()
	if f != nil {
		v.fail(f)
		return
	}
	v.b.Send(rowDescription(r.Columns))
}

// bound puts parameters in place of $1, $2 ...
func bound(q string, params [][]byte, formats []int16) string {
	for i, p := range slices.Backward(params) {
		binaryForm := len(formats) == 1 && formats[0] == 1 || i < len(formats) && formats[i] == 1
		lit := "NULL"
		switch {
		case p == nil:
		case binaryForm && len(p) == 4:
			lit = strconv.Itoa(int(int32(binary.BigEndian.Uint32(p))))
		case binaryForm && len(p) == 8:
			lit = strconv.FormatInt(int64(binary.BigEndian.Uint64(p)), 10)
		default:
			lit = "'" + strings.ReplaceAll(clip(string(p), 64<<10), "'", "''") + "'"
		}
		if len(q)+len(lit) < maxBody {
			q = strings.Replace(q, fmt.Sprintf("$%d", i+1), lit, 8)
		}
	}
	return q
}
