package eventlog

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestDocument holds docs/formats/events.md against the code: every field it
// names has a column, every query it shows is one.
func TestDocument(t *testing.T) {
	data, err := os.ReadFile("../../docs/formats/events.md")
	if err != nil {
		t.Fatal(err)
	}
	fields, queries, ok := strings.Cut(string(data), "## Queries")
	if !ok {
		t.Fatal("no heading Queries")
	}
	code := regexp.MustCompile("`([^`]+)`")
	rows := func(s string) (out []string) {
		for line := range strings.Lines(s) {
			if strings.HasPrefix(line, "| `") {
				first, _, _ := strings.Cut(strings.ReplaceAll(line[2:], `\|`, "\x00"), " | ")
				for _, m := range code.FindAllStringSubmatch(first, -1) {
					out = append(out, strings.ReplaceAll(m[1], "\x00", "|"))
				}
			}
		}
		return out
	}
	n, before := 0, ""
	for _, f := range rows(fields) {
		if strings.HasPrefix(f, ".") { // short for the name before
			f = before[:strings.LastIndexByte(before, '.')] + f
		}
		before = f
		if _, ok := columns[f]; !ok && !strings.HasSuffix(f, ".*") {
			t.Errorf("the document names a field %q that has no column", f)
		}
		n++
	}
	if n < 40 {
		t.Errorf("only %d fields found", n)
	}
	n = 0
	for _, q := range rows(queries) {
		if strings.HasPrefix(q, ":") {
			q = "user.name" + q
		}
		if _, _, err := Parse(q); err != nil {
			t.Errorf("the document's query %q: %v", q, err)
		}
		n++
	}
	if n < 20 {
		t.Errorf("only %d queries found", n)
	}
	if len(columns) > MaxColumns {
		t.Errorf("%d columns, the limit is %d", len(columns), MaxColumns)
	}
	for name := range columns {
		if len(name) > 128 {
			t.Errorf("the store refuses a name of %d bytes: %s", len(name), name)
		}
	}
}
