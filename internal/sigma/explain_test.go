package sigma

import (
	"strings"
	"testing"
)

func TestExplain(t *testing.T) {
	e := compileRules(t, rule(`sel:
  Image|endswith: '\cmd.exe'
  CommandLine|contains: [foo, bar]
flt:
  User: null
  List: x
condition: sel and not flt`))
	rec := event(e, `Image=C:\cmd.exe`, "CommandLine=nothing", "List=a", "List=b")
	x := e.Explain(e.Rules()[0], rec)
	text := x.String()
	for _, want := range []string{
		"no  rule T",
		"yes   log source is */test/*",
		`no      sel: all of`,
		`yes       Image is "*\\cmd.exe"`,
		`no        CommandLine is "*foo*" or "*bar*" (line 6): "nothing"`,
		`yes     not`,
		`yes         User is absent or null (line 8): absent`,
		`no          List is "x" (line 9): "a", "b"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("missing %q in\n%s", want, text)
		}
	}
	if x.Holds || matchBoth(t, e, rec) {
		t.Error("it holds")
	}
	rec.SetString("CommandLine", String("a bar"))
	if !e.Explain(e.Rules()[0], rec).Holds || !matchBoth(t, e, rec) {
		t.Error("it does not hold")
	}
}
