package live

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// Suppression keeps a rule quiet where its verdicts are known to mean nothing.
// All that is given must fit; something besides the reason must be given.
type Suppression struct {
	Rule   string       // id or title; empty: every rule
	Source netip.Prefix // of source.ip, src_ip, c-ip, IpAddress; or of a correlation's group
	Field  string       // with Value: a field that has this value, without regard to case
	Value  string
	Reason string
	Until  time.Time // zero: no end
}

func (s *Suppression) check() error {
	switch {
	case s.Reason == "":
		return errors.New("a suppression needs a reason")
	case s.Rule == "" && !s.Source.IsValid() && s.Field == "":
		return errors.New("a suppression needs a rule, a source or a field: it would suppress everything")
	case (s.Field == "") != (s.Value == ""):
		return fmt.Errorf("a suppression by field %q needs both field and value", s.Field)
	}
	return nil
}

// sourceFields are the names under which logs have the address that acts.
func sourceFields() [5]string {
	return [...]string{"source.ip", "src_ip", "c-ip", "IpAddress", "SourceIp"}
}

func (s *Suppression) names(r *sigma.Rule, now time.Time) bool {
	if !s.Until.IsZero() && !now.Before(s.Until) {
		return false
	}
	return s.Rule == "" || strings.EqualFold(s.Rule, r.ID) || s.Rule == r.Title
}

func (e *Engine) suppressed(r *sigma.Rule, rec *sigma.Record, now time.Time) bool {
	for i := range e.cfg.Suppress {
		s := &e.cfg.Suppress[i]
		if s.names(r, now) && s.fits(func(name string) string { v, _ := rec.Get(name); return string(v.Text) }) {
			return true
		}
	}
	return false
}

func (e *Engine) suppressedGroup(a sigma.Alert) bool {
	for i := range e.cfg.Suppress {
		s := &e.cfg.Suppress[i]
		if s.names(a.Rule, time.Unix(0, a.Last)) && s.fits(func(name string) string { return a.Group[name] }) {
			return true
		}
	}
	return false
}

// fits holds source and field against a record or a group.
func (s *Suppression) fits(get func(string) string) bool {
	if s.Field != "" && !strings.EqualFold(get(s.Field), s.Value) {
		return false
	}
	if !s.Source.IsValid() {
		return true
	}
	for _, name := range sourceFields() {
		if a, err := netip.ParseAddr(get(name)); err == nil && s.Source.Contains(a.Unmap()) {
			return true
		}
	}
	return false
}
