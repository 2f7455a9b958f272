package calc

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/module"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/view"
)

func loader(f func() module.Value) func(*view.View) (module.Value, any) {
	return func(*view.View) (module.Value, any) { return f(), nil }
}

// Text is the string module.
func Text() *module.Module {
	toInt := func(s string, base int64) module.Value {
		if base < 0 || base == 1 || base > 36 {
			return module.Value{}
		}
		v, ok := parseInt(s, int(base))
		if !ok {
			return module.Value{}
		}
		return module.Of(v)
	}
	f := map[string]*module.Type{
		"to_int": module.FuncOf(
			form("s", module.Int, func(_ *module.Call, a []module.Value) module.Value { return toInt(a[0].S, 0) }),
			form("si", module.Int, func(_ *module.Call, a []module.Value) module.Value { return toInt(a[0].S, a[1].I) }),
		),
		"length": module.FuncOf(form("s", module.Int, func(_ *module.Call, a []module.Value) module.Value { return module.Of(len(a[0].S)) })),
	}
	return &module.Module{Name: "string", Type: module.StructOf(f), Load: none}
}

// parseInt reads a whole text as C's strtoll does.
func parseInt(s string, base int) (int64, bool) {
	s = strings.TrimLeft(s, " \t\n\v\f\r")
	neg := strings.HasPrefix(s, "-")
	if neg || strings.HasPrefix(s, "+") {
		s = s[1:]
	}
	hexed := len(s) > 2 && s[0] == '0' && s[1]|0x20 == 'x'
	switch {
	case hexed && (base == 0 || base == 16):
		s, base = s[2:], 16
	case base == 0 && strings.HasPrefix(s, "0"):
		base = 8
	case base == 0:
		base = 10
	}
	if s == "" || s[0] == '-' || s[0] == '+' || strings.ContainsRune(s, '_') {
		return 0, false
	}
	if neg {
		s = "-" + s
	}
	v, err := strconv.ParseInt(s, base, 64)
	return v, err == nil
}

// Clock is the time module.
func Clock() *module.Module {
	now := module.FuncOf(form("", module.Int, func(*module.Call, []module.Value) module.Value { return module.Of(time.Now().Unix()) }))
	return &module.Module{Name: "time", Type: module.StructOf(map[string]*module.Type{"now": now}), Load: none}
}

// Console is the console module: it writes to the log and is always true.
func Console() *module.Module {
	say := func(c *module.Call, text string) module.Value {
		if c.Log != nil {
			c.Log(text)
		}
		return module.Of(1)
	}
	show := func(v module.Value) string {
		switch v.K {
		case module.Int:
			return strconv.FormatInt(v.I, 10)
		case module.Float:
			return fmt.Sprintf("%f", v.Float())
		}
		return printable(v.S)
	}
	forms := func(kinds string, show func(module.Value) string) *module.Type {
		var out []module.Function
		for _, k := range kinds {
			out = append(out,
				form(string(k), module.Int, func(c *module.Call, a []module.Value) module.Value { return say(c, show(a[0])) }),
				form("s"+string(k), module.Int, func(c *module.Call, a []module.Value) module.Value {
					return say(c, printable(a[0].S)+show(a[1]))
				}))
		}
		return module.FuncOf(out...)
	}
	f := map[string]*module.Type{
		"log": forms("sif", show),
		"hex": forms("i", func(v module.Value) string { return fmt.Sprintf("0x%x", v.I) }),
	}
	return &module.Module{Name: "console", Type: module.StructOf(f), Load: none}
}

// printable shows bytes of a file without letting them reach a terminal.
func printable(s string) string {
	var b strings.Builder
	for _, c := range []byte(s[:min(len(s), 4096)]) {
		if c >= 0x20 && c < 0x7F {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "\\x%02x", c)
		}
	}
	return b.String()
}
