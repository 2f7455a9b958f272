// Package app builds the parts that the configuration asks for, runs them as
// separate processes of one binary, and stops them.
package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Dir is a data directory. It belongs to one instance at a time (Lock).
type Dir string

// DefaultDir is the directory used without --data: $STATE_DIRECTORY (a
// systemd service), else lapwing under $XDG_STATE_HOME, else under
// ~/.local/state.
func DefaultDir() (Dir, error) {
	if d := os.Getenv("STATE_DIRECTORY"); d != "" {
		return Dir(d), nil
	}
	if d := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(d) {
		return Dir(filepath.Join(d, "lapwing")), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", errors.New("no home directory: say where to keep data with --data DIR")
	}
	return Dir(filepath.Join(home, ".local", "state", "lapwing")), nil
}

// Path is a file of the directory.
func (d Dir) Path(elem ...string) string {
	return filepath.Join(append([]string{string(d)}, elem...)...)
}

// AllowList is the file of what scans do not tell.
func (d Dir) AllowList() string { return d.Path("allow.jsonl") }

// The places in a data directory.
func (d Dir) journal() string      { return d.Path("journal") }
func (d Dir) eventLog() string     { return d.Path("eventlog") }
func (d Dir) kept() string         { return d.Path("kept") }
func (d Dir) aside() string        { return d.Path("aside.ndjson") }
func (d Dir) storage() string      { return d.Path("eventlog.json") }
func (d Dir) casebook() string     { return d.Path("casebook.db") }
func (d Dir) correlations() string { return d.Path("correlations") }
func (d Dir) bookCopy() string     { return d.Path("run", "casebook-copy.db") } // while a backup runs
func (d Dir) captures() string     { return d.Path("captures") }
func (d Dir) held() string         { return d.Path("held") }
func (d Dir) recordings() string   { return d.Path("recordings") }
func (d Dir) keys() string         { return d.Path("keys") }
func (d Dir) personas() string     { return d.Path("persona") }
func (d Dir) visitors() string     { return d.Path("visitors") }
func (d Dir) tokenRows() string    { return d.Path("tokens", "register.ndjson") }
func (d Dir) doors() string        { return d.Path("tokens", "doors.json") }
func (d Dir) sources() string      { return d.Path("sources") } // the reader's alone
func (d Dir) ledger() string       { return d.Path("respond") } // decisions
func (d Dir) audit() string        { return d.Path("audit") }

// commandState is what the i-th back end blocks by a command.
func (d Dir) commandState(i int) string { return d.Path("enforce", fmt.Sprintf("command-%d.json", i)) }

// The sockets of a running instance.
func (d Dir) apiSocket() string      { return d.Path("run", "api.sock") }
func (d Dir) journalSocket() string  { return d.Path("run", "journal.sock") }
func (d Dir) readerSocket() string   { return d.Path("run", "reader.sock") }
func (d Dir) storeSocket() string    { return d.Path("run", "store.sock") }
func (d Dir) enforcerSocket() string { return d.Path("run", "enforcer.sock") }

const maxSocketPath = 100 // bytes; sockaddr_un holds 108

// Create makes the directory and what belongs in it, readable by the owner only.
func (d Dir) Create() error {
	if len(d.journalSocket()) > maxSocketPath {
		return fmt.Errorf("the data directory's path %q is too long for a socket below it: choose one of at most %d bytes", d, maxSocketPath-len("/run/journal.sock"))
	}
	for _, p := range []string{"", "journal", "eventlog", "captures", "recordings", "keys", "persona", "visitors", "held", "tokens", "run", "sources"} {
		if err := os.MkdirAll(d.Path(p), 0o700); err != nil {
			return fmt.Errorf("make the data directory: %w", err)
		}
	}
	return nil
}

// Exists reports whether an instance has ever used the directory.
func (d Dir) Exists() bool {
	_, err := os.Stat(d.keys())
	return err == nil
}
