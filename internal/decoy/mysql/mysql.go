// Package mysql is a decoy that speaks MySQL's protocol as Debian 12's MariaDB
// 10.11 does. Passwords are asked for in clear (mysql_clear_password), so that a
// planted .my.cnf gives itself away and no answer to a challenge is kept. Behind
// the login are the tables of a small firm; files are those of the fake host.
package mysql

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/decoy"
	"github.com/lapwing-defence/lapwing/internal/decoy/access"
	"github.com/lapwing-defence/lapwing/internal/decoy/record"
	"github.com/lapwing-defence/lapwing/internal/decoy/relations"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/host"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

// OpenCanary's numbers: of a login, the only one it has for MySQL.
const (
	LogConnection = 0
	logLogin      = 8001
)

const version = "10.11.14-MariaDB-0+deb12u2"

// Limits.
const (
	connectTime = 10 * time.Second // connect_timeout
	maxSources  = 256
	maxRequests = 20_000
)

// Config is what New takes.
type Config struct {
	Door     *access.Door
	Database string // of the application
	Domain   string // of the firm in the tables
	Seed     uint64
}

// Server is the decoy.
type Server struct {
	c    Config
	rand *kernel.Rand

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
	return &Server{c: c, rand: kernel.NewRand(c.Seed, 3306), views: decoy.Views[*view]{Max: maxSources}, next: 30 + uint32(c.Seed%900)}
}

// visit is one connection.
type visit struct {
	*Server
	s    *decoy.Session
	ctx  context.Context //nolint:containedctx // of the connection
	last context.Context //nolint:containedctx // outlives the connection, for its last events
	host *host.Visit
	w    *wire
	rec  *record.Session
	view *view

	thread         uint32
	user, database string
}

// fault is an error as MariaDB words it.
type fault struct {
	code  uint16
	state string
	text  string
}

func (f *fault) Error() string { return f.text }

// Serve speaks with one visitor.
func (d *Server) Serve(ctx context.Context, s *decoy.Session) error {
	v := &visit{Server: d, s: s, ctx: ctx, last: context.WithoutCancel(ctx), w: &wire{rw: s.Conn}}
	v.host = s.Host.Visit(ctx, s.Source.Addr())
	defer v.host.Close()
	defer v.close()
	stop := context.AfterFunc(ctx, func() { s.Conn.Close() }) //nolint:errcheck // ends the read
	defer stop()
	s.Conn.SetReadDeadline(s.Clock.Now().Add(connectTime)) //nolint:errcheck // a failed read follows
	ok, err := v.connect()
	if errors.Is(err, errPacket) {
		record.Broken(v.last, s, err.Error())
		v.w.fail(&fault{1043, "08S01", "Bad handshake"})
		return decoy.Quiet(v.w.flush(), errPacket)
	}
	if err != nil || !ok {
		return decoy.Quiet(err, errPacket)
	}
	v.view = d.views.Get(host.Key(s.Source.Addr()), s.Clock.Now(), newView)
	v.rec = record.New(v.last, s, v.user, "mysql")
	return decoy.Quiet(v.session(), errPacket)
}

func (v *visit) close() {
	if v.rec != nil {
		v.rec.Close(v.host, "")
	}
}

// connect greets, asks who comes and for his password.
func (v *visit) connect() (bool, error) {
	var salt [20]byte
	v.rand.Read(salt[:])  //nolint:errcheck // never fails
	for i := range salt { // no zero and no dollar, as the server draws it
		salt[i] = salt[i]%93 + 33
	}
	v.mu.Lock()
	v.next++
	v.thread = v.next
	v.mu.Unlock()
	v.w.add(greeting(version, v.thread, salt[:]))
	if err := v.w.flush(); err != nil {
		return false, err
	}
	b, err := v.w.read(maxHello)
	if err != nil {
		return false, err
	}
	a, err := readAnswer(b)
	if err != nil {
		return false, err
	}
	v.user, v.database = clip(a.user, 80), clip(a.database, 64)
	v.identified(a)
	password := ""
	if len(a.response) > 0 { // an empty answer is an empty password
		v.w.add(append([]byte{0xfe}, "mysql_clear_password\x00"...))
		if err := v.w.flush(); err != nil {
			return false, err
		}
		b, err := v.w.read(maxHello)
		if err != nil {
			v.refusedPlugin(err)
			return false, err
		}
		password = strings.TrimSuffix(string(b), "\x00")
	}
	return v.admit(password)
}

// refusedPlugin tells of a client that would not say its password in clear.
func (v *visit) refusedPlugin(err error) {
	e := record.Login(v.s, record.Try{User: v.user, Method: "challenge", LogType: logLogin})
	e.Reason = "the client gives no password in clear: " + err.Error()
	v.s.Post(v.last, e)
}

func (v *visit) identified(a *answer) {
	e := v.s.Event(event.ActionClientIdentified)
	e.Depth = event.DepthTouch
	e.Add("user_agent.original", strings.TrimSpace(clip(a.attributes["_client_name"], 64)+" "+clip(a.attributes["_client_version"], 64)))
	e.Add("lapwing.mysql.plugin", clip(a.plugin, 64))
	e.Add("lapwing.mysql.capabilities", fmt.Sprintf("%08x", a.caps))
	v.s.Post(v.last, e)
}

func clip(s string, n int) string { return s[:min(len(s), n)] }

func (v *visit) admit(password string) (bool, error) {
	using := "YES"
	if password == "" {
		using = "NO"
	}
	if !v.login(password) {
		v.w.fail(&fault{1045, "28000", fmt.Sprintf("Access denied for user '%s'@'%s' (using password: %s)", v.user, v.s.Source.Addr(), using)})
		return false, v.w.flush()
	}
	if v.database != "" && !slices.Contains([]string{v.c.Database, "mysql", "information_schema", "performance_schema", "sys"}, v.database) {
		v.w.fail(unknownDatabase(v.database))
		return false, v.w.flush()
	}
	v.w.ok(0)
	return true, v.w.flush()
}

func unknownDatabase(name string) *fault {
	return &fault{1049, "42000", "Unknown database '" + name + "'"}
}

func (v *visit) login(password string) bool {
	a := v.c.Door.Check(v.s.Source.Addr(), v.host, v.user, password)
	e := record.Login(v.s, record.Try{User: v.user, Method: "password", Password: password, Token: a.Token, OK: a.OK, LogType: logLogin})
	e.Add("lapwing.database", v.database)
	v.s.Post(v.last, e)
	return a.OK
}

// The commands of a client.
const (
	comQuit      = 1
	comInitDB    = 2
	comQuery     = 3
	comFieldList = 4
	comStatistic = 9
	comPing      = 14
)

// session answers until the visitor leaves.
func (v *visit) session() error {
	for range maxRequests {
		v.s.Conn.SetReadDeadline(time.Time{}) //nolint:errcheck // the Server's own limits hold
		b, err := v.w.read(maxPacket)
		if errors.Is(err, errPacket) {
			v.w.fail(&fault{1153, "08S01", "Got a packet bigger than 'max_allowed_packet' bytes"})
			return v.w.flush()
		}
		if err != nil {
			return err
		}
		v.w.seq = 1
		if len(b) == 0 || b[0] == comQuit {
			return nil
		}
		v.command(b[0], string(b[1:]))
		if err := v.w.flush(); err != nil {
			return err
		}
	}
	return nil
}

func (v *visit) command(kind byte, arg string) {
	switch kind {
	case comQuery:
		v.query(arg)
	case comInitDB:
		v.use(clip(arg, 64))
	case comPing:
		v.w.ok(0)
	case comFieldList:
		v.w.end()
	case comStatistic:
		up := int64(v.s.Clock.Now().Sub(v.s.Host.Persona().Boot).Seconds())
		v.w.add(fmt.Appendf(nil, "Uptime: %d  Threads: 1  Questions: %d  Slow queries: 0  Opens: 33  Open tables: 26  Queries per second avg: 0.021", up, up/47))
	default:
		v.w.fail(&fault{1047, "08S01", "Unknown command"})
	}
}

func (v *visit) use(name string) {
	v.view.mu.Lock()
	known := slices.Contains(v.databases(), name)
	v.view.mu.Unlock()
	if !known {
		v.w.fail(unknownDatabase(name))
		return
	}
	v.database = name
	v.w.ok(0)
}

// query runs a statement, records it and answers.
func (v *visit) query(s string) {
	v.view.mu.Lock()
	r, f := v.run(strings.TrimRight(strings.TrimSpace(s), ";"))
	v.view.mu.Unlock()
	v.rec.Emit(event.ActionQueryExecuted, event.DepthAct, func(e *event.Event) {
		e.Add("lapwing.database", v.database)
		why := ""
		if f != nil {
			why = f.text
		}
		record.Query(e, s, why)
	})
	switch {
	case f != nil:
		v.w.fail(f)
	case r.Columns == nil:
		v.w.ok(r.Count)
	default:
		v.rows(r)
	}
}

// The types of columns as the protocol names them.
const (
	typeLong = 3
	typeVar  = 253
)

func (v *visit) rows(r relations.Result) {
	v.w.add(appendInt(nil, uint64(len(r.Columns))))
	for _, c := range r.Columns {
		kind, width := byte(typeVar), uint32(1020)
		if c.Type == "integer" || c.Type == "int" {
			kind, width = typeLong, 11
		}
		b := appendText(nil, "def")
		for _, s := range []string{v.database, "", "", clip(c.Name, 255), ""} {
			b = appendText(b, s)
		}
		b = append(b, 0x0c, 45, 0)
		b = binary.LittleEndian.AppendUint32(b, width)
		v.w.add(append(b, kind, 0, 0, 0, 0, 0))
	}
	v.w.end()
	for _, row := range r.Rows {
		var b []byte
		for _, x := range row {
			if x.Null {
				b = append(b, 0xfb)
			} else {
				b = appendText(b, x.S)
			}
		}
		v.w.add(b)
	}
	v.w.end()
}
