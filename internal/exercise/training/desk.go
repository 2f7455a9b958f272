package training

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lapwing-defence/lapwing/internal/durable"
	"github.com/lapwing-defence/lapwing/internal/exercise"
	"github.com/lapwing-defence/lapwing/internal/exercise/scenario"
	"github.com/lapwing-defence/lapwing/internal/exercise/score"
	"github.com/lapwing-defence/lapwing/internal/vnet"
)

// Door is where trainees come into their networks.
type Door interface {
	// Seat gives a person his place, or instead of his old one another: what went
	// through the old one ends.
	Seat(context.Context, Guest) ([]Way, error)
	// Traffic is what went through, for each way of a person.
	Traffic(name string) []Traffic
}

// Guest is a trainee who is let in.
type Guest struct {
	Name   string
	Secret string
	Host   *vnet.Host // that he sits at
	Access []string   // ways that the scenario allows: wireguard, socks5, web-terminal
	// Attach joins a machine of his own to his segment, under addresses that are
	// the same on every network of the scenario.
	Attach   func() (*vnet.AttachedPort, error)
	Networks []netip.Prefix // that there are inside
	Names    []netip.Addr   // of servers of names inside
}

// Way is how a trainee gets in.
type Way struct {
	Kind    string       `json:"kind"` // socks5 or wireguard
	Address string       `json:"address,omitempty"`
	User    string       `json:"user,omitempty"`   // of socks5; the secret is his password
	File    string       `json:"file,omitempty"`   // a configuration, of wireguard
	Inside  []netip.Addr `json:"inside,omitempty"` // addresses that he has in the exercise that way
	Names   []netip.Addr `json:"names,omitempty"`  // servers of names that way
}

// Traffic is what went through a way in since the range was started.
type Traffic struct {
	Kind        string    `json:"kind"`
	Open        int       `json:"open"`               // connections now; of WireGuard 1 while it was heard of within three minutes
	Connections uint64    `json:"connections"`        // of socks5
	Packets     uint64    `json:"packets"`            // of WireGuard, both ways
	In          uint64    `json:"bytes_in"`           // into the range
	Out         uint64    `json:"bytes_out"`          // from it
	Dropped     uint64    `json:"dropped"`            // connections, datagrams and packets refused: too many, or not allowed
	Failed      uint64    `json:"failed"`             // connections that the range did not answer
	Handshake   time.Time `json:"handshake,omitzero"` // the last one of WireGuard
}

// kept is what is written down of one trainee with every change.
type kept struct {
	Format    int               `json:"format"`
	Scenario  string            `json:"scenario"`
	Trainee   string            `json:"trainee"`
	Secret    string            `json:"secret"`
	Began     bool              `json:"began"`
	Paused    bool              `json:"paused"`
	Elapsed   time.Duration     `json:"elapsed"`
	Resets    int               `json:"resets,omitempty"`
	Variables map[string]string `json:"variables,omitempty"`
	Responses []score.Response  `json:"responses,omitempty"`
	Passwords map[string]string `json:"passwords,omitempty"` // that were changed, by user
	Course    State             `json:"course"`
}

const keptFormat = 1

// desk is one trainee's place.
type desk struct {
	room *Room
	sc   *scenario.Scenario // with his variables

	secret string
	busy   chan struct{} // one slot a request under way
	awry   atomic.Int64  // requests refused because too many were under way
	fault  atomic.Pointer[string]

	mu     sync.Mutex
	kept   kept
	course *Course
	live   *exercise.Live
	ways   []Way
	noted  time.Time // when the course was written down
	shot   time.Time // when the exercise was
	shown  int64     // its changes until then
	rest   time.Time // until when it is not written down again
}

const (
	maxRequests  = 8                // of one trainee at a time
	saveEvery    = 5 * time.Second  // elapsed time that a kill may take
	shootEvery   = 15 * time.Second // of alerts that grow, without anything new
	shootShare   = 20               // times what writing took: the least pause after it
	maxKept      = 64 << 20         // bytes of a file that is read
	courseSuffix = ".course.json"
	seenSuffix   = ".exercise.json"
)

// seat makes or finds a trainee's place and builds his network.
func (r *Room) seat(ctx context.Context, name string) (*desk, error) {
	sc, err := r.cfg.Scenario.For(name)
	if err != nil {
		return nil, err
	}
	d := &desk{room: r, sc: sc, busy: make(chan struct{}, maxRequests)}
	var from exercise.Snapshot
	switch err := read(d.file(courseSuffix), &d.kept); {
	case errors.Is(err, fs.ErrNotExist):
		d.kept = kept{Format: keptFormat, Scenario: sc.ID, Trainee: name, Secret: r.cfg.Secret(), Variables: sc.Variables}
	case err != nil:
		return nil, err
	case d.kept.Format != keptFormat || d.kept.Trainee != name:
		return nil, fmt.Errorf("%s was not written by this program's version, or not for %s: move it away", d.file(courseSuffix), name)
	case !maps.Equal(d.kept.Variables, sc.Variables):
		return nil, fmt.Errorf("the scenario has changed since %s began: the values drawn for him are others now; move %s away to begin anew", name, d.file(courseSuffix))
	default:
		if err := read(d.file(seenSuffix), &from); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	d.secret = d.kept.Secret
	from.Elapsed, from.Responses, from.Passwords = max(from.Elapsed, d.kept.Elapsed), d.kept.Responses, d.kept.Passwords
	if err := d.build(ctx, from, d.kept.Course); err != nil {
		return nil, fmt.Errorf("trainee %s: %w", name, err)
	}
	if err := durable.WriteFile(d.tokenFile(), []byte(d.kept.Secret+"\n")); err != nil {
		d.live.Close()
		return nil, err
	}
	return d, d.save()
}

func read(file string, to any) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	if info.Size() > maxKept {
		return fmt.Errorf("%s has %d bytes, more than the program writes: move it away", file, info.Size())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, to); err != nil {
		return fmt.Errorf("read %s: %w: move it away to begin anew", file, err)
	}
	return nil
}

func (d *desk) file(suffix string) string { return filepath.Join(d.room.cfg.Dir, d.name()+suffix) }

func (d *desk) tokenFile() string { return filepath.Join(d.room.cfg.Tokens, d.name()) }

func (d *desk) name() string { return d.sc.Trainee }

// build makes the network and the course. d.mu is held, or nobody has d yet.
func (d *desk) build(ctx context.Context, from exercise.Snapshot, state State) error {
	live, err := exercise.Start(ctx, d.sc, exercise.LiveConfig{
		Rules: d.room.cfg.Rules, Version: d.room.cfg.Version, From: from, Log: d.room.cfg.Log,
	})
	if err != nil {
		return err
	}
	p := live.Place()
	d.ways, err = d.room.cfg.Door.Seat(ctx, Guest{
		Name: d.name(), Secret: d.kept.Secret, Host: p.Host, Access: p.Spec.Access, Networks: p.Networks, Names: p.Names,
		Attach: func() (*vnet.AttachedPort, error) { return live.Attach(d.name()) },
	})
	if err != nil {
		live.Close()
		return err
	}
	d.live = live
	d.course = NewCourse(d.sc, state, live, time.Now)
	live.Run(d.kept.Began && !d.kept.Paused)
	return nil
}

// save writes down what the trainee has reached. d.mu is held.
func (d *desk) save() error {
	k := d.kept
	k.Elapsed, k.Course = d.live.Elapsed(), d.course.State
	k.Responses, k.Passwords = d.live.Responses()
	text, err := json.Marshal(k)
	if err != nil {
		return err
	}
	err = durable.WriteFile(d.file(courseSuffix), text)
	d.blame(err)
	return err
}

// saveSeen writes down what was done and seen. d.mu is held.
func (d *desk) saveSeen() {
	text, err := json.Marshal(d.live.Snapshot())
	if err == nil {
		err = durable.WriteFile(d.file(seenSuffix), text)
	}
	d.blame(err)
}

// blame keeps the last fault of keeping, for the status.
func (d *desk) blame(err error) {
	if err == nil {
		d.fault.Store(nil)
		return
	}
	text := err.Error()
	d.fault.Store(&text)
	d.room.cfg.Log.Error("a trainee's state cannot be kept", "trainee", d.name(), "error", err)
}

// look sees whether a state that is asked for has come to be, and writes down how
// far the exercise is: with every step, alert and check that is new, as far as
// writing takes at most a twentieth of the time, and else from time to time.
func (d *desk) look(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.live.Running() {
		return
	}
	_, solved := d.course.Look()
	changes := d.live.Changes()
	shoot := now.Sub(d.shot) >= shootEvery || changes != d.shown && now.After(d.rest)
	if solved || shoot || now.Sub(d.noted) >= saveEvery {
		d.noted = now
		d.save() //nolint:errcheck // blame has told it
	}
	if shoot {
		began := time.Now()
		d.saveSeen()
		d.shot, d.shown, d.rest = now, changes, now.Add(shootShare*time.Since(began))
	}
}

// begin lets the exercise's time go by with the first sign of the trainee. d.mu
// is held.
func (d *desk) begin() error {
	if d.kept.Began {
		return nil
	}
	d.kept.Began = true
	if err := d.save(); err != nil {
		d.kept.Began = false
		return err
	}
	d.live.Run(!d.kept.Paused)
	return nil
}

func (d *desk) pause(on bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := d.kept.Paused
	d.kept.Paused = on
	if err := d.save(); err != nil {
		d.kept.Paused = before
		return err
	}
	d.live.Run(d.kept.Began && !on)
	return nil
}

// reset puts the trainee back to the beginning, on a new network. It gives how
// long that took until the trainee could go on.
func (d *desk) reset(ctx context.Context) (time.Duration, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	start := time.Now()
	old, before := d.live, d.kept
	d.kept.Began, d.kept.Paused, d.kept.Elapsed, d.kept.Responses, d.kept.Passwords, d.kept.Course = false, false, 0, nil, nil, State{}
	d.kept.Resets++
	if err := d.build(ctx, exercise.Snapshot{}, State{}); err != nil {
		d.kept = before
		return 0, err
	}
	old.Close()
	err := os.Remove(d.file(seenSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return time.Since(start), errors.Join(err, d.save())
}

// knows tells whether token is the trainee's, in a time that does not tell how much
// of it was right.
func knows(secret, token string) bool {
	a, b := sha256.Sum256([]byte(secret)), sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

func (d *desk) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.live.Run(false)
	d.save() //nolint:errcheck // blame has told it
	d.saveSeen()
	d.live.Close()
}
