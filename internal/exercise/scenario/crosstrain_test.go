package scenario_test

import (
	"strings"
	"testing"
)

// trained is small with a training and what that needs.
const trained = `
training:
  levels:
    - id: deed
      type: response
      answer: {state: {STATE}}
      points: 10
    - id: exam
      type: assessment
      questions:
        - {QUESTION}
`

func TestTrainingFaults(t *testing.T) {
	base := strings.Replace(small, "  desk: {", "  tap: {network: office, access: [socks5]}\n  safe: {network: office, files: [{path: /srv/a.txt, content: x, honeytoken: bait}, {path: /srv/b.txt, content: x}]}\n  desk: {", 1)
	base = strings.Replace(base, "adversary:\n", "tokens:\n  bait: {kind: file}\nadversary:\n", 1)
	const state, question = "host: web01, isolated: true", "type: hosts, text: Which, correct: [web01], points: 1"
	for _, tt := range []struct{ state, question, want string }{
		{state, question, ""},
		{"host: web01, isolated: false", question, ""},
		{"blocked: red01", question, ""},
		{"blocked: 10.20.1.10", question, ""},
		{"blocked: 203.0.113.9", question, ""},
		{`blocked: "${hosts.red01.ip}"`, question, ""},
		{"stopped: web01/tcp/80", question, ""},
		{"disabled: admin", question, ""},
		{"disabled: K.Dietz", question, ""},
		{"password_changed: admin", question, ""},
		{"host: safe, read: /srv/a.txt", question, ""},
		{state, "type: techniques, text: Which, correct: [T1046, T1110.001]", ""},
		{state, "type: alerts, text: Which, correct: [s1]", ""},

		{"host: web01", question, "state: one state is waited for, not 0"},
		{"host: web01, isolated: true, disabled: admin", question, "one state is waited for, not 2"},
		{"isolated: true", question, "does not say of which host"},
		{"host: web01, disabled: admin", question, "host does not belong to it"},
		{"host: tap, isolated: true", question, "tap is where trainees sit"},
		{"blocked: nosuch", question, "nothing is called \"nosuch\""},
		{"blocked: 10.20.1.99", question, "nothing is called"},
		{"stopped: web01/tcp/81", question, "nothing answers at tcp/81 of web01"},
		{"stopped: nosuch/tcp/80", question, "there is no host \"nosuch\""},
		{"stopped: web01", question, "\"web01\" names no service"},
		{"disabled: admim", question, "no credential and no host has the user \"admim\""},
		{"password_changed: nobody", question, "no credential and no host"},
		{"host: safe, read: /srv/b.txt", question, "/srv/b.txt of safe is no honeytoken"},
		{"host: safe, read: /srv/c.txt", question, "safe has no file /srv/c.txt"},
		{state, "type: hosts, text: Which, correct: [web02]", "there is no host \"web02\""},
		{state, "type: hosts, text: Which, correct: [web01, web01]", "there twice"},
		{state, "type: techniques, text: Which, correct: [scanning]", "\"scanning\" is no technique"},
		{state, "type: alerts, text: Which, correct: [s9]", "there is no step \"s9\""},
		{state, "type: mcq, text: Which, correct: [a], choices: [a]", "nothing to choose from"},
		{state, "type: text, text: Which, correct: [a], choices: [a, b]", "choices belong to mcq"},
		{state, "type: essay, text: Which, correct: [a]", "essay"},
	} {
		text := base + strings.Replace(strings.Replace(trained, "STATE", tt.state, 1), "QUESTION", tt.question, 1)
		_, err := load(text)
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s, %s: %v", tt.state, tt.question, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s, %s: %v, want %q", tt.state, tt.question, err, tt.want)
		case tt.want != "" && !strings.Contains(err.Error(), "t.yaml:"):
			t.Errorf("%s: no line in %v", tt.want, err)
		}
	}
	for text, want := range map[string]string{
		strings.Replace(base, ", access: [socks5]", "", 1) + strings.Replace(strings.Replace(trained, "STATE", state, 1), "QUESTION", question, 1):     "no host lets trainees in",
		strings.Replace(base, "[socks5]", "[web-terminal]", 1) + strings.Replace(strings.Replace(trained, "STATE", state, 1), "QUESTION", question, 1): "no host lets trainees in",
		strings.Replace(base, "gateway: r1}", "gateway: r1, accessible_by_user: false}", 1):                                                            "hosts.tap: trainees sit in the network office, which is shut for them",
		strings.Replace(base, "from: red01", "from: tap", 1):                                                                                           "where trainees sit",
	} {
		if _, err := load(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
