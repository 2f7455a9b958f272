package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/durable"
)

// State is where a token is in its life. Use of it is told in every state.
type State string

// The states.
const (
	Drawn   State = "new"     // nothing is planted yet
	Planted State = "planted" // it lies where Host and Path say
	Rotated State = "rotated" // another one has its place
	Removed State = "removed" // taken away
)

// Token is a row of the register. No secret is in it: those follow from the
// master key and the id.
type Token struct {
	ID    ID     `json:"id"`
	Kind  string `json:"kind"`
	Host  string `json:"host"`           // the machine that it lies on
	Path  string `json:"path,omitempty"` // the directory, or whatever says where
	Owner string `json:"owner,omitempty"`
	Note  string `json:"note,omitempty"`

	Door  Door              `json:"door"`            // what it leads to
	More  []Door            `json:"more,omitempty"`  // further doors, of other types
	Zone  string            `json:"zone,omitempty"`  // DNS zone or mail domain that the operator sees
	Names map[string]string `json:"names,omitempty"` // what is in it and follows from nothing: user, alias, …

	Created   time.Time `json:"created"`
	CreatedBy string    `json:"created_by"`
	Planted   time.Time `json:"planted,omitzero"`
	PlantedBy string    `json:"planted_by,omitempty"`
	Ended     time.Time `json:"ended,omitzero"` // rotated or removed
	EndedBy   string    `json:"ended_by,omitempty"`
	Expires   time.Time `json:"expires,omitzero"` // when it is to be rotated
	State     State     `json:"state"`
	Next      *ID       `json:"next,omitempty"` // what was planted in its place
	Way       string    `json:"way,omitempty"`  // how it was planted: dir, bundle, ssh NAME
	Files     []Part    `json:"files,omitempty"`

	Tested   time.Time `json:"tested,omitzero"`    // the last time that a test fired
	Unread   time.Time `json:"unread,omitzero"`    // the last time that nobody was seen to have read it
	Used     time.Time `json:"used,omitzero"`      // first use that was no test
	LastUsed time.Time `json:"last_used,omitzero"` // last use that was no test
	Uses     int64     `json:"uses,omitempty"`
}

// Part is what was put into a file of the machine that a token lies on.
type Part struct {
	Path   string    `json:"path"` // below the directory, with slashes
	SHA256 string    `json:"sha256"`
	Size   int64     `json:"size"`             // bytes
	Offset int64     `json:"offset,omitempty"` // where in the file it was put
	Whole  bool      `json:"whole,omitempty"`  // the file did not exist before
	Dir    bool      `json:"dir,omitempty"`    // a directory that was made for it; nothing else counts
	Time   time.Time `json:"time,omitzero"`    // access and modification time that it was given
}

// Door is a service of a decoy, as somebody who reads the token finds it.
type Door struct {
	Decoy   string `json:"decoy,omitempty"`   // the fake host's name
	Type    string `json:"type,omitempty"`    // ssh, http, postgres, …
	Address string `json:"address,omitempty"` // host:port or name:port, as it stands in the token
}

// Since is the earliest time at which it can have been stolen, as far as is
// known: it was not there before, or had not been read.
func (t *Token) Since() time.Time {
	since := t.Created
	for _, at := range []time.Time{t.Planted, t.Unread} {
		if at.After(since) {
			since = at
		}
	}
	return since
}

// Expired tells of a token that should have been rotated before now.
func (t *Token) Expired(now time.Time) bool {
	return !t.Expires.IsZero() && now.After(t.Expires) && (t.State == Planted || t.State == Drawn)
}

// clone is a copy that shares nothing.
func (t *Token) clone() *Token {
	c := *t
	c.Files, c.More = slices.Clone(t.Files), slices.Clone(t.More)
	c.Names = maps.Clone(t.Names)
	if t.Next != nil {
		next := *t.Next
		c.Next = &next
	}
	return &c
}

// Register keeps the rows in one file, a row a line. It is safe for concurrent use.
type Register struct {
	file string

	mu   sync.Mutex
	rows []*Token // oldest first
	by   map[ID]*Token
	late bool // Uses changed since the file was written
}

// MaxTokens bounds a register.
const MaxTokens = 100_000

const maxRegister = 256 << 20 // bytes of a file

// OpenRegister reads the register in file; one that does not exist is empty.
func OpenRegister(file string) (*Register, error) {
	r := &Register{file: file, by: map[ID]*Token{}}
	st, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return r, nil
	case err != nil:
		return nil, fmt.Errorf("read the register of tokens: %w", err)
	case st.Size() > maxRegister:
		return nil, fmt.Errorf("read the register of tokens: %s has %d bytes, the limit is %d", file, st.Size(), maxRegister)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the register of tokens: %w", err)
	}
	n := 0
	for line := range bytes.Lines(data) {
		n++
		t := new(Token)
		if err := json.Unmarshal(line, t); err != nil {
			return nil, fmt.Errorf("read the register of tokens: %s:%d: %w; put back a backup (lapwing restore)", file, n, err)
		}
		if r.by[t.ID] != nil {
			return nil, fmt.Errorf("read the register of tokens: %s:%d: %s stands twice; put back a backup (lapwing restore)", file, n, t.ID)
		}
		r.rows = append(r.rows, t)
		r.by[t.ID] = t
	}
	return r, nil
}

// write puts rows into the file; r.mu is held.
func (r *Register) write(rows []*Token) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	for _, t := range rows {
		if err := enc.Encode(t); err != nil {
			return fmt.Errorf("write the register of tokens: %w", err)
		}
	}
	if err := durable.WriteFile(r.file, b.Bytes()); err != nil {
		return fmt.Errorf("write the register of tokens: %w", err)
	}
	r.late = false
	return nil
}

// Add adds a row, durable on return.
func (r *Register) Add(t *Token) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.by[t.ID] != nil {
		return fmt.Errorf("add a token: %s exists", t.ID)
	}
	if len(r.rows) >= MaxTokens {
		return fmt.Errorf("add a token: there are %d, which is the limit", len(r.rows))
	}
	c := t.clone()
	rows := append(slices.Clip(r.rows), c)
	if err := r.write(rows); err != nil {
		return err
	}
	r.rows, r.by[c.ID] = rows, c
	return nil
}

// Change changes a row by fn, durable on return; where fn or writing fails,
// nothing has changed.
func (r *Register) Change(id ID, fn func(*Token) error) (*Token, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.by[id]
	if old == nil {
		return nil, fmt.Errorf("%s: %w", id, ErrNotFound)
	}
	c := old.clone()
	if err := fn(c); err != nil {
		return nil, err
	}
	rows := slices.Clone(r.rows)
	rows[slices.Index(rows, old)] = c
	if err := r.write(rows); err != nil {
		return nil, err
	}
	r.rows, r.by[id] = rows, c
	return c.clone(), nil
}

// Get gives a row.
func (r *Register) Get(id ID) (*Token, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.by[id]
	if t == nil {
		return nil, false
	}
	return t.clone(), true
}

// Find gives the row whose id begins so.
func (r *Register) Find(prefix string) (*Token, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found *Token
	for _, t := range r.rows {
		if prefix == "" || !strings.HasPrefix(t.ID.String(), strings.ToLower(prefix)) {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("more than one token begins with %.20q: write more of its id", prefix)
		}
		found = t
	}
	if found == nil {
		return nil, fmt.Errorf("%.40q: %w; lapwing token list shows them", prefix, ErrNotFound)
	}
	return found.clone(), nil
}

// All gives every row, oldest first.
func (r *Register) All() []*Token {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]*Token, len(r.rows))
	for i, t := range r.rows {
		out[i] = t.clone()
	}
	return out
}

// Use counts a use that was no test. Flush makes it durable: whoever knows a
// token can use it as often as he likes, and each use has an event of its own.
func (r *Register) Use(id ID, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.by[id]
	if t == nil {
		return
	}
	t.Uses++
	if t.Used.IsZero() || at.Before(t.Used) {
		t.Used = at
	}
	if at.After(t.LastUsed) {
		t.LastUsed = at
	}
	r.late = true
}

// Flush writes what Use counted.
func (r *Register) Flush() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.late {
		return nil
	}
	return r.write(r.rows)
}
