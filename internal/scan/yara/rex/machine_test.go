package rex

import (
	"bytes"
	"testing"
)

// TestLimit holds that runs end soon behind the limit of their steps.
func TestLimit(t *testing.T) {
	p, err := ParseRegexp([]byte(`(a|[ab]|.){2000}[^a]`))
	if err != nil {
		t.Fatal(err)
	}
	prog, err := Compile([]*Node{p.Root}, Flags{}, false)
	if err != nil {
		t.Fatal(err)
	}
	text := bytes.Repeat([]byte("a"), 100_000)
	for name, run := range map[string]func(m *Machine) int{
		"search":  func(m *Machine) int { return m.Search(prog, text) },
		"forward": func(m *Machine) int { return m.Forward(prog, Input{Data: text}, 0, false) },
		"backward": func(m *Machine) int {
			found := -1
			m.Backward(prog, Input{Data: text}, len(text), false, func(n int) { found = n })
			return found
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := Machine{Limit: 10_000}
			if n := run(&m); n >= 0 || m.Steps > m.Limit+int64(len(prog.Code)) || m.Steps < m.Limit {
				t.Errorf("found %d, %d steps with a limit of %d", n, m.Steps, m.Limit)
			}
		})
	}
}
