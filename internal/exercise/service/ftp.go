package service

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"net"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/event"
)

const (
	ftpTries   = 3
	ftpUpload  = 1 << 20          // bytes taken of an upload
	ftpPatient = 30 * time.Second // for a data connection
)

// ftpSession is one control connection (RFC 959).
type ftpSession struct {
	*visit
	user  string
	in    bool
	tries int
	dir   string
	data  net.Listener
}

// serveFTP speaks FTP with passive data connections.
func serveFTP(v *visit) error {
	f := &ftpSession{visit: v, dir: "/"}
	defer f.shut()
	v.syslog("vsftpd", "CONNECT: Client %q", v.src.Addr())
	if err := v.say("220 %s", cmp.Or(v.c.Banner, v.c.Host.persona.FTP, "(vsFTPd 3.0.3)")); err != nil {
		return err
	}
	for {
		l, err := v.line()
		if err != nil {
			return err
		}
		verb, arg, _ := strings.Cut(l, " ")
		if done, err := f.do(strings.ToUpper(verb), arg); done || err != nil {
			return err
		}
	}
}

func (f *ftpSession) shut() {
	if f.data != nil {
		f.data.Close() //nolint:errcheck // one transfer only
		f.data = nil
	}
}

// do answers one command; done ends the connection.
func (f *ftpSession) do(verb, arg string) (done bool, err error) {
	switch verb {
	case "USER":
		f.user, f.in = clip(arg, 256), false
		return false, f.say("331 Please specify the password.")
	case "PASS":
		return f.pass(arg)
	case "QUIT":
		return true, f.say("221 Goodbye.")
	case "SYST":
		return false, f.say("215 UNIX Type: L8")
	case "FEAT":
		return false, f.say("211-Features:\r\n PASV\r\n EPSV\r\n SIZE\r\n UTF8\r\n211 End")
	case "NOOP":
		return false, f.say("200 NOOP ok.")
	}
	if verb == "SITE" {
		f.query("ftp", "SITE "+arg)
	}
	if !f.in {
		return false, f.say("530 Please login with USER and PASS.")
	}
	return false, f.file(verb, arg)
}

func (f *ftpSession) pass(password string) (bool, error) {
	j := f.admit(f.user, password)
	f.in = j.ok
	word, code := "FAIL", "530 Login incorrect."
	if j.ok {
		word, code = "OK", "230 Login successful."
	}
	f.logged(datasetSyslog, "vsftpd", fmt.Sprintf("[%s] %s LOGIN: Client %q", f.user, word, f.src.Addr()), authenticated(j, f.user))
	if !j.ok {
		f.tries++
	}
	return f.tries >= ftpTries, f.say("%s", code)
}

// file answers the commands of who is logged in.
func (f *ftpSession) file(verb, arg string) error {
	switch verb {
	case "PWD", "XPWD":
		return f.say("257 %q is the current directory", f.dir)
	case "TYPE", "MODE", "STRU", "OPTS":
		return f.say("200 Ok.")
	case "CWD", "CDUP":
		return f.chdir(verb, arg)
	case "SIZE":
		if file, ok := f.c.Host.file(f.abs(arg)); ok {
			return f.say("213 %d", len(file.Content))
		}
		return f.say("550 Could not get file size.")
	case "PASV", "EPSV":
		return f.passive(verb)
	case "LIST", "NLST":
		return f.transfer("150 Here comes the directory listing.", "226 Directory send OK.", func(c net.Conn) error {
			_, err := io.WriteString(c, f.list(verb == "NLST"))
			return err
		})
	case "RETR":
		return f.retrieve(f.abs(arg))
	case "STOR":
		return f.store(f.abs(arg))
	case "DELE", "RMD", "MKD", "RNFR", "RNTO", "SITE", "APPE":
		return f.say("550 Permission denied.")
	}
	return f.say("500 Unknown command.")
}

func (f *ftpSession) abs(arg string) string {
	if !strings.HasPrefix(arg, "/") {
		arg = f.dir + "/" + arg
	}
	return path.Clean(clip(arg, 1024))
}

func (f *ftpSession) chdir(verb, arg string) error {
	if verb == "CDUP" {
		arg = ".."
	}
	dir := f.abs(arg)
	if _, ok := f.entries(dir)[""]; !ok && dir != "/" {
		return f.say("550 Failed to change directory.")
	}
	f.dir = dir
	return f.say("250 Directory successfully changed.")
}

// entries are what lies in dir: files with their size, directories with -1;
// the entry "" says that dir exists.
func (f *ftpSession) entries(dir string) map[string]int64 {
	out := map[string]int64{}
	prefix := strings.TrimSuffix(dir, "/") + "/"
	for _, file := range f.c.Host.c.Files {
		rest, ok := strings.CutPrefix(file.Path, prefix)
		if !ok {
			continue
		}
		out[""] = -1
		if name, _, deep := strings.Cut(rest, "/"); deep {
			out[name] = -1
		} else {
			out[name] = int64(len(file.Content))
		}
	}
	return out
}

func (f *ftpSession) list(short bool) string {
	in := f.entries(f.dir)
	names := slices.Sorted(maps.Keys(in))
	at := f.c.Host.c.Clock.Now().UTC().AddDate(0, -1, 0).Format("Jan 02 2006")
	var b strings.Builder
	for _, name := range names {
		switch size := in[name]; {
		case name == "":
		case short:
			b.WriteString(name + "\r\n")
		case size < 0:
			fmt.Fprintf(&b, "drwxr-xr-x    2 0        0            4096 %s %s\r\n", at, name)
		default:
			fmt.Fprintf(&b, "-rw-r--r--    1 0        0        %8d %s %s\r\n", size, at, name)
		}
	}
	return b.String()
}

// passive opens the listener of one transfer.
func (f *ftpSession) passive(verb string) error {
	f.shut()
	if f.c.Listen == nil {
		return f.say("425 Failed to establish connection.")
	}
	ln, err := f.c.Listen(f.ctx)
	if err != nil {
		return f.say("425 Failed to establish connection.")
	}
	f.data = ln
	port := addrPort(ln.Addr()).Port()
	a := f.dst.Addr()
	if verb == "EPSV" || !a.Is4() {
		return f.say("229 Entering Extended Passive Mode (|||%d|)", port)
	}
	b := a.As4()
	return f.say("227 Entering Passive Mode (%d,%d,%d,%d,%d,%d).", b[0], b[1], b[2], b[3], port>>8, port&255)
}

// transfer takes the data connection, which must come from the same address.
func (f *ftpSession) transfer(before, after string, do func(net.Conn) error) error {
	if f.data == nil {
		return f.say("425 Use PORT or PASV first.")
	}
	defer f.shut()
	if err := f.say("%s", before); err != nil {
		return err
	}
	ln := f.data
	stop := f.c.Host.c.Clock.AfterFunc(ftpPatient, func() { ln.Close() }) //nolint:errcheck // ends Accept
	defer stop()
	c, err := ln.Accept()
	if err != nil {
		return f.say("425 Failed to establish connection.")
	}
	defer c.Close() //nolint:errcheck // may be closed already
	if addrPort(c.RemoteAddr()).Addr() != f.src.Addr() {
		return f.say("425 Security: Bad IP connecting.")
	}
	m := &meter{Conn: c, s: f.Server, until: f.c.Host.c.Clock.Now().Add(f.c.Limits.Session), left: ftpUpload + 1}
	if err := do(m); err != nil {
		return f.say("426 Failure reading or writing network stream.")
	}
	c.Close() //nolint:errcheck // the client waits for the end
	return f.say("%s", after)
}

func (f *ftpSession) retrieve(p string) error {
	file, ok := f.c.Host.file(p)
	if !ok {
		return f.say("550 Failed to open file.")
	}
	before := fmt.Sprintf("150 Opening BINARY mode data connection for %s (%d bytes).", p, len(file.Content))
	return f.transfer(before, "226 Transfer complete.", func(c net.Conn) error {
		f.read(file, f.user)
		f.syslog("vsftpd", "[%s] OK DOWNLOAD: Client %q, %q, %d bytes", f.user, f.src.Addr(), p, len(file.Content))
		_, err := io.WriteString(c, file.Content)
		return err
	})
}

// store takes an upload, tells of it and forgets it.
func (f *ftpSession) store(p string) error {
	return f.transfer("150 Ok to send data.", "226 Transfer complete.", func(c net.Conn) error {
		sum, n, err := f.hashed(c)
		f.syslog("vsftpd", "[%s] OK UPLOAD: Client %q, %q, %d bytes", f.user, f.src.Addr(), p, n)
		e := f.event(event.ActionFileCaptured)
		e.Path, e.Size, e.SHA256, e.User, e.Depth = p, n, sum, f.user, event.DepthAct
		if !f.decoy {
			e.Dataset, e.Action = datasetSyslog, "file-created"
			e.Add("host.os.type", "linux")
		}
		f.emit(e)
		return err
	})
}
