// Package record writes the records that an emulated behaviour would leave on a
// host: what Sysmon, the Windows event logs, IIS, sshd, auditd and the like
// report. Nothing happens anywhere: a record is text, marked with the field
// lapwing.synthetic, and it names only what Sigma rules and people read.
//
// Fields and their names are those that the decoders of recorded logs deliver
// (docs/formats/evtx.md, docs/formats/logsources.md), so that rules written for
// real logs judge them.
package record

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/event"
)

// Synthetic is the field that marks every record of this package.
const Synthetic = "lapwing.synthetic"

// Config is what New takes.
type Config struct {
	Name   string // of the host in the scenario
	Domain string // DNS domain, "plant.example"; may be empty
	Family string // windows or linux
	Addr   netip.Addr
	Clock  clock.Clock
	Seed   uint64
	Users  []string // people who work at it; none: one is drawn
}

// Host writes the records of one host. It is safe for concurrent use.
type Host struct {
	c    Config
	ids  *event.IDs
	mu   sync.Mutex
	rand *rand.Rand
	next int64              // EventRecordID
	proc map[string]process // by image, the newest
	boot time.Time
}

// process is what later records say of a process.
type process struct {
	guid    string
	pid     int
	command string
	user    string
}

// maxProcs bounds what is remembered of processes.
const maxProcs = 512

// New makes a Host.
func New(c Config) (*Host, error) {
	if c.Clock == nil || c.Name == "" {
		return nil, errors.New("make host records: they need a name and a clock")
	}
	if c.Family != "windows" && c.Family != "linux" {
		return nil, fmt.Errorf("make host records of %s: no family %q: use windows or linux", c.Name, c.Family)
	}
	h := &Host{c: c, rand: rand.New(rand.NewPCG(c.Seed, 0x7265636f7264)), proc: map[string]process{}}
	if len(c.Users) == 0 {
		h.c.Users = []string{people[h.rand.IntN(len(people))]}
	}
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], c.Seed^0x6964)
	h.ids = event.NewIDs(&source{r: rand.NewChaCha8(key)}, c.Clock.Now)
	h.next, h.boot = 1000+h.rand.Int64N(500_000), c.Clock.Now().Add(-time.Duration(20+h.rand.IntN(200))*time.Hour)
	return h, nil
}

// source makes a reader safe for concurrent use.
type source struct {
	mu sync.Mutex
	r  io.Reader
}

func (s *source) Read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.r.Read(b)
}

// Name is the host's name in the scenario.
func (h *Host) Name() string { return h.c.Name }

// Computer is the name that Windows logs have.
func (h *Host) Computer() string {
	if h.c.Domain == "" {
		return strings.ToUpper(h.c.Name)
	}
	return strings.ToUpper(h.c.Name) + "." + h.c.Domain
}

// netbios is the short name of the domain, or of the host where it has none.
func (h *Host) netbios() string {
	short, _, _ := strings.Cut(h.c.Domain, ".")
	return strings.ToUpper(cmp.Or(short, h.c.Name))
}

// account is DOMAIN\user; a name that has a backslash stays as it is.
func (h *Host) account(user string) string {
	if strings.Contains(user, `\`) {
		return user
	}
	return h.netbios() + `\` + user
}

// split is the domain and the name of an account.
func (h *Host) split(user string) (domain, name string) {
	d, n, _ := strings.Cut(h.account(user), `\`)
	return d, n
}

func (h *Host) draw(n int) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.rand.IntN(n)
}

func (h *Host) pick(list []string) string { return list[h.draw(len(list))] }

// begin starts a record.
func (h *Host) begin(dataset, user string) event.Event {
	e := event.Event{ID: h.ids.New(), Time: h.c.Clock.Now(), Kind: "event", Action: "logged", Dataset: dataset, User: user, Host: h.c.Name}
	e.Extra = make([]event.Field, 0, 32)
	e.Extra = append(e.Extra, event.Field{Name: Synthetic, Value: event.Bool(true)})
	e.Add("host.name", h.c.Name)
	return e
}

// win is a record of a Windows event log with pairs of names and values; an
// empty value is written as "-", as Windows does.
func (h *Host) win(log channel, id int, user string, pairs ...string) event.Event {
	_, name := h.split(user)
	e := h.begin(log.dataset, name)
	h.mu.Lock()
	h.next++
	n := h.next
	h.mu.Unlock()
	at := h.c.Clock.Now().UTC()
	e.Add("Channel", log.name)
	e.Add("Provider_Name", log.provider)
	e.AddInt("EventID", int64(id))
	e.Add("Computer", h.Computer())
	e.AddInt("EventRecordID", n)
	e.Add("TimeCreated_SystemTime", at.Format("2006-01-02T15:04:05.0000000Z"))
	for i := 0; i+1 < len(pairs); i += 2 {
		e.Add(pairs[i], cmp.Or(pairs[i+1], "-"))
	}
	return e
}

// channel is where Windows writes a record.
type channel struct{ name, provider, dataset string }

var (
	sysmonLog   = channel{"Microsoft-Windows-Sysmon/Operational", "Microsoft-Windows-Sysmon", "windows.sysmon_operational"}
	securityLog = channel{"Security", "Microsoft-Windows-Security-Auditing", "system.security"}
	systemLog   = channel{"System", "Service Control Manager", "system.system"}
	scriptLog   = channel{"Microsoft-Windows-PowerShell/Operational", "Microsoft-Windows-PowerShell", "windows.powershell_operational"}
	defenderLog = channel{"Microsoft-Windows-Windows Defender/Operational", "Microsoft-Windows-Windows Defender", "windows.defender"}
	sessionLog  = channel{"Microsoft-Windows-TerminalServices-LocalSessionManager/Operational", "Microsoft-Windows-TerminalServices-LocalSessionManager", "windows.terminalservices"}
	remoteLog   = channel{"Microsoft-Windows-TerminalServices-RemoteConnectionManager/Operational", "Microsoft-Windows-TerminalServices-RemoteConnectionManager", "windows.terminalservices"}
	bitsLog     = channel{"Microsoft-Windows-Bits-Client/Operational", "Microsoft-Windows-Bits-Client", "windows.bits_client"}
)

// guid is a process GUID as Sysmon writes them.
func (h *Host) guid() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return fmt.Sprintf("{%08x-%04x-%04x-%04x-%012x}", h.rand.Uint32(), h.rand.IntN(1<<16), h.rand.IntN(1<<16), h.rand.IntN(1<<16), h.rand.Int64N(1<<48))
}

// running is the newest process of an image; one that was never told started
// some time ago.
func (h *Host) running(image, user string) process {
	h.mu.Lock()
	p, ok := h.proc[strings.ToLower(image)]
	h.mu.Unlock()
	if ok {
		return p
	}
	return h.started(image, `"`+image+`"`, user)
}

func (h *Host) started(image, command, user string) process {
	p := process{guid: h.guid(), pid: 400 + 4*h.draw(3000), command: command, user: user}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.proc) >= maxProcs {
		clear(h.proc)
	}
	h.proc[strings.ToLower(image)] = p
	return p
}

// hashes are those of no program: of its name alone.
func hashes(image string) string {
	sum := sha256.Sum256([]byte("synthetic " + image))
	return "SHA256=" + strings.ToUpper(hex.EncodeToString(sum[:])) + ",IMPHASH=" + strings.ToUpper(hex.EncodeToString(sum[8:24]))
}

// people work at hosts that name nobody.
var people = []string{"anna", "bernd", "chen", "dora", "emil", "fatma", "goran", "heike", "ines", "jonas", "karla", "leo", "marta", "nils", "olga", "pavel"}
