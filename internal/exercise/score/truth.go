// Package score joins what an exercise did (Truth) with what the defence saw
// (Seen) and says what that is worth. It is pure data: no network, no clock, no
// files. The same input gives the same Result, whatever the order in which
// alerts and events arrive.
package score

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Truth is everything that happened in one exercise, as its own actors wrote it
// down while they acted. Labels come from here, never from what a packet or a
// log line says of itself.
type Truth struct {
	Exercise    string    `json:"exercise"` // id, derived from the seed
	Scenario    string    `json:"scenario"` // id of the scenario file
	Name        string    `json:"name,omitempty"`
	Description string    `json:"description,omitempty"`
	Version     string    `json:"version,omitempty"` // of the program
	Seed        uint64    `json:"seed"`
	Domain      string    `json:"attack_domain,omitempty"` // "enterprise-attack", the default, or "ics-attack"
	Attack      string    `json:"attack_version,omitempty"`
	Trainee     string    `json:"trainee,omitempty"`
	Started     time.Time `json:"started"`
	Ended       time.Time `json:"ended"`
	Packets     int64     `json:"packets"`               // frames that the network carried
	Dropped     int64     `json:"dropped"`               // frames that a full queue refused
	PassedOver  int64     `json:"passed_over,omitempty"` // records of trainees' own doings beyond their share: nobody judged them
	Unattended  bool      `json:"unattended,omitempty"`  // nobody took part who could respond or solve tasks

	Networks []Network `json:"networks,omitempty"`
	Hosts    []Host    `json:"hosts,omitempty"`
	HostsAll int       `json:"hosts_all,omitempty"` // also those of fields, where Hosts lists only the named ones

	Steps      []Step     `json:"steps"`
	Activities []Activity `json:"activities,omitempty"` // everything else that acted

	Responses []Response `json:"responses,omitempty"`
	Policy    *Policy    `json:"policy,omitempty"` // by which a program answered; nil: none did
	Goals     []Goal     `json:"goals,omitempty"`
	Services  []Service  `json:"services,omitempty"`
	Tasks     []Task     `json:"tasks,omitempty"`
}

// Network is one segment, for the picture of the topology.
type Network struct {
	Name     string   `json:"name"`
	Prefixes []string `json:"prefixes,omitempty"`
	Routers  []string `json:"routers,omitempty"` // which routers stand in it
	Filled   bool     `json:"filled,omitempty"`  // a whole block answers
}

// Host is one named host. Alerts name hosts by name or by address: both are
// looked up here.
type Host struct {
	Name    string       `json:"name"`
	Network string       `json:"network,omitempty"`
	Addrs   []netip.Addr `json:"addrs,omitempty"`
	Persona string       `json:"persona,omitempty"`
	Roles   []string     `json:"roles,omitempty"` // red, green, blue
	Decoy   bool         `json:"decoy,omitempty"`
}

// Tuple is a connection's five values. Proto is tcp, udp or icmp; a zero port
// or address is one that is not known.
type Tuple struct {
	Proto string         `json:"proto,omitempty"`
	Src   netip.AddrPort `json:"src"` // who opened it
	Dst   netip.AddrPort `json:"dst"`
}

// Flow is one connection, or one exchange of datagrams.
type Flow struct {
	Tuple
	As      []Tuple   `json:"as,omitempty"` // the same flow behind address translation
	Start   time.Time `json:"start"`
	End     time.Time `json:"end"` // zero: as Start
	Bytes   int64     `json:"bytes,omitempty"`
	Packets int64     `json:"packets,omitempty"`
}

// Trace is what an act leaves on a host: a record, a logon, the use of a token.
// A field that is empty is not known. A zero At stands for the whole of the act.
type Trace struct {
	At     time.Time `json:"at"`
	Until  time.Time `json:"until"` // zero: as At
	Host   string    `json:"host,omitempty"`
	User   string    `json:"user,omitempty"`
	Token  string    `json:"token,omitempty"`  // id of a honeytoken
	Record string    `json:"record,omitempty"` // id of the event that the act wrote
}

// Acts is when something acted and what it touched.
type Acts struct {
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended"` // zero: as Started
	Flows   []Flow    `json:"flows,omitempty"`
	Traces  []Trace   `json:"traces,omitempty"`
}

// Outcome is what became of a step.
type Outcome string

// The outcomes. A step that was tried and refused has Failed: its traces count
// as much as those of one that succeeded.
const (
	Done   Outcome = "done"
	Failed Outcome = "failed"
	NotRun Outcome = "not_run"
)

// Step is one act of the adversary.
type Step struct {
	ID            string  `json:"id"`
	Name          string  `json:"name,omitempty"`
	Technique     string  `json:"technique"` // ATT&CK id: T1110.001
	TechniqueName string  `json:"technique_name,omitempty"`
	Tactic        string  `json:"tactic"` // ATT&CK short name: credential-access
	Action        string  `json:"action,omitempty"`
	From          string  `json:"from,omitempty"` // host
	To            string  `json:"to,omitempty"`   // host, network or address; several with ", " between them
	User          string  `json:"user,omitempty"` // account that it logs in with; "" where it guesses or needs none
	Port          uint16  `json:"port,omitempty"` // that it goes to; 0: several, or not known
	Outcome       Outcome `json:"outcome"`
	Note          string  `json:"note,omitempty"`   // why it failed or did not run
	Cause         string  `json:"cause,omitempty"`  // id of the step whose failure kept it from running
	Silent        bool    `json:"silent,omitempty"` // by its nature it leaves nothing to be seen: it waits
	Expect        Expect  `json:"expect"`
	Acts
}

// Targets are the single ones of Step.To.
func Targets(to string) []string {
	if to == "" {
		return nil
	}
	return strings.Split(to, ", ")
}

// reaches says whether host, as hostName gives it, is a target of s.
func (s *Step) reaches(host string) bool {
	return slices.ContainsFunc(Targets(s.To), func(t string) bool { return hostName(t) == host })
}

// Expect is what the scenario's author asks of the defence for one step. It is
// met when one alert in time reaches Level and every one of Detections fired in
// time (with Any: one of them). The zero value asks nothing.
type Expect struct {
	Level Category `json:"level"`
	// Within is since the step began; one that lasts longer has until its end.
	// 0: Rules.ZeroAt.
	Within     time.Duration `json:"within,omitempty"`
	Detections []Detection   `json:"detections,omitempty"`
	Any        bool          `json:"any,omitempty"`
	Optional   bool          `json:"optional,omitempty"` // a miss is shown, but not counted
}

// Asked says whether e asks for anything that counts.
func (e Expect) Asked() bool { return !e.Optional && e.asks() }

func (e Expect) asks() bool { return e.Level > None || len(e.Detections) > 0 }

// Detection is a rule that a step should make fire. Rules are ids or names of
// rules; each of them will do.
type Detection struct {
	ID    string   `json:"id"`
	Rules []string `json:"rules"`
}

// Activity is what was not the adversary: the background, or a trainee.
type Activity struct {
	ID     string `json:"id"`
	Action string `json:"action,omitempty"`
	From   string `json:"from,omitempty"`
	// Neutral activity is a person's own (a trainee who scans): an alert about
	// it is neither right nor a false alarm.
	Neutral bool `json:"neutral,omitempty"`
	// Addrs are machines of that person's own, that nobody else sends from:
	// whatever comes from them is this activity's, at any time.
	Addrs []netip.Addr `json:"addrs,omitempty"`
	Acts
}

// Service is one that must stay reachable, and how often it was.
type Service struct {
	ID     string  `json:"id"` // web01/tcp/80
	Checks []Check `json:"checks,omitempty"`
}

// Check is one look at a service.
type Check struct {
	At  time.Time `json:"at"`
	Up  bool      `json:"up"`
	Why string    `json:"why,omitempty"`
}

// Task is one level of a training.
type Task struct {
	ID                string    `json:"id"`
	Title             string    `json:"title,omitempty"`
	Points            float64   `json:"points"`
	Solved            bool      `json:"solved"`
	SolvedAt          time.Time `json:"solved_at"`
	Share             float64   `json:"share,omitempty"` // of the points, for a part of an assessment; 0: all
	Hints             []Hint    `json:"hints,omitempty"`
	Wrong             int       `json:"wrong,omitempty"`
	WrongCost         float64   `json:"wrong_cost,omitempty"` // for each wrong answer
	SolutionShown     bool      `json:"solution_shown,omitempty"`
	SolutionPenalized bool      `json:"solution_penalized,omitempty"`
}

// Hint is one that was taken.
type Hint struct {
	ID    string    `json:"id"`
	Cost  float64   `json:"cost"`
	Taken time.Time `json:"taken"`
}
