package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"
)

// play writes an asciicast v2 with its timing. Sequences that could act on
// the terminal of the person who watches are left out.
func play(ctx context.Context, w io.Writer, cast []byte, speed float64, idle time.Duration) error {
	if speed <= 0 {
		return usageError{errors.New("session replay: --speed must be above 0")}
	}
	at := 0.0
	for i, line := range bytes.Split(cast, []byte("\n")) {
		var ev [3]json.RawMessage
		if i == 0 || len(line) == 0 || json.Unmarshal(line, &ev) != nil {
			continue
		}
		var t float64
		var kind, text string
		if json.Unmarshal(ev[0], &t) != nil || json.Unmarshal(ev[1], &kind) != nil || json.Unmarshal(ev[2], &text) != nil || kind != "o" {
			continue
		}
		wait := min(time.Duration((t-at)*float64(time.Second)), idle)
		at = t
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Duration(float64(max(wait, 0)) / speed)):
		}
		if _, err := io.WriteString(w, tame(text)); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, "\x1b[0m\n")
	return err
}

// tame keeps text, colours and cursor movement, and drops every other escape
// sequence (ECMA-48): operating system commands, device queries, modes.
func tame(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == 0x1b && i+1 < len(s) && s[i+1] == '[':
			j := i + 2
			for j < len(s) && s[j] >= 0x20 && s[j] < 0x40 {
				j++
			}
			if j < len(s) && strings.IndexByte("mABCDEFGHJKfSTPX@", s[j]) >= 0 && j-i < 32 && strings.IndexByte("<=>?", s[i+2]) < 0 {
				b.WriteString(s[i : j+1])
			}
			i = min(j+1, len(s))
		case c == 0x1b && i+1 < len(s) && strings.IndexByte("]PX^_", s[i+1]) >= 0:
			j := i + 2
			for j < len(s) && s[j] != 7 && (s[j] != 0x1b || j+1 >= len(s) || s[j+1] != '\\') {
				j++
			}
			if j < len(s) && s[j] == 0x1b {
				j++
			}
			i = min(j+1, len(s))
		case c == 0x1b:
			i += 2
		case c == '\n' || c == '\r' || c == '\t' || c == 8 || c >= 0x20 && c != 0x7f && c != 0xc2:
			b.WriteByte(c)
			i++
		case c == 0xc2 && i+1 < len(s) && s[i+1] >= 0xa0:
			b.WriteString(s[i : i+2])
			i += 2
		case c == 0xc2:
			i += 2
		default:
			i++
		}
	}
	return b.String()
}
