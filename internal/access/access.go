// Package access finds unauthorised access in real logs: a Reader takes the lines
// that sources fetch, decodes and judges them, and emits what is worth keeping and
// what rules say. docs/formats/access.md describes both.
package access

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/detect/live"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/logsource"
	"github.com/lapwing-defence/lapwing/internal/sigma"
	"github.com/lapwing-defence/lapwing/internal/source/jsonl"
	"github.com/lapwing-defence/lapwing/internal/source/line"
	"github.com/lapwing-defence/lapwing/internal/source/textlog"
)

// Emitter takes events. After nil they are durable: all of a call or none.
type Emitter interface {
	Emit(ctx context.Context, events []event.Event) error
}

// Tracker adds what it remembers to records, before rules look at them.
type Tracker interface {
	Add(rec *sigma.Record, at time.Time)
	// Advance tells the time.
	Advance(now time.Time)
	Snapshot(w io.Writer) error
	Restore(r io.Reader) error
}

// Decoder decodes lines of a format that textlog and jsonl do not know.
type Decoder interface {
	// Decode calls each for every record in l, in rec, whose fields it has set. An
	// error says that l is not of the format.
	Decode(l *line.Line, rec *sigma.Record, each func(*sigma.Record)) error
}

// Source is what is known of a source beside its lines.
type Source struct {
	Format string // of lines that name none; empty: found out
	// Spoofable: who sends lines here can write any address into them and is not
	// known (syslog over UDP). Its verdicts say so.
	Spoofable bool
}

// Config is what New takes.
type Config struct {
	Rules live.Config // Immediate is set; MaxKeys is 200,000 and Lateness 2 s where they are zero
	Out   Emitter
	// Trackers and Decoders make them, over the table of the records to come. nil:
	// none. Decoders go by the name of their format.
	Trackers func(*sigma.Fields) []Tracker
	Decoders func(*sigma.Fields) map[string]Decoder
	Sources  map[string]Source
	Clock    clock.Clock // nil: the machine's
	IDs      *event.IDs  // nil: random ones
	// Location is where times without a zone are meant (the machine's).
	Location *time.Location
	// ServiceAccounts are users that no person logs in as, beside those that the
	// rules name.
	ServiceAccounts []string
	// MaxSources is how many pairs of source and account are kept apart in what is
	// counted but not kept (32,768).
	MaxSources int
	// State is the directory in which the state is kept over restarts; empty: it is
	// not kept.
	State string
	Log   *slog.Logger // nil: none
}

// Reader is a line.Sink that judges. Its methods may be called at once.
type Reader struct {
	cfg    Config
	engine *live.Engine
	log    *slog.Logger

	mu       sync.Mutex
	sources  map[string]*source
	trackers []Tracker
	decoders map[string]Decoder
	text     *textlog.Decoder
	json     *jsonl.Scanner
	rec      *sigma.Record
	head     logsource.Head
	ids      ids
	service  map[string]bool
	ledger   *ledger
	waiting  memory
	repeats  map[repeatKey]*repeat
	out      []event.Event
	owed     []event.Event // of Advance, after an error
	stats    Stats
	disk     *disk
	spare    *sigma.Record // of a line that was remembered
	prepared func()        // prepare, made once

	// Of the line that is judged.
	now    time.Time // when it was received
	from   *source
	one    *line.Line
	why    string // it is kept, or not
	judged uint64 // records
}

// source is what is remembered of one.
type source struct {
	Source
	name     string
	sniffed  string
	header   *textlog.Header
	position []byte
	taken    mark   // since the state was saved last
	noted    uint64 // lines of these that are noted on disk
	saved    bool   // it is in the state on disk
	owed     []event.Event
	owedSum  uint32
	replay   replay
}

// Stats counts since New.
type Stats struct {
	Lines    uint64 // taken
	Logins   uint64 // that said something about access
	Verdicts uint64 // emitted
	Kept     uint64 // events emitted beside them
	Counted  uint64 // told by their number alone
	Ahead    uint64 // dated in the future: counted as of now
	Replayed uint64 // judged again in silence after a restart
	Damaged  uint64 // that could not be read as what they were said to be
	Dropped  uint64 // sources whose counts were given up for those of others
	Engine   live.Stats
}

const (
	lateness   = 2 * time.Second
	maxKeys    = 200_000
	maxSources = 1 << 15
	maxAhead   = 10 * time.Minute // a line dated further ahead has a false clock
	maxText    = 4 << 10          // bytes of a line that an event holds
	stateFile  = "access.state"
)

var _ line.Sink = (*Reader)(nil)

// errNoOut says that there is nowhere to send events to.
var errNoOut = errors.New("access: no Out is given")

// New loads the rules, and the state of the last time where there is one: what
// cannot be read of it is told to the log and begun anew.
func New(cfg Config) (*Reader, error) {
	if cfg.Out == nil {
		return nil, errNoOut
	}
	cfg = defaults(cfg)
	engine, err := live.New(cfg.Rules)
	if err != nil {
		return nil, err
	}
	f := engine.Fields()
	r := &Reader{
		cfg: cfg, engine: engine, log: cfg.Log, sources: map[string]*source{}, text: textlog.New(f), json: jsonl.NewScanner(f, engine.Mapping()),
		rec: sigma.NewRecord(f), service: map[string]bool{}, ledger: newLedger(cfg.MaxSources), repeats: map[repeatKey]*repeat{},
	}
	r.ids.bind(f)
	r.spare, r.prepared = sigma.NewRecord(f), r.prepare
	r.text.Location = cfg.Location
	for _, name := range cfg.ServiceAccounts {
		r.service[name] = true
	}
	if cfg.Trackers != nil {
		r.trackers = cfg.Trackers(f)
	}
	if cfg.Decoders != nil {
		r.decoders = cfg.Decoders(f)
	}
	if cfg.State != "" {
		r.disk = &disk{file: filepath.Join(cfg.State, stateFile)}
		if err := r.restore(); err != nil {
			return nil, fmt.Errorf("open the state of access: %w", err)
		}
	}
	return r, nil
}

func defaults(cfg Config) Config {
	cfg.Rules.Immediate = true
	if cfg.Rules.Lateness == 0 {
		cfg.Rules.Lateness = lateness
	}
	if cfg.Rules.MaxKeys == 0 {
		cfg.Rules.MaxKeys = maxKeys
	}
	if cfg.MaxSources == 0 {
		cfg.MaxSources = maxSources
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.System()
	}
	if cfg.IDs == nil {
		cfg.IDs = event.NewIDs(nil, cfg.Clock.Now)
	}
	if cfg.Location == nil {
		cfg.Location = time.Local
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return cfg
}

// Engine gives the rules' engine, to watch its files and to read its counters.
func (r *Reader) Engine() *live.Engine { return r.engine }

// Take implements line.Sink.
func (r *Reader) Take(ctx context.Context, b line.Batch) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.source(b.Source)
	if len(s.owed) > 0 {
		again := s.owedSum == sumOf(0, b.Lines)
		if err := r.cfg.Out.Emit(ctx, s.owed); err != nil {
			return fmt.Errorf("keep what %s brought: %w", b.Source, err)
		}
		s.owed = nil
		if again { // it was judged before it could not be kept
			return r.taken(s, b)
		}
	}
	r.out = r.out[:0]
	for i := range b.Lines {
		r.line(s, &b.Lines[i])
	}
	if len(r.out) > 0 {
		if err := r.cfg.Out.Emit(ctx, r.out); err != nil {
			s.owed, s.owedSum = slices.Clone(r.out), sumOf(0, b.Lines)
			return fmt.Errorf("keep what %s brought: %w", b.Source, err)
		}
	}
	return r.taken(s, b)
}

func (r *Reader) source(name string) *source {
	s := r.sources[name]
	if s == nil {
		s = &source{name: name, Source: r.cfg.Sources[name]}
		r.sources[name] = s
	}
	return s
}

// Position is where a source has to go on so that nothing is missed or counted
// twice: the position that belongs to the state that was loaded. ok is false for
// a source of which none is known.
func (r *Reader) Position(name string) (position []byte, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sources[name]
	if s == nil || s.position == nil {
		return nil, false
	}
	return slices.Clone(s.position), true
}

// Advance tells the time, about once a second: windows of rules end, counts of
// hours that are over are told, and every ten seconds the state is saved.
func (r *Reader) Advance(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.cfg.Clock.Now()
	r.now, r.from, r.one = now, nil, nil
	r.out = append(r.out[:0], r.owed...)
	for _, t := range r.trackers {
		t.Advance(now)
	}
	for _, v := range r.engine.Advance(now) {
		r.late(&v)
	}
	r.tell(now)
	if len(r.out) > 0 {
		if err := r.cfg.Out.Emit(ctx, r.out); err != nil {
			r.owed = slices.Clone(r.out[:min(len(r.out), maxOwed)])
			return fmt.Errorf("keep verdicts and counts: %w", err)
		}
		r.owed = nil
	}
	return r.saveDue(now)
}

// maxOwed is how many verdicts and counts of Advance wait for a hub that is away.
const maxOwed = 10_000

// Stats gives counters for the health page.
func (r *Reader) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.stats
	out.Dropped = r.ledger.dropped
	out.Engine = r.engine.Stats()
	return out
}
