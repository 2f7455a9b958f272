package report

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/exercise/score"
)

// Dataset is what a labelled dataset is made of beside the run. The run must be
// fresh: a stored one has no flows.
type Dataset struct {
	Run      *Run
	Scenario []byte                 // the scenario file, as it was loaded
	Alerts   []score.Alert          // all of them
	Leaves   func(file string) bool // which files there are to be, by the words of a scenario's export
}

// Write fills dir, which exists and may hold capture.pcapng and events.jsonl
// already: what it leaves beside what was run with what result, all alerts, a data
// card, and the sums of all files.
func (d *Dataset) Write(dir string) error {
	if err := Save(dir, d.Run); err != nil {
		return err
	}
	report := func(f func(io.Writer, *Run) error) func(io.Writer) error {
		return func(w io.Writer) error { return f(w, d.Run) }
	}
	for _, p := range []struct {
		export, name string
		write        func(io.Writer) error
	}{
		{"", "alerts.jsonl", d.alerts},
		{"", "run.json", d.run},
		{"", "scenario.range.yaml", func(w io.Writer) error { _, err := w.Write(d.Scenario); return err }},
		{"flows.jsonl", "flows.jsonl", d.flows},
		{"steps.jsonl", "steps.jsonl", d.steps},
		{"events.ocsf.jsonl", "events.ocsf.jsonl", func(w io.Writer) error { return ocsf(w, filepath.Join(dir, "events.jsonl")) }},
		{"report.html", "report.html", report(HTML)},
		{"navigator-layer", "navigator-layer.json", report(Navigator)},
		{"attack-flow", "attack-flow.json", report(AttackFlow)},
		{"junit", "junit.xml", report(JUnit)},
		{"", "README.md", func(w io.Writer) error { return d.card(w, dir) }},
	} {
		if p.export != "" && !d.Leaves(p.export) {
			continue
		}
		if err := writeFile(filepath.Join(dir, p.name), p.write); err != nil {
			return err
		}
	}
	return sums(dir)
}

// flowLine is a connection in the words of Zeek's conn.log, with the two label
// columns that labelled Zeek logs use.
type flowLine struct {
	TS       float64  `json:"ts"`
	UID      string   `json:"uid"`
	OrigH    string   `json:"id.orig_h"`
	OrigP    uint16   `json:"id.orig_p"`
	RespH    string   `json:"id.resp_h"`
	RespP    uint16   `json:"id.resp_p"`
	Proto    string   `json:"proto"`
	Duration float64  `json:"duration"`
	Bytes    int64    `json:"bytes"` // both ways, headers included
	Packets  int64    `json:"packets"`
	Label    string   `json:"label"`          // Malicious, Benign, or Exercise for a trainee's own and for checks of availability
	Detailed string   `json:"detailed-label"` // technique and step, or the activity
	Step     string   `json:"step,omitempty"`
	As       []string `json:"as,omitempty"` // beyond routers that translate: "10.9.0.1:61001 > 10.9.0.20:22"
}

func (d *Dataset) flows(w io.Writer) error {
	var all []flowLine
	var ends []time.Time
	add := func(f *score.Flow, label, detailed, step string) {
		l := flowLine{
			TS: float64(f.Start.UnixMicro()) / 1e6, UID: flowID(f), Proto: f.Proto, Bytes: f.Bytes, Packets: f.Packets,
			OrigH: address(f.Src), OrigP: f.Src.Port(), RespH: address(f.Dst), RespP: f.Dst.Port(),
			Label: label, Detailed: detailed, Step: step,
		}
		for _, t := range f.As {
			l.As = append(l.As, t.Src.String()+" > "+t.Dst.String())
		}
		if f.End.After(f.Start) {
			l.Duration = float64(f.End.Sub(f.Start).Microseconds()) / 1e6
		}
		all = append(all, l)
		ends = append(ends, f.End)
	}
	for i := range d.Run.Truth.Steps {
		s := &d.Run.Truth.Steps[i]
		for j := range s.Flows {
			add(&s.Flows[j], "Malicious", s.Technique+" "+s.ID, s.ID)
		}
	}
	for i := range d.Run.Truth.Activities {
		a := &d.Run.Truth.Activities[i]
		label := "Benign"
		if a.Neutral {
			label = "Exercise"
		}
		for j := range a.Flows {
			add(&a.Flows[j], label, a.ID, "")
		}
	}
	slices.SortStableFunc(all, func(a, b flowLine) int { return cmp.Or(cmp.Compare(a.TS, b.TS), cmp.Compare(a.UID, b.UID)) })
	for i := range all {
		if err := line(w, &all[i]); err != nil {
			return err
		}
	}
	return nil
}

func address(a netip.AddrPort) string {
	if !a.Addr().IsValid() {
		return ""
	}
	return a.Addr().String()
}

// flowID is the same for the same flow of the same run; Zeek's begin with C, too.
func flowID(f *score.Flow) string {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%s %s %s %d", f.Proto, f.Src, f.Dst, f.Start.UnixNano()) // a hash does not fail
	return fmt.Sprintf("C%016x", h.Sum64())
}

// stepTruth is a step as it was done.
type stepTruth struct {
	ID        string        `json:"id"`
	Name      string        `json:"name,omitempty"`
	Technique string        `json:"technique"`
	Tactic    string        `json:"tactic"`
	Action    string        `json:"action,omitempty"`
	From      string        `json:"from"`
	To        string        `json:"to"`
	Started   time.Time     `json:"started"`
	Ended     time.Time     `json:"ended"`
	Outcome   score.Outcome `json:"outcome"`
	Note      string        `json:"note,omitempty"`
	Flows     []string      `json:"flows"`   // uids
	Records   []string      `json:"records"` // ids of events that the step wrote
	Traces    []score.Trace `json:"traces,omitempty"`
}

func (d *Dataset) steps(w io.Writer) error {
	for i := range d.Run.Truth.Steps {
		s := &d.Run.Truth.Steps[i]
		l := stepTruth{
			ID: s.ID, Name: s.Name, Technique: s.Technique, Tactic: s.Tactic, Action: s.Action, From: s.From, To: s.To,
			Started: s.Started, Ended: s.Ended, Outcome: s.Outcome, Note: s.Note, Flows: []string{}, Records: []string{}, Traces: s.Traces,
		}
		for j := range s.Flows {
			l.Flows = append(l.Flows, flowID(&s.Flows[j]))
		}
		for _, t := range s.Traces {
			if t.Record != "" {
				l.Records = append(l.Records, t.Record)
			}
		}
		if err := line(w, l); err != nil {
			return err
		}
	}
	return nil
}

// alertLine is an alert and what it was about.
type alertLine struct {
	*score.Alert
	Verdict score.Verdict `json:"verdict"`
	Steps   []string      `json:"steps"`
}

// alerts come in the order of the result, so that a run gives the same file
// again.
func (d *Dataset) alerts(w io.Writer) error {
	byID := map[string][]*score.Alert{}
	for i := range d.Alerts {
		byID[d.Alerts[i].ID] = append(byID[d.Alerts[i].ID], &d.Alerts[i])
	}
	for i := range d.Run.Result.Alerts {
		a := &d.Run.Result.Alerts[i]
		same := byID[a.ID]
		if len(same) == 0 {
			continue
		}
		byID[a.ID] = same[1:]
		if err := line(w, alertLine{same[0], a.Verdict, append([]string{}, a.Steps...)}); err != nil {
			return err
		}
	}
	return nil
}

func (d *Dataset) run(w io.Writer) error {
	t := &d.Run.Truth
	return line(w, map[string]any{
		"exercise": t.Exercise, "scenario": t.Scenario, "seed": t.Seed, "version": t.Version, "trainee": t.Trainee,
		"started": t.Started, "ended": t.Ended, "attack_domain": orElse(t.Domain, "enterprise-attack"), "attack_version": t.Attack,
		"hosts": d.Run.hosts(), "packets": t.Packets, "dropped": t.Dropped, "score": d.Run.Result.Score,
	})
}

// sums writes SHA256SUMS over all other files of dir, in the form that
// `sha256sum -c` reads.
func sums(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("sums of the dataset: %w", err)
	}
	var b bytes.Buffer
	for _, e := range entries {
		if !e.Type().IsRegular() || e.Name() == "SHA256SUMS" || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		sum, err := sumOf(filepath.Join(dir, e.Name()))
		if err != nil {
			return fmt.Errorf("sums of the dataset: %w", err)
		}
		fmt.Fprintf(&b, "%s  %s\n", sum, e.Name())
	}
	return writeFile(filepath.Join(dir, "SHA256SUMS"), func(w io.Writer) error { _, err := w.Write(b.Bytes()); return err })
}

func sumOf(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	_, err = io.Copy(h, bufio.NewReaderSize(f, 1<<16))
	if err = errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
