package shell

import (
	"slices"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

const maxCandidates = 200

// complete is the tab key: the word before the cursor as a path, or as a
// command where a command stands.
func (e *editor) complete(prompt string) {
	if e.s.p.Step(2500) != nil {
		return
	}
	start := e.pos
	for start > 0 && !strings.ContainsRune(" \t;|&<>", e.buf[start-1]) {
		start--
	}
	word := string(e.buf[start:e.pos])
	first := strings.TrimSpace(string(e.buf[:start])) == "" || strings.ContainsRune(";|&", lastRune(strings.TrimSpace(string(e.buf[:start]))))
	var names []string
	if first && !strings.Contains(word, "/") {
		names = e.commands(word)
	} else {
		names = e.paths(word)
	}
	base := word[strings.LastIndexByte(word, '/')+1:]
	common := commonPrefix(names)
	if len(common) > len(base) {
		add := common[len(base):]
		if len(names) == 1 && !strings.HasSuffix(add, "/") {
			add += " "
		}
		e.insert([]rune(add))
		return
	}
	if len(names) == 1 && !strings.HasSuffix(names[0], "/") {
		e.insert([]rune(" "))
		return
	}
	e.tabs++
	if e.tabs < 2 || len(names) == 0 {
		e.bell()
		return
	}
	e.put("\n" + strings.Join(names, "  ") + "\n" + prompt + string(e.buf))
	e.back(len(e.buf) - e.pos)
}

func lastRune(s string) rune {
	r := []rune(s)
	if len(r) == 0 {
		return ' '
	}
	return r[len(r)-1]
}

func (e *editor) commands(prefix string) []string {
	var out []string
	for d := range strings.SplitSeq(e.s.get("PATH"), ":") {
		list, err := e.s.p.M.FS.ReadDir(e.s.p.Caller, e.s.p.Abs(d))
		if err != nil {
			continue
		}
		for _, in := range list {
			if strings.HasPrefix(in.Name, prefix) && len(out) < maxCandidates && !contains(out, in.Name) {
				out = append(out, in.Name)
			}
		}
	}
	return out
}

func contains(l []string, s string) bool {
	return slices.Contains(l, s)
}

func (e *editor) paths(word string) []string {
	dir, base := ".", word
	if i := strings.LastIndexByte(word, '/'); i >= 0 {
		dir, base = word[:i+1], word[i+1:]
	}
	if rest, ok := strings.CutPrefix(dir, "~/"); ok {
		dir = e.s.get("HOME") + "/" + rest
	}
	list, err := e.s.p.M.FS.ReadDir(e.s.p.Caller, e.s.p.Abs(dir))
	if err != nil {
		return nil
	}
	var out []string
	for _, in := range list {
		if !strings.HasPrefix(in.Name, base) || base == "" && strings.HasPrefix(in.Name, ".") || len(out) >= maxCandidates {
			continue
		}
		name := in.Name
		if in.Kind == vfs.Dir {
			name += "/"
		}
		out = append(out, name)
	}
	return out
}

func commonPrefix(l []string) string {
	if len(l) == 0 {
		return ""
	}
	p := l[0]
	for _, s := range l[1:] {
		for !strings.HasPrefix(s, p) {
			p = p[:len(p)-1]
		}
	}
	return p
}
