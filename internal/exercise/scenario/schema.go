package scenario

import (
	"encoding/json"
	"fmt"
)

// SchemaID is where the schema of this format's version is known by.
const SchemaID = "range-1.schema.json"

// Schema is the format as a JSON Schema (draft 2020-12), for editors. It is made
// from the tables that Load checks against; what it cannot say (that a host is
// there, that steps end) only Load tells.
func Schema() ([]byte, error) {
	spec := fileSpec()
	root := spec.schema()
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["$id"] = SchemaID
	root["title"] = "A scenario of the lapwing range"
	defs := map[string]any{}
	for _, a := range Actions {
		s := Spec{Type: TypeBlock, Fields: a.Args}
		d := s.schema()
		d["description"] = a.Doc
		defs[a.Name] = d
	}
	root["$defs"] = defs
	out, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the schema: %w", err)
	}
	return append(out, '\n'), nil
}

// filled is a text with ${...}, which may stand for any value.
func filled(o map[string]any) map[string]any {
	return map[string]any{"anyOf": []any{o, map[string]any{"type": "string", "pattern": `\$\{[^}]*\}`}}}
}

func (s *Spec) schema() map[string]any {
	switch s.Type {
	case TypeBlock:
		return s.object()
	case TypeTable:
		return map[string]any{"type": "object", "maxProperties": int(s.Max), "minProperties": int(s.Min), "propertyNames": map[string]any{"pattern": whole(s.Pattern)}, "additionalProperties": s.Elem.schema()}
	case TypeList:
		return map[string]any{"type": "array", "items": s.Elem.schema(), "minItems": int(s.Min), "maxItems": int(s.Max)}
	case TypeListOrOne:
		l := *s
		l.Type = TypeList
		return map[string]any{"anyOf": []any{s.Elem.schema(), l.schema()}}
	case TypeEither:
		return map[string]any{"anyOf": []any{s.One.schema(), s.Elem.schema()}}
	case TypeArgs:
		return map[string]any{"type": "object"}
	case TypeInteger:
		return filled(map[string]any{"type": "integer", "minimum": s.Min, "maximum": s.Max})
	case TypeNumber:
		return filled(map[string]any{"type": "number", "minimum": s.Min, "maximum": s.Max})
	case TypeBoolean:
		return map[string]any{"type": "boolean"}
	case TypeWord:
		return map[string]any{"enum": s.Words}
	case TypeShare:
		return map[string]any{"type": []string{"string", "number"}}
	case TypeText, TypeName:
		o := map[string]any{"type": []string{"string", "number", "boolean"}}
		if s.Max > 0 {
			o["maxLength"] = int(s.Max)
		}
		return o
	case TypeTechnique:
		return map[string]any{"type": "string", "pattern": whole(techniquePattern)}
	}
	return map[string]any{"type": []string{"string", "number"}, "description": s.article()}
}

func (s *Spec) object() map[string]any {
	props := map[string]any{}
	required := []string{}
	var args bool
	for i := range s.Fields {
		f := &s.Fields[i]
		p := f.Spec.schema()
		p["description"] = f.Doc
		if f.Spec.Names == "action" {
			p["enum"] = actionNames()
		}
		props[f.Name] = p
		if f.Required {
			required = append(required, f.Name)
		}
		args = args || f.Spec.Type == TypeArgs
	}
	o := map[string]any{"type": "object", "properties": props, "additionalProperties": false}
	if len(required) > 0 {
		o["required"] = required
	}
	if args {
		var all []any
		for _, a := range Actions {
			all = append(all, map[string]any{
				"if":   map[string]any{"properties": map[string]any{"action": map[string]any{"const": a.Name}}, "required": []string{"action"}},
				"then": map[string]any{"properties": map[string]any{"args": map[string]any{"$ref": "#/$defs/" + a.Name}}},
			})
		}
		o["allOf"] = all
	}
	return o
}

func whole(p string) string { return "^(" + p + ")$" }

func actionNames() []string {
	out := make([]string, len(Actions))
	for i := range Actions {
		out[i] = Actions[i].Name
	}
	return out
}
