package yara

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/code"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/index"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/rex"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/view"
)

const (
	window = 2 << 20 // bytes of a file that are looked at together
	// MaxData is how many bytes of a match are given.
	MaxData = 512
)

// Limits bound one scan of one file. Zero means the default.
type Limits struct {
	// Time is how long a file may take; the default is no limit beside ctx.
	Time time.Duration
	// Matches bounds the matches of one string (default 1,000,000), Total
	// those of all (default 2,000,000).
	Matches, Total int
	// Steps bounds the work of one string's expressions and of one rule's
	// condition, in instructions (default 200,000,000).
	Steps int64
	// Report bounds the matches of one string in a result (default 1,000).
	Report int
}

func (l Limits) orDefault() Limits {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&l.Matches, 1_000_000)
	def(&l.Total, 2_000_000)
	def(&l.Report, 1000)
	if l.Steps <= 0 {
		l.Steps = 200_000_000
	}
	return l
}

// ScanOptions are those of one scan.
type ScanOptions struct {
	// Externals override the values given at compile time; the type stays.
	Externals map[string]any
	Limits    Limits
	// Log takes the lines of the console module.
	Log func(line string)
}

// Result is what a scan found.
type Result struct {
	Matches []Match
	// Limits names what was not looked at to the end, and why.
	Limits []Limit
}

// Match is a rule that is true for the file.
type Match struct {
	Rule    int // for Rules.Rule
	Name    string
	Strings []StringMatch
}

// StringMatch is a place where a string of a rule was found.
type StringMatch struct {
	Name   string
	Offset int64
	Length int64
	Data   []byte // at most MaxData bytes
}

// Limit is a bound that a scan met. Rule is empty where it was the file's.
type Limit struct {
	Rule, String, Reason string
}

// Scanner is the scratch space of one goroutine. The zero value is not usable;
// New makes one.
type Scanner struct {
	rules   *Rules
	lists   [][]match
	flags   []uint8 // of the lists
	touched []int32
	due     []uint64 // rules to evaluate
	truth   []uint64 // rules that are true
	unmet   []bool   // namespaces whose global rule is false
	steps   []int64  // of the patterns, where not zero they are in spent
	spent   []int32
	stopped []bool // patterns that met a limit
	halted  []int32
	total   int
	limits  Limits
	machine rex.Machine
	buf     []byte
	file    view.View
	eval    eval
	answers answers
	result  Result
	ctx     context.Context //nolint:containedctx // for the time of one Scan only
	end     time.Time
	count   int
	work    int64 // steps since the last look at the clock
	err     error
}

type match struct {
	off int64
	n   int32
}

// The flags of a list.
const (
	listUnsorted uint8 = 1 << iota
	listLinked
)

// NewScanner makes the scratch space for one goroutine.
func (r *Rules) NewScanner() *Scanner {
	words := (len(r.prog.Rules) + 63) / 64
	s := &Scanner{
		rules: r, lists: make([][]match, r.nlists), flags: make([]uint8, r.nlists),
		due: make([]uint64, words), truth: make([]uint64, words), unmet: make([]bool, len(r.prog.Namespaces)),
		steps: make([]int64, len(r.prog.Patterns)), stopped: make([]bool, len(r.prog.Patterns)),
		answers: r.guards.answers(),
	}
	s.eval.init(s)
	return s
}

// ErrTime is a scan that took longer than its limit.
var ErrTime = errors.New("the time limit for a file was reached")

// Scan scans size bytes of r. The result is valid even with an error: what was
// found up to it. It fails where r cannot be read, ctx ends or time runs out.
func (s *Scanner) Scan(ctx context.Context, r io.ReaderAt, size int64, o ScanOptions) (Result, error) {
	s.reset(ctx, o)
	defer func() { s.ctx = nil }()
	if err := s.eval.start(o); err != nil {
		return s.result, err
	}
	if err := s.search(r, size); err != nil {
		return s.result, err
	}
	if err := s.conditions(); err != nil {
		return s.result, err
	}
	s.report()
	if err := s.file.Err(); err != nil {
		return s.result, fmt.Errorf("read: %w", err)
	}
	return s.result, nil
}

// Scan is for a single scan; for many keep a Scanner.
func (r *Rules) Scan(ctx context.Context, in io.ReaderAt, size int64, o ScanOptions) (Result, error) {
	return r.NewScanner().Scan(ctx, in, size, o)
}

func (s *Scanner) reset(ctx context.Context, o ScanOptions) {
	for _, l := range s.touched {
		s.lists[l] = s.lists[l][:0]
		if cap(s.lists[l]) > 4096 {
			s.lists[l] = nil
		}
		s.flags[l] = 0
	}
	for _, p := range s.spent {
		s.steps[p] = 0
	}
	for _, p := range s.halted {
		s.stopped[p] = false
	}
	s.touched, s.spent, s.halted = s.touched[:0], s.spent[:0], s.halted[:0]
	clear(s.due)
	clear(s.truth)
	clear(s.unmet)
	s.answers.reset()
	s.total, s.count, s.result, s.err = 0, 0, Result{}, nil
	s.limits, s.ctx, s.end = o.Limits.orDefault(), ctx, time.Time{}
	if s.limits.Time > 0 {
		s.end = time.Now().Add(s.limits.Time)
	}
	for _, i := range s.rules.always {
		s.due[i>>6] |= 1 << (i & 63)
	}
}

// alive tells whether the scan may go on.
func (s *Scanner) alive() bool {
	if s.err != nil {
		return false
	}
	if s.err = s.ctx.Err(); s.err == nil && !s.end.IsZero() && time.Now().After(s.end) {
		s.err = ErrTime
	}
	return s.err == nil
}

// search looks for all strings through a window. Where the file fits in it the
// conditions are answered from there too.
func (s *Scanner) search(r io.ReaderAt, size int64) error {
	keep, ahead := s.rules.back, s.rules.ahead
	want := int(min(size, int64(window+keep+ahead)))
	if cap(s.buf) < want {
		s.buf = make([]byte, want)
	}
	var base int64 // where buf begins in the file
	done := 0      // up to where in buf words were looked for
	buf := s.buf[:0]
	for {
		n, err := r.ReadAt(s.buf[len(buf):want], base+int64(len(buf)))
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read: %w", err)
		}
		buf = s.buf[:len(buf)+n]
		last := errors.Is(err, io.EOF) || base+int64(len(buf)) >= size
		to := len(buf)
		if !last {
			to -= ahead
		}
		if base == 0 && last {
			s.file.Reset(r, size, buf)
		} else if base == 0 {
			s.file.Reset(r, size, nil)
		}
		if !s.pass(rex.Input{Data: buf, AtStart: base == 0}, base, done, to) {
			return s.err
		}
		if last {
			return nil
		}
		drop := to - keep
		copy(s.buf, buf[drop:])
		base += int64(drop)
		done = keep
		buf = s.buf[:len(buf)-drop]
	}
}

// pass looks for words in [from,to) of the window.
func (s *Scanner) pass(in rex.Input, base int64, from, to int) bool {
	if !s.alive() {
		return false
	}
	ok := s.rules.index.Find(in.Data, from, to, func(pos int, found []index.Entry) bool {
		for i := range found {
			if found[i].Fits(in.Data, pos) {
				s.verify(&found[i].Ref, in, base, pos)
			}
		}
		if s.count += len(found); s.count > 4096 {
			s.count = 0
			return s.alive()
		}
		return s.err == nil
	})
	if !ok {
		return false
	}
	for i := range s.rules.prog.Slow {
		if !s.slow(&s.rules.prog.Slow[i], in, base, from, to) {
			return false
		}
	}
	return true
}

// slow tries a unit at each of its first bytes.
func (s *Scanner) slow(u *code.Slow, in rex.Input, base int64, from, to int) bool {
	if !s.wanted(s.rules.prog.Units[u.Ref.Unit].Pattern) {
		return true
	}
	first := &u.First
	for pos := from; pos < to; pos++ {
		if first.Has(in.Data[pos]) {
			s.verify(&u.Ref, in, base, pos)
			if u.Zero {
				s.add(&s.rules.prog.Units[u.Ref.Unit], base+int64(pos), 0)
			}
		}
		if pos&0xFFFF == 0xFFFF && !s.alive() || s.err != nil {
			return false
		}
		if s.stopped[s.rules.prog.Units[u.Ref.Unit].Pattern] {
			return true
		}
	}
	return true
}

// conditions evaluates the rules that may be true, in the order of the text.
func (s *Scanner) conditions() error {
	for w := range s.due {
		for s.due[w] != 0 {
			bit := s.due[w] & -s.due[w]
			s.due[w] &^= bit
			i := w<<6 + trailing(bit)
			rule := &s.rules.prog.Rules[i]
			ok := s.eval.rule(rule)
			if s.err != nil {
				return s.err
			}
			if ok {
				s.truth[w] |= bit
			} else if rule.Global {
				s.unmet[rule.Namespace] = true
			}
		}
		if w&15 == 15 && !s.alive() {
			return s.err
		}
	}
	return nil
}

// report gathers what is to be told.
func (s *Scanner) report() {
	for w, word := range s.truth {
		for word != 0 {
			bit := word & -word
			word &^= bit
			i := w<<6 + trailing(bit)
			rule := &s.rules.prog.Rules[i]
			if rule.Private || s.unmet[rule.Namespace] {
				continue
			}
			m := Match{Rule: i, Name: rule.Name}
			for _, str := range rule.Strings {
				if !str.Private {
					m.Strings = s.stringMatches(m.Strings, str)
				}
			}
			s.result.Matches = append(s.result.Matches, m)
		}
	}
}

func (s *Scanner) stringMatches(out []StringMatch, str code.String) []StringMatch {
	for n, m := range s.matches(str.Pattern) {
		if n >= s.limits.Report {
			break
		}
		data := s.file.Bytes(m.off, min(int64(m.n), MaxData))
		out = append(out, StringMatch{Name: str.Name, Offset: m.off, Length: int64(m.n), Data: append([]byte(nil), data...)})
	}
	return out
}
