package avcheck

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/scan/clamd"
)

// State is what could be learnt of the antivirus programs.
type State struct {
	Engine     string    `json:"engine,omitempty"`     // of clamd
	Signatures string    `json:"signatures,omitempty"` // their number
	Built      time.Time `json:"signatures_built,omitzero"`
	AgeDays    int       `json:"signatures_age_days"`      // -1: not known
	RealTime   bool      `json:"real_time"`                // a program that acts by itself was seen running
	Program    string    `json:"real_time_name,omitempty"` // which
	Config     string    `json:"config,omitempty"`         // the clamd.conf that was read
	Prevention string    `json:"on_access_prevention,omitempty"`
	Exclusions []string  `json:"exclusions"`
	Covers     string    `json:"excluded_by,omitempty"` // the exclusion that the directory falls under
	Notes      []string  `json:"notes"`
}

// confPlaces are where distributions put clamd.conf.
func confPlaces() []string {
	return []string{"/etc/clamav/clamd.conf", "/etc/clamd.d/scan.conf", "/etc/clamd.conf", "/usr/local/etc/clamav/clamd.conf"}
}

// realTime are the names of processes that look at files as they are written.
func realTime() map[string]string {
	return map[string]string{"clamonacc": "clamonacc", "wdavdaemon": "Microsoft Defender", "MsMpEng.exe": "Microsoft Defender"}
}

// sockets are where distributions put clamd's socket.
func sockets() []string {
	return []string{"/run/clamav/clamd.ctl", "/run/clamd.scan/clamd.sock", "/run/clamav/clamd.sock"}
}

// learn asks what can be asked before the first file is written.
func (s *State) learn(ctx context.Context, c *Config) error {
	s.AgeDays, s.Exclusions, s.Notes = -1, []string{}, []string{}
	s.processes()
	conf, err := s.findConf(c)
	if err != nil {
		return err
	}
	if c.Log == "" {
		c.Log = conf.log
	}
	named := c.Clamd != nil
	if !named {
		s.findClamd(c, conf)
	}
	if c.Clamd == nil {
		return nil
	}
	v, err := c.Clamd.Version(ctx)
	if err != nil && named {
		return err
	}
	if err != nil { // it may well not run: then nobody is asked
		s.Notes = append(s.Notes, "clamd does not answer: "+err.Error())
		c.Clamd = nil
		return nil //nolint:nilerr // it is told
	}
	s.Engine, s.Signatures, s.Built = v.Engine, v.Signatures, v.Built
	if !v.Built.IsZero() {
		s.AgeDays = max(0, int(time.Since(v.Built)/(24*time.Hour)))
	}
	return nil
}

// findConf reads the clamd.conf that is named, or that lies at a usual place.
func (s *State) findConf(c *Config) (settings, error) {
	places := confPlaces()
	if c.Conf != "" {
		places = []string{c.Conf}
	}
	for _, p := range places {
		f, err := os.Open(p)
		if errors.Is(err, fs.ErrNotExist) && c.Conf == "" {
			continue
		}
		if err != nil {
			if c.Conf != "" {
				return settings{}, fmt.Errorf("read the configuration of clamd: %w", err)
			}
			s.Notes = append(s.Notes, "the configuration of clamd cannot be read: "+err.Error())
			continue
		}
		s.Config = p
		conf := s.readConf(f, c.Dir)
		f.Close() //nolint:errcheck // only read
		return conf, nil
	}
	return settings{}, nil
}

// findClamd asks the clamd that its configuration names: LocalSocket, else
// TCPSocket; else, where no configuration was named, one whose socket lies at a
// usual place.
func (s *State) findClamd(c *Config, conf settings) {
	address := conf.socket
	if address == "" && conf.port != "" {
		address = net.JoinHostPort(cmp.Or(conf.host, "localhost"), conf.port)
	}
	for _, p := range sockets() {
		if info, err := os.Stat(p); address == "" && c.Conf == "" && err == nil && info.Mode()&os.ModeSocket != 0 {
			address = p
		}
	}
	if address == "" {
		return
	}
	client, err := clamd.New(address, 30*time.Second)
	if err != nil {
		s.Notes = append(s.Notes, s.Config+": "+err.Error())
		return
	}
	c.Clamd = client
}

// processes looks for programs that act by themselves.
func (s *State) processes() {
	names := realTime()
	comms, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		return
	}
	for _, p := range comms {
		data, err := os.ReadFile(p)
		if err != nil {
			continue // it has ended
		}
		if name := names[strings.TrimSpace(string(data))]; name != "" {
			s.RealTime, s.Program = true, name
			return
		}
	}
}

const maxConf = 1 << 20 // bytes

// settings are what of clamd.conf is followed.
type settings struct{ log, socket, host, port string }

// readConf reads clamd.conf: exclusions, on-access settings, the log file, and
// where clamd is asked.
func (s *State) readConf(r io.Reader, dir string) (conf settings) {
	sc := bufio.NewScanner(io.LimitReader(r, maxConf))
	for sc.Scan() {
		key, value, _ := strings.Cut(strings.TrimSpace(sc.Text()), " ")
		value = strings.Trim(strings.TrimSpace(value), `"`)
		switch key {
		case "LogFile":
			conf.log = value
		case "LocalSocket":
			conf.socket = value
		case "TCPSocket":
			conf.port = value
		case "TCPAddr":
			conf.host = value
		case "OnAccessPrevention":
			s.Prevention = value
		case "ExcludePath":
			s.exclude(key, value, func() bool {
				re, err := regexp.Compile(value) // POSIX in clamd; for most the same
				return err == nil && (re.MatchString(dir) || re.MatchString(dir+"/"))
			})
		case "OnAccessExcludePath":
			s.exclude(key, value, func() bool { return below(dir, value) })
		case "OnAccessExcludeUname", "OnAccessExcludeUID", "OnAccessExcludeRootUID", "ExcludePUA":
			s.exclude(key, value, func() bool { return false })
		}
	}
	return conf
}

func (s *State) exclude(key, value string, covers func() bool) {
	const most = 200
	if len(s.Exclusions) >= most {
		return
	}
	text := key + " " + value
	s.Exclusions = append(s.Exclusions, text)
	if s.Covers == "" && covers() {
		s.Covers = text
	}
}

func below(dir, parent string) bool {
	rel, err := filepath.Rel(parent, dir)
	return err == nil && filepath.IsLocal(rel)
}

// logTail reads what is added to a log file.
type logTail struct {
	path string
	at   int64
	rest []byte
}

const maxLogLine = 16 << 10

// skip passes what stands in the log already.
func (l *logTail) skip() {
	if info, err := os.Stat(l.path); err == nil {
		l.at = info.Size()
	}
}

// each calls fn with each new line. A log that is not there yet is no error.
func (l *logTail) each(fn func(string)) error {
	f, err := os.Open(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the log: %w; name another one with --log", err)
	}
	defer f.Close() //nolint:errcheck // only read
	if info, err := f.Stat(); err == nil && info.Size() < l.at {
		l.at, l.rest = 0, nil // it was turned over
	}
	buf := make([]byte, 64<<10)
	for {
		n, err := f.ReadAt(buf, l.at)
		l.at += int64(n)
		l.rest = append(l.rest, buf[:n]...)
		for {
			line, more, ok := bytes.Cut(l.rest, []byte("\n"))
			if !ok {
				break
			}
			fn(string(line))
			l.rest = more
		}
		if len(l.rest) > maxLogLine {
			l.rest = nil
		}
		if err != nil || n == 0 {
			return nil
		}
	}
}

// logLine takes a line of clamd's or clamonacc's log: "… PATH: SIGNATURE FOUND",
// "… moved to …", "… removed".
func (k *check) logLine(line string) {
	_, rest, ok := strings.Cut(line, k.Dir+string(filepath.Separator))
	if !ok || !strings.HasSuffix(strings.TrimSpace(rest), "FOUND") {
		return
	}
	for i := range k.all {
		sig, ok := strings.CutPrefix(rest, k.all[i].name+": ")
		if r := &k.rep.Results[i]; ok && r.Outcome == Nothing {
			k.caught(i, Logged, "the log "+k.Log, signature(sig))
		} else if ok && r.Name == "" {
			r.Name = signature(sig)
		}
	}
}

// signature is the name before "(hash) FOUND".
func signature(s string) string {
	name, _, _ := strings.Cut(strings.TrimSpace(s), " ")
	name, _, _ = strings.Cut(name, "(")
	return name[:min(len(name), 200)]
}
