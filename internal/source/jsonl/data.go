package jsonl

import "github.com/lapwing-defence/lapwing/internal/sigma"

// data scans the array EventData.Data: texts are joined with newlines, objects
// that carry a name and a text are fields, as converters of XML write them.
func (s *Scanner) data(b []byte, from int, n int32, depth int) int {
	nd := s.nodes[n]
	joined, plain := []byte(nil), false
	p := space(b, from+1)
	for p < len(b) && b[p] != ']' {
		if b[p] == '{' && depth < MaxDepth {
			if p = s.pair(b, p, depth); p < 0 {
				return -1
			}
		} else {
			before := s.rec
			s.rec = sigma.NewRecord(s.fields)
			end := s.value(b, p, n, depth, false)
			v, _ := s.rec.Get("Data")
			s.rec = before
			if end < 0 {
				return -1
			}
			if plain {
				joined = append(joined, '\n')
			}
			joined, plain = append(joined, v.Text...), true
			p = end
		}
		if p = space(b, p); p < len(b) && b[p] == ',' {
			p = space(b, p+1)
		}
	}
	if p >= len(b) {
		return s.fail(p, "the array is cut off")
	}
	if plain {
		s.rec.SetID(nd.id, nd.name, sigma.Bytes(joined))
	}
	return p + 1
}

// pair scans {"@Name": ..., "#text": ...}.
func (s *Scanner) pair(b []byte, p, depth int) int {
	before := s.rec
	tmp := sigma.NewRecord(s.fields)
	s.rec = tmp
	end := s.object(b, p+1, 0, depth+1, false)
	s.rec = before
	if end < 0 {
		return -1
	}
	var name, text sigma.Value
	for k, v := range tmp.All() {
		switch k {
		case "@Name", "Name", "-Name", "#attributes.Name":
			name = v
		case "#text", "text", "Text", "Value", "content", "#content":
			text = v
		}
	}
	if len(name.Text) == 0 {
		return end
	}
	bare := make([]byte, 0, len(name.Text))
	for _, c := range name.Text {
		if c != ' ' {
			bare = append(bare, c)
		}
	}
	s.rec.Set(bare, text)
	return end
}
