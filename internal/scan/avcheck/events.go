package avcheck

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/logsource"
	"github.com/lapwing-defence/lapwing/internal/sigma"
	"github.com/lapwing-defence/lapwing/internal/source/evtx"
	"github.com/lapwing-defence/lapwing/internal/source/jsonl"
)

// The events of Microsoft Defender Antivirus that say something.
const (
	defenderFound    = "1116"
	defenderActed    = "1117"
	defenderDisabled = "5001"
	defenderChanged  = "5007"
)

const (
	maxEvents    = 256 << 20 // bytes of the file
	maxEventLine = 4 << 20
	skew         = 5 * time.Minute // by which the clocks of two machines may differ
)

// defenderEvent is what counts of one event.
type defenderEvent struct {
	id, threat, path, action, actionID string
	changed, before                    string // the new and the old value of a setting
	signatures                         string
	time                               time.Time
}

// eventFile reads a file of events, again whenever it has changed.
type eventFile struct {
	path    string
	size    int64
	mtime   time.Time
	mapping *logsource.Mapping
}

func openEvents(path string) (*eventFile, error) {
	m, err := logsource.Default()
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read the events: %w", err)
	}
	return &eventFile{path: path, mapping: m}, nil
}

// each calls fn with each Defender event of the file, where it has changed.
func (f *eventFile) each(fn func(*defenderEvent)) error {
	in, err := os.Open(f.path)
	if err != nil {
		return fmt.Errorf("read the events: %w", err)
	}
	defer in.Close() //nolint:errcheck // only read
	info, err := in.Stat()
	if err != nil || (info.Size() == f.size && info.ModTime().Equal(f.mtime)) {
		return err
	}
	f.size, f.mtime = info.Size(), info.ModTime()
	r := bufio.NewReaderSize(io.LimitReader(in, maxEvents), 64<<10)
	head, err := r.Peek(len(evtx.FileMagic))
	if err == nil && string(head) == evtx.FileMagic {
		err = f.chunks(r, fn)
	} else {
		err = f.lines(r, fn)
	}
	if err == nil {
		return nil
	}
	if now, serr := in.Stat(); serr == nil && (now.Size() != f.size || !now.ModTime().Equal(f.mtime)) {
		f.size = -1 // it is being written: the next look reads it whole
		return nil
	}
	return fmt.Errorf("read the events of %s: %w", f.path, err)
}

func (f *eventFile) chunks(r io.Reader, fn func(*defenderEvent)) error {
	fields := sigma.NewFields()
	d, rec := evtx.NewDecoder(fields), sigma.NewRecord(fields)
	if _, err := io.CopyN(io.Discard, r, evtx.HeaderSize); err != nil {
		return err
	}
	chunk := make([]byte, evtx.ChunkSize)
	for {
		n, err := io.ReadFull(r, chunk)
		if n > 0 {
			derr := d.Chunk(chunk[:n], rec, func(h *evtx.Head) error {
				if e := defender(rec, h.EventID, h.Provider, h.Channel); e != nil {
					e.time = time.Unix(0, h.Time)
					fn(e)
				}
				return nil
			})
			if derr != nil {
				return derr
			}
		}
		if err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return nil
			}
			return err
		}
	}
}

func (f *eventFile) lines(r io.Reader, fn func(*defenderEvent)) error {
	fields := sigma.NewFields()
	s, rec := jsonl.NewScanner(fields, f.mapping), sigma.NewRecord(fields)
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, maxEventLine)
	sc.Split(wholeLines)
	for n := 1; sc.Scan(); n++ {
		whole := bytes.HasSuffix(sc.Bytes(), []byte("\n"))
		line := bytes.TrimSpace(sc.Bytes())
		if n == 1 {
			line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
		}
		if len(line) == 0 {
			continue
		}
		var h logsource.Head
		if err := s.Scan(line, rec, &h); err != nil {
			if !whole {
				return nil // it is being written: the file is read again when it is longer
			}
			return fmt.Errorf("line %d: %w; give an .evtx file or one JSON object a line", n, err)
		}
		if e := defender(rec, h.EventID, h.Provider, h.Channel); e != nil {
			fn(e)
		}
	}
	return sc.Err()
}

// wholeLines splits as bufio.ScanLines does, but leaves the end of the line on.
func wholeLines(data []byte, atEOF bool) (int, []byte, error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i+1], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

// defender takes an event of Defender out of a record, nil for another one.
func defender(rec *sigma.Record, id, provider, channel []byte) *defenderEvent {
	e := &defenderEvent{id: string(id)}
	from := append(slices.Clone(provider), channel...)
	for name, v := range rec.All() {
		text := string(v.Text)
		switch plain(name) {
		case "threatname":
			e.threat = text
		case "path":
			e.path = text
		case "actionname":
			e.action = text
		case "actionid":
			e.actionID = text
		case "newvalue":
			e.changed = text
		case "oldvalue":
			e.before = text
		case "securityintelligenceversion", "signatureversion":
			e.signatures = text
		case "eventid", "eventcode":
			if e.id == "" {
				e.id = text
			}
		case "channel", "provider", "providername", "sourcename":
			from = append(from, text...)
		case "timestamp", "@timestamp", "systemtime", "timecreated", "detectiontime":
			if t, ok := logsource.ParseTime([]byte(text)); ok && e.time.IsZero() {
				e.time = time.Unix(0, t)
			}
		}
	}
	switch e.id {
	case defenderFound, defenderActed, defenderDisabled, defenderChanged:
	default:
		return nil
	}
	if len(from) > 0 && !bytes.Contains(bytes.ToLower(from), []byte("defender")) {
		return nil
	}
	return e
}

// plain is a field's name without its parents, spaces and underscores: shippers
// write "Threat Name", "Threat_Name", "ThreatName".
func plain(name string) string {
	name = name[strings.LastIndexByte(name, '.')+1:]
	return strings.ToLower(strings.NewReplacer(" ", "", "_", "").Replace(name))
}

// event takes note of what Defender says.
func (k *check) event(e *defenderEvent) {
	s := &k.rep.State
	when := e.time.UTC().Format("2006-01-02 15:04:05Z")
	switch e.id {
	case defenderDisabled:
		s.note("Defender says that its real-time protection was turned off (5001, " + when + ")")
		return
	case defenderChanged:
		s.setting(e, when)
		return
	}
	if e.signatures != "" {
		s.note("Defender's signatures: " + e.signatures)
	}
	for i := range k.all {
		if !k.names(e.path, k.all[i].name) {
			continue
		}
		if e.time.Before(k.begin.Add(-skew)) {
			s.note("an event of " + when + " names " + k.all[i].name + ": it is older than this check and does not count")
			continue
		}
		k.told(i, e)
	}
}

// told is an event about a file of this check.
func (k *check) told(i int, e *defenderEvent) {
	r := &k.rep.Results[i]
	outcome := Logged
	if e.id == defenderActed {
		outcome = e.outcome()
	}
	if r.Name == "" {
		r.Name = e.threat
	}
	if r.Outcome != Nothing && (r.Outcome != Logged || outcome == Logged) {
		return
	}
	r.Outcome, r.By, r.Name = outcome, "Defender event "+e.id, e.threat
	r.Seconds = max(0, seconds(e.time.Sub(k.written[i])))
}

// outcome is what Defender's action means. Its name is in the language of the
// machine, its number is not.
func (e *defenderEvent) outcome() string {
	switch e.actionID {
	case "1", "2", "3": // clean, quarantine, remove
		return Quarantined
	case "10":
		return Blocked
	case "":
	default: // allow, defined by the user, no action
		return Logged
	}
	switch a := strings.ToLower(e.action); {
	case strings.Contains(a, "quarantine"), strings.Contains(a, "remove"), strings.Contains(a, "clean"), strings.Contains(a, "delete"):
		return Quarantined
	case strings.Contains(a, "block"), strings.Contains(a, "no access"):
		return Blocked
	}
	return Logged
}

// setting takes note of a setting that was changed; it may be an exclusion that
// came or went.
func (s *State) setting(e *defenderEvent, when string) {
	exclusion := func(v string) string {
		if i := strings.Index(strings.ToLower(v), `\exclusions\`); i >= 0 {
			return v[i+1:]
		}
		return ""
	}
	switch came, went := exclusion(e.changed), exclusion(e.before); {
	case came != "":
		s.note("Defender was given an exclusion (5007, " + when + "): " + came)
	case went != "":
		s.note("an exclusion of Defender was taken away (5007, " + when + "): " + went)
	default:
		s.note("Defender's settings were changed (5007, " + when + "): " + e.changed + " (before: " + e.before + ")")
	}
}

// names tells whether Defender's path ("file:_C:\x\eicar.com",
// "containerfile:_…; file:_…->inner") means a file of this check: it lies in a
// directory of the same name.
func (k *check) names(path, name string) bool {
	path = strings.ToLower(strings.ReplaceAll(path, `\`, "/"))
	want := strings.ToLower(filepath.Base(k.Dir) + "/" + name)
	for {
		i := strings.Index(path, want)
		if i < 0 {
			return false
		}
		end := path[i+len(want):]
		if (i == 0 || path[i-1] == '/') && (end == "" || strings.HasPrefix(end, "->") || strings.IndexAny(end[:1], "; ,") == 0) {
			return true
		}
		path = end
	}
}

const maxNotes = 50

func (s *State) note(text string) {
	text = text[:min(len(text), 500)]
	if len(s.Notes) < maxNotes && !slices.Contains(s.Notes, text) {
		s.Notes = append(s.Notes, text)
	}
}
