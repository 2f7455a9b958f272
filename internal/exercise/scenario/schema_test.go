package scenario_test

import (
	"encoding/json"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/exercise/scenario"
	"github.com/lapwing-defence/lapwing/internal/yamldoc"
	"github.com/lapwing-defence/lapwing/scenarios"
)

// validator knows as much of JSON Schema as ours uses; another word fails the
// test.
type validator struct {
	t    *testing.T
	defs map[string]any
}

func (v *validator) ok(s map[string]any, x any) bool {
	if r, is := s["$ref"].(string); is {
		return v.ok(v.defs[strings.TrimPrefix(r, "#/$defs/")].(map[string]any), x)
	}
	for word, arg := range s {
		if !v.word(s, word, arg, x) {
			return false
		}
	}
	return true
}

func (v *validator) word(s map[string]any, word string, arg, x any) bool {
	object, isObject := x.(map[string]any)
	array, isArray := x.([]any)
	text, isText := x.(string)
	number, isNumber := x.(float64)
	switch word {
	case "description", "title", "$id", "$schema", "$defs", "then":
		return true
	case "type":
		return slices.ContainsFunc(list(arg), func(k any) bool { return hasType(k.(string), x) })
	case "enum":
		return slices.Contains(list(arg), x)
	case "const":
		return arg == x
	case "pattern":
		return !isText || regexp.MustCompile(arg.(string)).MatchString(text)
	case "maxLength":
		return !isText || float64(len(text)) <= arg.(float64)
	case "minimum":
		return !isNumber || number >= arg.(float64)
	case "maximum":
		return !isNumber || number <= arg.(float64)
	case "minItems":
		return !isArray || float64(len(array)) >= arg.(float64)
	case "maxItems":
		return !isArray || float64(len(array)) <= arg.(float64)
	case "minProperties":
		return !isObject || float64(len(object)) >= arg.(float64)
	case "maxProperties":
		return !isObject || float64(len(object)) <= arg.(float64)
	case "items":
		return !slices.ContainsFunc(array, func(e any) bool { return !v.ok(arg.(map[string]any), e) })
	case "anyOf":
		return slices.ContainsFunc(list(arg), func(o any) bool { return v.ok(o.(map[string]any), x) })
	case "allOf":
		return !slices.ContainsFunc(list(arg), func(o any) bool { return !v.ok(o.(map[string]any), x) })
	case "if":
		return !v.ok(arg.(map[string]any), x) || v.ok(s["then"].(map[string]any), x)
	case "required":
		return !slices.ContainsFunc(list(arg), func(k any) bool { _, has := object[k.(string)]; return isObject && !has })
	case "propertyNames":
		for k := range object {
			if !v.ok(arg.(map[string]any), k) {
				return false
			}
		}
		return true
	case "properties", "additionalProperties":
		return v.properties(s, object)
	}
	v.t.Fatalf("the schema uses %q, which this test does not know", word)
	return false
}

func (v *validator) properties(s map[string]any, object map[string]any) bool {
	known, _ := s["properties"].(map[string]any)
	for k, x := range object {
		if p, has := known[k].(map[string]any); has {
			if !v.ok(p, x) {
				return false
			}
			continue
		}
		switch rest := s["additionalProperties"].(type) {
		case bool:
			if !rest {
				return false
			}
		case map[string]any:
			if !v.ok(rest, x) {
				return false
			}
		}
	}
	return true
}

func list(x any) []any {
	if l, is := x.([]any); is {
		return l
	}
	return []any{x}
}

func hasType(kind string, x any) bool {
	switch x := x.(type) {
	case map[string]any:
		return kind == "object"
	case []any:
		return kind == "array"
	case string:
		return kind == "string"
	case bool:
		return kind == "boolean"
	case float64:
		return kind == "number" || kind == "integer" && x == float64(int64(x))
	}
	return kind == "null"
}

func valid(t *testing.T, text string) bool {
	t.Helper()
	schema, err := scenario.Schema()
	if err != nil {
		t.Fatal(err)
	}
	var s map[string]any
	if err := json.Unmarshal(schema, &s); err != nil {
		t.Fatal(err)
	}
	docs, err := yamldoc.Documents("t", []byte(text))
	if err != nil || len(docs) != 1 {
		t.Fatalf("%d documents, %v", len(docs), err)
	}
	var tree, x any
	if err := docs[0].Decode(&tree); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &x); err != nil {
		t.Fatal(err)
	}
	v := &validator{t: t, defs: s["$defs"].(map[string]any)}
	return v.ok(s, x)
}

// TestSchemaAndLoader wants the schema to take what the loader takes, and both to
// refuse what is wrong in its shape.
func TestSchemaAndLoader(t *testing.T) {
	all, _ := fs.Glob(scenarios.FS, "*.range.yaml")
	for _, name := range all {
		text, err := fs.ReadFile(scenarios.FS, name)
		if err != nil {
			t.Fatal(err)
		}
		if !valid(t, string(text)) {
			t.Errorf("the schema refuses %s, which loads", name)
		}
	}
	if !valid(t, small) {
		t.Error("the schema refuses the small scenario, which loads")
	}
	for i, c := range [][2]string{
		{"duration: 10m", "duration: 10m\ncolour: red"},
		{"http.get", "shell.run"},
		{"args: {path:", "payload: AAAA\n      args: {path:"},
		{"args: {path:", "args: {command: id, path:"},
		{"args: {path:", "args: {ports: [1], path:"},
		{"args: {path:", "args: {repeat: 0, path:"},
		{"T1046", "T99"},
		{"tactic: discovery", "tactic: looking"},
		{"count: 3", "count: 10001"},
		{"count: 3", "count: many"},
		{"      from: red01\n", ""},
		{"roles: [red]", "roles: red"},
		{"type: password", "type: secret"},
		{"duration: 10m\n", ""},
	} {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			text := strings.Replace(small, c[0], c[1], 1)
			_, err := load(text)
			if err == nil || valid(t, text) || text == small {
				t.Errorf("%q for %q: the loader says %v, the schema takes it: %v", c[1], c[0], err, valid(t, text))
			}
		})
	}
}
