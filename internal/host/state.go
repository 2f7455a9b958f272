package host

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"sync/atomic"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// Store keeps what visitors change beyond the life of this process. Keys are
// the host's name, a slash and the source (Key).
type Store interface {
	// Recall gives the newest state of a key, none where there is none, and a
	// token for State.
	Recall(ctx context.Context, key string) (token uint64, data []byte, err error)
	// State keeps data. An error that is ErrGone says that the source was
	// forgotten since the token was given: the view must go too.
	State(ctx context.Context, key string, token uint64, data []byte) error
}

// ErrGone is what a Store answers for a source that was forgotten.
var ErrGone = errors.New("this source was forgotten")

// The limits of a kept state.
const (
	maxContents   = 12 << 20 // bytes of files; the largest are left out over it
	maxInflated   = 64 << 20 // bytes of a state that are read
	maxSecrets    = 64       // passwords of a visitor
	maxPassword   = 256      // bytes of one
	saveEvery     = 2 * time.Second
	saveShare     = 20 // a view is saved again after this many times as long as the last took
	recallWait    = 3 * time.Second
	trustFor      = time.Second // a view unused for longer is asked for again: it may be forgotten
	lastSaves     = 5 * time.Second
	dropAfter     = 5 * time.Minute // a kept view that nobody uses leaves memory
	stateVersion  = 1
	maxKeptLogins = 40
)

// secret is a password, salted.
type secret struct {
	Salt []byte `json:"salt"`
	Sum  []byte `json:"sum"`
}

func newSecret(r *kernel.Rand, password string) secret {
	salt := make([]byte, 16)
	r.Read(salt) //nolint:errcheck // never fails
	return secret{salt, sum(salt, password)}
}

func sum(salt []byte, password string) []byte {
	m := hmac.New(sha256.New, salt)
	m.Write([]byte(password))
	return m.Sum(nil)
}

func (s secret) is(password string) bool { return hmac.Equal(s.Sum, sum(s.Salt, password)) }

// state is what is kept of a view beside its file system.
type state struct {
	Version   int                  `json:"version"`
	Passwords map[string]secret    `json:"passwords,omitempty"` // set by the visitor
	Admitted  map[string]secret    `json:"admitted,omitempty"`  // what he got in with
	Gone      []int                `json:"gone,omitempty"`      // processes that he ended
	Next      int                  `json:"next,omitempty"`      // process id
	LastAt    time.Time            `json:"last_at,omitzero"`    // login on a terminal
	LastFrom  string               `json:"last_from,omitempty"`
	Logins    []kernel.LoginRecord `json:"logins,omitempty"`   // the newest
	Settings  map[string]string    `json:"settings,omitempty"` // of the running machine
}

// keeping is the part of a Visit that says what is kept.
type keeping struct {
	ready   chan struct{} // closed when the view is there
	token   uint64
	loaded  bool // the Store was asked
	changes atomic.Uint64
	kept    atomic.Bool // the Store has a state of it
	saved   uint64      // of changes and generation, when it was kept
	gone    bool        // forgotten: not to be kept again
	next    time.Time
}

// version rises with everything that is kept.
func (v *Visit) version() uint64 {
	return v.changes.Load() + v.M.FS.Generation() + uint64(v.M.Table.Ended()) + v.M.Settings.Changes()
}

// encode is the view as a Store keeps it.
func (v *Visit) encode() ([]byte, error) {
	snap, _, err := v.M.FS.Snapshot(maxContents)
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	head, err := json.Marshal(state{Version: stateVersion, Passwords: v.passwords, Admitted: v.admitted, Gone: v.M.Table.Gone(), Next: v.M.Table.Next(), LastAt: v.lastAt, LastFrom: v.lastFrom, Logins: newest(v.M.Ledger.Logins()), Settings: v.M.Settings.All()})
	v.mu.Unlock()
	if err != nil {
		return nil, fmt.Errorf("write a visitor's state: %w", err)
	}
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestSpeed)
	if err != nil {
		return nil, fmt.Errorf("write a visitor's state: %w", err)
	}
	w.Write(binary.AppendUvarint(nil, uint64(len(head)))) //nolint:errcheck // a Buffer takes all
	w.Write(head)                                         //nolint:errcheck // as above
	w.Write(snap)                                         //nolint:errcheck // as above
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("write a visitor's state: %w", err)
	}
	return out.Bytes(), nil
}

// newest are the logins that are kept of a visitor.
func newest(l []kernel.LoginRecord) []kernel.LoginRecord { return l[max(0, len(l)-maxKeptLogins):] }

// decode reads what encode wrote; nothing in data is trusted.
func decode(data []byte) (state, []byte, error) {
	var s state
	var plain bytes.Buffer
	if _, err := io.Copy(&plain, io.LimitReader(flate.NewReader(bytes.NewReader(data)), maxInflated+1)); err != nil {
		return s, nil, fmt.Errorf("read a visitor's state: %w", err)
	}
	if plain.Len() > maxInflated {
		return s, nil, fmt.Errorf("read a visitor's state: more than %d bytes", maxInflated)
	}
	all := plain.Bytes()
	n, k := binary.Uvarint(all)
	if k <= 0 || n > uint64(len(all)-k) {
		return s, nil, errors.New("read a visitor's state: cut off")
	}
	all = all[k:]
	if err := json.Unmarshal(all[:n], &s); err != nil {
		return s, nil, fmt.Errorf("read a visitor's state: %w", err)
	}
	if s.Version != stateVersion || len(s.Passwords) > maxSecrets || len(s.Admitted) > maxSecrets || len(s.Gone) > 10_000 {
		return s, nil, errors.New("read a visitor's state: not of this version, or over the limits")
	}
	return s, all[n:], nil
}

// restore makes the view of a kept state; an unreadable one is none.
func (v *Visit) restore(data []byte) error {
	s, snap, err := decode(data)
	if err != nil {
		return err
	}
	fs, err := vfs.Restore(v.host.base, v.host.c.FS, snap)
	if err != nil {
		return err
	}
	v.M.FS.Release()
	v.M.FS = fs
	v.mu.Lock()
	defer v.mu.Unlock()
	maps.Copy(v.passwords, s.Passwords)
	maps.Copy(v.admitted, s.Admitted)
	v.lastAt, v.lastFrom = s.LastAt, s.LastFrom[:min(len(s.LastFrom), 64)]
	v.M.Table.Restore(s.Gone, s.Next)
	v.M.Ledger.Restore(newest(s.Logins))
	fs.OnLive(v.grown)
	v.M.Settings.Restore(s.Settings)
	return nil
}

// load asks the Store for the view, before anyone uses it.
func (v *Visit) load(ctx context.Context) {
	st := v.host.c.Store
	if st == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, recallWait)
	defer cancel()
	token, data, err := st.Recall(ctx, v.storeKey())
	if err != nil {
		v.host.warn("a visitor's changes could not be asked for; he sees the host as it was", err)
		return
	}
	v.token, v.loaded = token, true
	if len(data) == 0 {
		return
	}
	v.kept.Store(true)
	if err := v.restore(data); err != nil {
		v.host.warn("a visitor's changes could not be read; he sees the host as it was", err)
	}
}

// forgotten reports whether the Store has lost what it was given of this view:
// it was told to forget the source, or the state is too old.
func (v *Visit) forgotten(ctx context.Context) bool {
	if !v.kept.Load() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, recallWait)
	defer cancel()
	_, data, err := v.host.c.Store.Recall(ctx, v.storeKey())
	return err == nil && len(data) == 0
}

func (v *Visit) storeKey() string { return v.host.c.Name + "/" + v.key }

func (h *Host) warn(what string, err error) {
	if h.c.Log != nil {
		h.c.Log.Warn(what, "host", h.c.Name, "error", err)
	}
}

// Run keeps what visitors change until ctx ends, and then once more. What was
// changed in the last seconds before the process is killed is lost.
func (h *Host) Run(ctx context.Context) error {
	for h.c.Clock.Sleep(ctx, saveEvery) == nil {
		h.saveAll(ctx, false)
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastSaves)
	defer cancel()
	h.saveAll(last, true)
	return nil
}

func (h *Host) saveAll(ctx context.Context, last bool) {
	now := h.c.Clock.Now()
	for _, v := range h.views() {
		if h.c.Store == nil {
			return
		}
		if last || now.After(v.next) {
			v.save(ctx)
		}
		h.drop(v, now)
	}
}

// views is every view that is ready.
func (h *Host) views() []*Visit {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]*Visit, 0, len(h.visits))
	for _, v := range h.visits {
		select {
		case <-v.ready:
			out = append(out, v)
		default:
		}
	}
	return out
}

// save hands the view to the Store where it has changed. One goroutine calls it.
func (v *Visit) save(ctx context.Context) {
	version := v.version()
	if !v.loaded || v.gone || version == v.saved {
		return
	}
	began := v.host.c.Clock.Now()
	data, err := v.encode()
	if err == nil {
		err = v.host.c.Store.State(ctx, v.storeKey(), v.token, data)
	}
	now := v.host.c.Clock.Now()
	v.next = now.Add(saveShare * now.Sub(began))
	switch {
	case errors.Is(err, ErrGone):
		v.gone = true
		v.host.mu.Lock()
		if v.host.visits[v.key] == v {
			v.host.remove(v.key)
		}
		v.host.mu.Unlock()
	case err != nil:
		v.host.warn("a visitor's changes could not be kept", err)
	default:
		v.saved = version
		v.kept.Store(true)
	}
}

// drop takes a kept view that nobody uses out of memory.
func (h *Host) drop(v *Visit, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if v.loaded && v.idle(now) > dropAfter && v.version() == v.saved && h.visits[v.key] == v {
		h.remove(v.key)
	}
}
