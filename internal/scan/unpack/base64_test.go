package unpack

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"
)

// lines cuts s into lines of n characters.
func lines(s string, n int, end string) string {
	var b strings.Builder
	for len(s) > n {
		b.WriteString(s[:n] + end)
		s = s[n:]
	}
	return b.String() + s + end
}

func wide(s string, order binary.ByteOrder, mark string) string {
	b := []byte(mark)
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, 0, 0)
		order.PutUint16(b[len(b)-2:], u)
	}
	return string(b)
}

// seen tells whether the marker was shown, anywhere inside.
func seen(t *testing.T, data string) bool {
	t.Helper()
	got, rep := walk(t, []byte(data), Limits{})
	if !rep.Complete() {
		t.Errorf("not complete: %v", rep.Skipped)
	}
	return strings.Contains(strings.Join(got, "\n"), "= harmless marker")
}

func TestBase64(t *testing.T) {
	body := strings.Repeat(marker, 9)
	b := base64.StdEncoding.EncodeToString([]byte(body))
	mail := "From: a@example.org\r\nTo: b@example.org\r\nMIME-Version: 1.0\r\nContent-Type: %s\r\n\r\n--XX\r\n" +
		"Content-Type: application/octet-stream\r\n%s\r\n\r\n" + lines(b, 76, "\r\n") + "--XX--\r\n"
	const kind, encoding = "multipart/mixed; boundary=XX", "Content-Transfer-Encoding: base64"
	for name, data := range map[string]string{
		"one line":               "#!/bin/sh\necho " + b + " | base64 -d | sh\n",
		"as base64 writes":       "base64 -d <<E | sh\n" + lines(b, 76, "\n") + "E\n",
		"short lines, CR LF":     "certutil\r\n" + lines(b, 20, "\r\n"),
		"indented":               "data: |\n" + strings.ReplaceAll(lines(b, 64, "\n"), "\n", "\n    "),
		"a word stands before":   "ThisIsAWordOfTheScript\nAndAnotherOneBehindIt\n" + lines(b, 76, "\n"),
		"a NUL in front":         "<?php\x00 $x = '" + b + strings.Repeat(" ", 99) + "';",
		"behind 9 MB":            strings.Repeat("text ", 9<<20/5) + b,
		"UTF-16":                 wide("powershell "+b, binary.LittleEndian, "\xff\xfe"),
		"UTF-16, big-endian":     wide("powershell "+b, binary.BigEndian, "\xfe\xff"),
		"mail":                   fmt.Sprintf(mail, kind, encoding),
		"two boundaries":         fmt.Sprintf(mail, kind+"; boundary=YY", encoding),
		"no boundary":            fmt.Sprintf(mail, "multipart/mixed", encoding),
		"no semicolon":           fmt.Sprintf(mail, "multipart/mixed boundary=XX", encoding),
		"a parameter of no form": fmt.Sprintf(mail, kind+"; x", encoding),
		"encoding with comment":  fmt.Sprintf(mail, kind, encoding+" (x)"),
		"encoding twice":         fmt.Sprintf(mail, kind, "Content-Transfer-Encoding: 7bit\r\n"+encoding),
		"a header of no form":    strings.Replace(fmt.Sprintf(mail, kind, encoding), "To:", "To", 1),
	} {
		t.Run(name, func(t *testing.T) {
			if !seen(t, data) {
				t.Error("what the base64 says was not shown")
			}
		})
	}
	for name, data := range map[string]string{
		"prose":  strings.Repeat("The quick brown fox jumps over 13 lazy dogs\n", 99),
		"digest": lines(strings.Repeat("0123456789abcdef", 30), 64, "\n"),
		"key":    "-----BEGIN KEY-----\n" + lines(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{200, 1, 150, 77, 3, 255, 9}, 60)), 64, "\n"),
	} {
		t.Run(name, func(t *testing.T) {
			if got, rep := walk(t, []byte(data), Limits{}); len(got) > 0 || !rep.Complete() {
				t.Errorf("shown: %q %v", got, rep.Skipped)
			}
		})
	}
}

func TestTarDamagedHeader(t *testing.T) {
	good := tarOf(t, "first", "nothing here", "second", marker)
	for name, at := range map[string]int{"first header": 10, "first sum": 148, "second header": 1024 + 10} {
		t.Run(name, func(t *testing.T) {
			data := bytes.Clone(good)
			data[at] = 'X'
			got, rep := walk(t, data, Limits{})
			if want := "second = harmless marker"; at < 1024 && !strings.Contains(strings.Join(got, "\n"), want) {
				t.Errorf("want %q, got %q", want, got)
			}
			if rep.Complete() {
				t.Error("the damage is not told")
			}
		})
	}
}
