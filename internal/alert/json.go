package alert

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"time"
)

// wire is an Alert as one flat JSON object with ECS names.
type wire struct {
	Time       time.Time         `json:"@timestamp"`
	Kind       string            `json:"event.kind"`
	ID         string            `json:"id"`
	RuleID     string            `json:"rule.id"`
	RuleName   string            `json:"rule.name"`
	Level      string            `json:"rule.level"`
	About      string            `json:"rule.description,omitempty"`
	Techniques []string          `json:"threat.technique.id"`
	Tactics    []string          `json:"threat.tactic.name,omitempty"`
	Source     netip.Addr        `json:"source.ip"`
	User       string            `json:"user.name,omitempty"`
	Host       string            `json:"lapwing.host,omitempty"`
	Log        string            `json:"lapwing.source,omitempty"`
	Session    string            `json:"lapwing.session.id,omitempty"`
	Campaign   string            `json:"lapwing.campaign.id,omitempty"`
	Exercise   string            `json:"lapwing.exercise.id,omitempty"`
	Later      bool              `json:"lapwing.retrospective,omitempty"`
	Spoofable  bool              `json:"lapwing.spoofable,omitempty"`
	Message    string            `json:"message"`
	Count      int64             `json:"count"`
	First      time.Time         `json:"first"`
	Last       time.Time         `json:"last"`
	Events     []string          `json:"events"`
	Evidence   []json.RawMessage `json:"evidence,omitempty"`
}

// AppendJSON appends a as one JSON object without a line break; evidence that
// is no JSON is left out.
func (a *Alert) AppendJSON(dst []byte) ([]byte, error) {
	w := wire{
		Time: a.First.UTC(), Kind: "alert", ID: a.ID, RuleID: a.Rule.ID, RuleName: a.Rule.Name, Level: a.Rule.Level.String(), About: a.Rule.Description,
		Techniques: a.Rule.Techniques, Tactics: a.Rule.Tactics, Source: a.Source, User: a.User, Host: a.Host, Log: a.Log, Session: a.Session,
		Campaign: a.Campaign, Exercise: a.Exercise, Later: a.Retrospective, Spoofable: a.Spoofable, Message: a.Title, Count: a.Count, First: a.First.UTC(), Last: a.Last.UTC(), Events: a.Events,
	}
	for _, l := range a.Evidence {
		if json.Valid(l) {
			w.Evidence = append(w.Evidence, json.RawMessage(l))
		}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(w); err != nil {
		return dst, fmt.Errorf("write an alert: %w", err)
	}
	return append(dst, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...), nil
}

// Decode is the inverse of AppendJSON; Key is not written.
func Decode(data []byte) (*Alert, error) {
	var w wire
	if err := json.Unmarshal(data, &w); err != nil {
		return nil, fmt.Errorf("read an alert: %w", err)
	}
	level, ok := ParseLevel(w.Level)
	if !ok {
		return nil, fmt.Errorf("read an alert: level %.20q", w.Level)
	}
	a := &Alert{
		ID: w.ID, Source: w.Source, User: w.User, Host: w.Host, Log: w.Log, Session: w.Session, Campaign: w.Campaign, Exercise: w.Exercise, Retrospective: w.Later, Spoofable: w.Spoofable,
		Title: w.Message, Count: w.Count, First: w.First, Last: w.Last, Events: w.Events,
		Rule: Rule{ID: w.RuleID, Name: w.RuleName, Level: level, Description: w.About, Techniques: w.Techniques, Tactics: w.Tactics},
	}
	for _, l := range w.Evidence {
		a.Evidence = append(a.Evidence, l)
	}
	return a, nil
}
