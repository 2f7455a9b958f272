//go:build unix && !linux

package plant

import "time"

// noAccessTime is Linux's alone.
const noAccessTime = 0

// Unread is Linux's alone: elsewhere looking at a file is reading it.
func (l *Local) Unread(string, time.Time) (unread, known bool) { return false, false }
