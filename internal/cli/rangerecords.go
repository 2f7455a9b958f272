package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// telling are the fields of a record that a person looks at first, in this order,
// and how they are written.
var telling = []struct{ field, as string }{
	{"event.action", ""},
	{"EventID", "event"},
	{"event.outcome", ""},
	{"user.name", "user"},
	{"lapwing.token.id", "token"},
	{"http.request.method", ""},
	{"url.original", ""},
	{"http.response.status_code", "status"},
	{"user_agent.original", "agent"},
	{"dns.question.name", "name"},
	{"QueryName", ""},
	{"Image", ""},
	{"OriginalFileName", ""},
	{"CommandLine", ""},
	{"ParentImage", ""},
	{"TargetFilename", ""},
	{"TargetObject", ""},
	{"Details", ""},
	{"ServiceName", ""},
	{"ImagePath", ""},
	{"ServiceFileName", ""},
	{"SourceImage", ""},
	{"TargetImage", ""},
	{"ShareName", ""},
	{"RelativeTargetName", ""},
	{"ScriptBlockText", ""},
	{"Operation", ""},
	{"ClientInfoString", ""},
	{"Data", ""},
	{"file.path", "file"},
	{"process.command_line", "typed"},
	{"message", ""},
}

// recordLines prints records for people, or whole with --json.
func (g *globals) recordLines(all []json.RawMessage) {
	if len(all) == 0 && !g.json {
		g.put("No record holds that.\n")
	}
	for _, line := range all {
		if g.json {
			g.put("%s\n", jsonText(line))
			continue
		}
		g.put("%s\n", safe(recordLine(line), maxLine))
	}
}

// recordLine is when, where, from where to where, and what.
func recordLine(line []byte) string {
	var r map[string]any
	if json.Unmarshal(line, &r) != nil {
		return string(line)
	}
	at, err := time.Parse(time.RFC3339Nano, word(r["@timestamp"]))
	parts := []string{"--:--:--"}
	if err == nil {
		parts[0] = at.Local().Format(time.TimeOnly)
	}
	host := word(r["lapwing.host"])
	if host == "" {
		host = word(r["host.name"])
	}
	parts = append(parts, host, word(r["event.dataset"]))
	if from := end(r, "source"); from != "" {
		parts = append(parts, from, "->", end(r, "destination"))
	}
	for _, t := range telling {
		text := word(r[t.field])
		switch {
		case text == "" || text == "-" || t.field == "event.action" && text == "logged":
			continue
		case t.as != "":
			text = t.as + "=" + text
		case t.field[0] >= 'A' && t.field[0] <= 'Z': // of Windows
			text = t.field + "=" + text
		}
		parts = append(parts, text)
	}
	return strings.Join(strings.Fields(strings.Join(parts, " ")), " ")
}

// end is one end of a connection.
func end(r map[string]any, which string) string {
	addr, port := word(r[which+".ip"]), word(r[which+".port"])
	if addr == "" || port == "" || port == "0" {
		return addr
	}
	return addr + ":" + port
}

func word(v any) string {
	switch x := v.(type) {
	case nil:
		return ""
	case string:
		return x
	case float64:
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprint(v)
}
