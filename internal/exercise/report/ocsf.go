package report

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"
)

// ocsfVersion is the version of the Open Cybersecurity Schema Framework that the
// classes below are of.
const ocsfVersion = "1.4.0"

// class is an OCSF class and the activity that an event of ours is in it. 99 is
// "other".
type class struct {
	uid, activity int
	name          string
}

// classes by category of ECS; what is not here is a base event.
var classes = map[string]class{
	"authentication": {3002, 1, "Authentication"}, // logon
	"process":        {1007, 1, "Process Activity"},
	"file":           {1001, 99, "File System Activity"},
	"web":            {4002, 99, "HTTP Activity"},
	"network":        {4001, 99, "Network Activity"},
	"session":        {4001, 99, "Network Activity"},
}

// windows are the classes of Windows' records by channel and number.
var windows = map[string]class{
	"Microsoft-Windows-Sysmon/Operational 1":  {1007, 1, "Process Activity"},
	"Microsoft-Windows-Sysmon/Operational 3":  {4001, 1, "Network Activity"},
	"Microsoft-Windows-Sysmon/Operational 7":  {1005, 1, "Module Activity"},
	"Microsoft-Windows-Sysmon/Operational 11": {1001, 1, "File System Activity"},
	"Microsoft-Windows-Sysmon/Operational 22": {4003, 1, "DNS Activity"},
	"Security 4624": {3002, 1, "Authentication"},
	"Security 4625": {3002, 1, "Authentication"},
	"Security 4688": {1007, 1, "Process Activity"},
}

// maxEvent bounds a line of events.
const maxEvent = 1 << 20

// ocsf writes the events of a file, one a line with ECS names, as OCSF. What has no
// place there stands under unmapped.
func ocsf(w io.Writer, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("events as OCSF: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	in := bufio.NewScanner(f)
	in.Buffer(make([]byte, 0, 1<<16), maxEvent)
	for n := 1; in.Scan(); n++ {
		var e map[string]any
		if err := json.Unmarshal(in.Bytes(), &e); err != nil {
			return fmt.Errorf("events as OCSF: %s:%d: %w", name, n, err)
		}
		if err := line(w, toOCSF(e)); err != nil {
			return err
		}
	}
	if err := in.Err(); err != nil {
		return fmt.Errorf("events as OCSF: %w", err)
	}
	return nil
}

// took takes fields out of an event; what is left has no place in OCSF.
type took map[string]any

func (e took) text(name string) string {
	v, ok := e[name]
	if !ok {
		return ""
	}
	delete(e, name)
	if s, ok := v.(string); ok {
		return s
	}
	return fmt.Sprint(v)
}

// object is what of fields is there, by its names in OCSF; nil where nothing is.
func (e took) object(fields ...[2]string) map[string]any {
	var out map[string]any
	for _, f := range fields {
		v, ok := e[f[1]]
		if !ok {
			continue
		}
		delete(e, f[1])
		if out == nil {
			out = map[string]any{}
		}
		out[f[0]] = v
	}
	return out
}

func toOCSF(fields map[string]any) map[string]any {
	e := took(fields)
	c := classOf(e)
	at, err := time.Parse(time.RFC3339Nano, e.text("@timestamp"))
	out := map[string]any{
		"class_uid": c.uid, "class_name": c.name, "category_uid": c.uid / 1000, "activity_id": c.activity, "type_uid": c.uid*100 + c.activity,
		"severity_id": 1, "severity": "Informational",
		"metadata": map[string]any{
			"version": ocsfVersion, "uid": e.text("event.id"), "log_name": cmp.Or(e.text("Channel"), e.text("event.dataset")),
			"product": map[string]any{"name": "lapwing", "vendor_name": "lapwing"},
		},
	}
	if err == nil {
		out["time"] = at.UnixMilli()
	}
	switch e.text("event.outcome") {
	case "success":
		out["status_id"], out["status"] = 1, "Success"
	case "failure":
		out["status_id"], out["status"] = 2, "Failure"
	}
	if m := e.text("message"); m != "" {
		out["message"] = m
	}
	for name, v := range map[string]map[string]any{
		"src_endpoint":    e.object([2]string{"ip", "source.ip"}, [2]string{"port", "source.port"}),
		"dst_endpoint":    e.object([2]string{"ip", "destination.ip"}, [2]string{"port", "destination.port"}, [2]string{"domain", "url.domain"}),
		"device":          e.object([2]string{"hostname", "host.name"}),
		"user":            e.object([2]string{"name", "user.name"}),
		"connection_info": e.object([2]string{"protocol_name", "network.transport"}),
		"file":            e.object([2]string{"path", "file.path"}, [2]string{"size", "file.size"}),
		"process":         e.object([2]string{"name", "process.name"}, [2]string{"cmd_line", "process.command_line"}),
		"query":           e.object([2]string{"hostname", "dns.question.name"}, [2]string{"type", "dns.question.type"}),
	} {
		if v != nil {
			out[name] = v
		}
	}
	if q := e.object([2]string{"http_method", "http.request.method"}, [2]string{"user_agent", "user_agent.original"}); q != nil {
		if u := e.object([2]string{"path", "url.path"}, [2]string{"url_string", "url.original"}); u != nil {
			q["url"] = u
		}
		out["http_request"] = q
	}
	if len(e) > 0 {
		out["unmapped"] = map[string]any(e)
	}
	return out
}

func classOf(e map[string]any) class {
	if id, ok := e["EventID"]; ok {
		if c, ok := windows[fmt.Sprint(e["Channel"], " ", id)]; ok {
			return c
		}
	}
	if _, ok := e["dns.question.name"]; ok {
		return class{4003, 1, "DNS Activity"}
	}
	if c, ok := classes[fmt.Sprint(e["event.category"])]; ok {
		return c
	}
	return class{0, 99, "Base Event"}
}
