package hunt

import (
	"bytes"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// Match is one finding: a record that a rule describes, or a correlation.
type Match struct {
	Rule *sigma.Rule
	// License is that of the rule, which asks to be named with what it finds.
	License string
	// File is the input, members of archives after an exclamation mark.
	File string
	// Record is the EventRecordID of a Windows event, else the line, from 1.
	Record uint64
	// Time is when it happened, in nanoseconds since 1970 UTC, 0 when unknown.
	Time int64
	// What the record says of itself, where it does.
	Computer, Channel, EventID string
	// Details are the fields that tell most, as text from the attacker.
	Details string
	// Event is the record as JSON; nil where the report asks for none.
	Event []byte

	// A correlation instead has these.
	Correlation bool
	Group       []Pair
	Count       float64
	First, Last int64
}

// Pair is a name and a value.
type Pair struct{ Name, Value string }

// appendQuoted appends s as JSON text; what is no UTF-8 becomes U+FFFD.
func appendQuoted(dst []byte, s []byte) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRune(s[i:])
			if r == utf8.RuneError && n == 1 {
				dst = append(append(dst, s[from:i]...), "\uFFFD"...)
				i++
				from = i
				continue
			}
			if r == '\u2028' || r == '\u2029' {
				dst = append(append(dst, s[from:i]...), `\u202`...)
				dst = append(dst, hex[r&15])
				i += n
				from = i
				continue
			}
			i += n
			continue
		}
		dst = append(dst, s[from:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
		from = i
	}
	return append(append(dst, s[from:]...), '"')
}

// appendRecord appends a record as a flat JSON object; several values of a
// field become an array.
func appendRecord(dst []byte, rec *sigma.Record) []byte {
	type field struct {
		name   string
		values []sigma.Value
	}
	var order []field
	at := map[string]int{}
	for n, v := range rec.Shown() {
		i, ok := at[n]
		if !ok {
			i = len(order)
			at[n] = i
			order = append(order, field{name: n})
		}
		order[i].values = append(order[i].values, v)
	}
	dst = append(dst, '{')
	for i, f := range order {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendQuoted(dst, []byte(f.name)), ':')
		if len(f.values) == 1 {
			dst = appendValue(dst, f.values[0])
			continue
		}
		dst = append(dst, '[')
		for j, v := range f.values {
			if j > 0 {
				dst = append(dst, ',')
			}
			dst = appendValue(dst, v)
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

func appendValue(dst []byte, v sigma.Value) []byte {
	switch {
	case v.Type == sigma.Null:
		return append(dst, "null"...)
	case v.Type == sigma.Bool, v.Type == sigma.Number && isNumber(v.Text):
		return append(dst, v.Text...)
	}
	return appendQuoted(dst, v.Text)
}

// isNumber tells whether digits are a whole JSON number that 53 bits hold.
func isNumber(b []byte) bool {
	if len(b) > 1 && b[0] == '-' {
		b = b[1:]
	}
	if len(b) == 0 || len(b) > 15 || (b[0] == '0' && len(b) > 1) {
		return false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// telling are the fields that say most about what happened, best first.
func telling() []string {
	return []string{
		"CommandLine", "Image", "ParentImage", "TargetFilename", "TargetObject", "Details", "ImageLoaded", "ScriptBlockText", "ServiceName",
		"ImagePath", "ServiceFileName", "TaskName", "DestinationIp", "DestinationPort", "QueryName", "PipeName", "TargetImage", "GrantedAccess",
		"SubjectUserName", "TargetUserName", "IpAddress", "ShareName", "RelativeTargetName", "User", "ThreatName", "Data",
		"cs-method", "c-uri", "cs-uri-query", "c-ip", "sc-status", "cs-user-agent", "message", "exe", "comm", "query", "logtype", "src_host", "src_ip", "dst_ip", "dst_port", "source.ip",
		"user.name", "eventName", "userIdentity.arn", "sourceIPAddress", "operationName", "Operation", "UserId", "ClientIP",
	}
}

const maxDetails = 600 // bytes of Details

// appendDetails appends the telling fields of a record, or the first ones where
// it has none of them.
func appendDetails(dst []byte, rec *sigma.Record, names []sigma.FieldID) []byte {
	var more bool
	for _, id := range names {
		if v, _, ok := rec.First(id); ok {
			if dst, more = appendDetail(dst, rec.Fields().Name(id), v.Text); !more {
				break
			}
		}
	}
	if len(dst) > 0 {
		return dst
	}
	for n, v := range rec.Shown() {
		if dst, more = appendDetail(dst, n, v.Text); !more {
			break
		}
	}
	return dst
}

// appendDetail appends one field; false when there is no room for more.
func appendDetail(dst []byte, name string, text []byte) ([]byte, bool) {
	if len(text) == 0 || string(text) == "-" {
		return dst, true
	}
	if len(dst) > 0 {
		dst = append(dst, " | "...)
	}
	dst = append(dst, strings.ToValidUTF8(name[:min(len(name), maxDetails/6)], "\uFFFD")...)
	dst = append(dst, ": "...)
	if text = text[:min(len(text), maxDetails/2)]; utf8.Valid(text) {
		dst = append(dst, text...)
	} else {
		dst = append(dst, bytes.ToValidUTF8(text, []byte("\uFFFD"))...)
	}
	return dst, len(dst) <= maxDetails
}

// Stamp is a time as reports write it.
func Stamp(ns int64) string {
	if ns == 0 {
		return ""
	}
	return time.Unix(0, ns).UTC().Format("2006-01-02T15:04:05.000000Z")
}

// Techniques are the ATT&CK technique ids among a rule's tags: T1059.001.
func Techniques(r *sigma.Rule) []string {
	var out []string
	for _, t := range r.Tags {
		rest, ok := strings.CutPrefix(strings.ToLower(t), "attack.t")
		if ok && len(rest) >= 4 && strings.Trim(rest, "0123456789.") == "" {
			out = append(out, "T"+rest)
		}
	}
	return out
}

// Tactics are the ATT&CK tactics among a rule's tags: lateral-movement.
func Tactics(r *sigma.Rule) []string {
	var out []string
	for _, t := range r.Tags {
		rest, ok := strings.CutPrefix(strings.ToLower(t), "attack.")
		if ok && rest != "" && strings.Trim(rest, "abcdefghijklmnopqrstuvwxyz-_") == "" {
			out = append(out, strings.ReplaceAll(rest, "_", "-"))
		}
	}
	return out
}

func formatCount(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }
