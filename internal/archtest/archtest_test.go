package archtest

import (
	"slices"
	"strings"
	"testing"
)

const root = "../.."

func load(t *testing.T) map[string]*Package {
	t.Helper()
	pkgs, err := Load(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(pkgs) < 10 {
		t.Fatalf("only %d packages found below %s", len(pkgs), root)
	}
	return pkgs
}

func TestImportsFollowTheTable(t *testing.T) {
	pkgs := load(t)
	for dir, pkg := range pkgs {
		name := strings.TrimPrefix(dir, "internal/")
		allowed, ok := table[name]
		if !ok {
			t.Errorf("package %s has no row in the table (it imports %q)", name, pkg.Internal())
			continue
		}
		for _, im := range pkg.Internal() {
			if !slices.Contains(allowed, im) {
				t.Errorf("%s imports %s, which its row does not allow (%v)", name, im, pkg.Imports[Module+"internal/"+im])
			}
		}
		for _, im := range allowed {
			if !slices.Contains(pkg.Internal(), im) {
				t.Errorf("the row of %s allows %s, which it does not import: narrow the row", name, im)
			}
		}
	}
	for name := range table {
		if pkgs["internal/"+name] == nil && pkgs[name] == nil {
			t.Errorf("the table has a row for %s, and there is no such package", name)
		}
	}
}

// forbidden is what packages below a prefix may not import at all.
var forbidden = map[string][]string{
	"internal/host":    {"os", "os/exec", "os/user", "os/signal", "syscall", "net", "net/http", "plugin", "unsafe", "runtime/cgo", "golang.org/x/sys", "mvdan.cc/sh/v3/interp", "mvdan.cc/sh/v3/expand", "path/filepath", "io/ioutil", "runtime/debug"},
	"internal/decoy":   {"os", "os/exec", "os/user", "os/signal", "syscall", "net/http", "plugin", "unsafe", "golang.org/x/sys"},
	"internal/persona": {"os", "os/exec", "os/user", "syscall", "net", "net/http", "golang.org/x/sys"},
}

// guests is what packages below a prefix may import of other people's.
var guests = map[string][]string{
	"internal/host": {
		"mvdan.cc/sh/v3/syntax", "github.com/pkg/sftp", "github.com/klauspost/compress", "golang.org/x/crypto",
	},
	// Of http2 only frames and header compression: transports are on no list below.
	"internal/decoy": {"golang.org/x/crypto", "golang.org/x/net/http2", "github.com/go-asn1-ber/asn1-ber", "github.com/jackc/pgx/v5/pgproto3"},
}

func TestStrangersReachNothing(t *testing.T) {
	for dir, pkg := range load(t) {
		for prefix, bad := range forbidden {
			if !below(dir, prefix) {
				continue
			}
			for im, files := range pkg.Imports {
				for _, b := range bad {
					if im == b || strings.HasPrefix(im, b+"/") && strings.Contains(b, ".") {
						t.Errorf("%s imports %s (%v)", dir, im, files)
					}
				}
			}
		}
		for prefix, good := range guests {
			if !below(dir, prefix) {
				continue
			}
			for im, files := range pkg.Imports {
				if first, _, _ := strings.Cut(im, "/"); !strings.Contains(first, ".") || strings.HasPrefix(im, Module) {
					continue
				}
				if !slices.ContainsFunc(good, func(g string) bool { return below(im, g) }) {
					t.Errorf("%s imports %s (%v), which is not on its list of guests", dir, im, files)
				}
			}
		}
	}
}

// netNames is what a decoy may use of package net: types and helpers that
// touch no network.
var netNames = []string{
	"Conn", "Listener", "Addr", "TCPAddr", "TCPConn", "UDPAddr", "Error", "OpError", "ErrClosed", "JoinHostPort", "SplitHostPort",
	"Pipe", "Buffers", "IP", "ParseIP",
}

// testKit holds the tests of decoys: no row of the table may name it.
const testKit = "internal/decoy/decoytest"

func TestDecoysDialAndListenNowhere(t *testing.T) {
	for dir, pkg := range load(t) {
		if !below(dir, "internal/decoy") || dir == testKit {
			continue
		}
		for call, places := range pkg.Calls {
			switch {
			case strings.HasPrefix(call, "net.") && !slices.Contains(netNames, strings.TrimPrefix(call, "net.")):
				t.Errorf("%s uses %s (%v)", dir, call, places)
			case call == "golang.org/x/crypto/ssh.Dial", call == "crypto/tls.Dial", strings.HasPrefix(call, "golang.org/x/net/http2.") && strings.Contains(call, "Transport"):
				t.Errorf("%s uses %s (%v)", dir, call, places)
			}
		}
	}
}

// virtual packages see the range's own network and no other.
var virtual = []string{"internal/vnet", "internal/exercise", "scenarios"}

// reach are the functions that reach past the range.
var reach = []string{
	"golang.org/x/crypto/ssh.Dial", "net/http.DefaultClient", "net/http.DefaultTransport", "net/http.Get", "net/http.Head", "net/http.Post", "net/http.PostForm",
	"net/http.ListenAndServe", "net/http.ListenAndServeTLS", "net/http.Serve", "net/smtp.Dial", "net/smtp.SendMail", "net/rpc.Dial", "crypto/tls.Dial", "crypto/tls.Listen",
	"crypto/tls.DialWithDialer",
}

func TestRangeReachesNothingOutside(t *testing.T) {
	names := append(slices.Clone(netNames), "PacketConn", "IPv4", "IPv6loopback", "IPAddr", "IPNet", "IPMask", "HardwareAddr", "UnknownNetworkError", "AddrError", "DNSError", "TCPAddrFromAddrPort", "UDPAddrFromAddrPort")
	for dir, pkg := range load(t) {
		if !slices.ContainsFunc(virtual, func(p string) bool { return below(dir, p) }) {
			continue
		}
		for _, im := range []string{"os/exec", "golang.org/x/sys/unix", "os/user", "plugin"} {
			if files := pkg.Imports[im]; files != nil {
				t.Errorf("%s imports %s (%v)", dir, im, files)
			}
		}
		for call, places := range pkg.Calls {
			system := strings.HasPrefix(call, "syscall.") && !strings.HasPrefix(call, "syscall.E") // the numbers of errors are words
			if system || strings.HasPrefix(call, "net.") && !slices.Contains(names, strings.TrimPrefix(call, "net.")) || slices.Contains(reach, call) {
				t.Errorf("%s uses %s (%v)", dir, call, places)
			}
		}
	}
}

// clocked packages also run in the range, on virtual time.
var clocked = []string{"internal/host", "internal/decoy", "internal/persona", "internal/detect", "internal/pipeline"}

// ofLife are the packages that keep, answer or remember what happens in life.
var ofLife = []string{
	"app", "casebook", "config", "confine", "eventlog", "hunt", "journal", "keep", "enforce", "notify", "plan", "respond", "scan/clamd", "vault", "visitors",
}

// deciding are packages below respond that hold nothing of life: they decide,
// for life and for a range, about what each hands them.
var deciding = []string{"respond", "respond/action"}

// TestDecisionsHoldNothing: who decides has no file, socket or clock of his own.
func TestDecisionsHoldNothing(t *testing.T) {
	pkgs := load(t)
	for _, dir := range deciding {
		pkg := pkgs["internal/"+dir]
		for _, im := range []string{"os", "os/exec", "net", "net/http", "syscall", "golang.org/x/sys/unix", "path/filepath", "math/rand", "math/rand/v2", "crypto/rand"} {
			if files := pkg.Imports[im]; files != nil {
				t.Errorf("%s imports %s (%v)", dir, im, files)
			}
		}
		for _, call := range []string{"time.Now", "time.Sleep", "time.After", "time.NewTimer", "time.NewTicker", "time.Tick", "time.AfterFunc", "time.Since", "time.Until"} {
			if places := pkg.Calls[call]; places != nil {
				t.Errorf("%s uses %s (%v); take a clock.Clock", dir, call, places)
			}
		}
	}
}

// TestExercisesCannotReachRealLife walks over all that the range's packages
// import, however far away: what they report can come to no journal, casebook,
// responder, notifier or memory of real sources, for they hold no way there.
func TestExercisesCannotReachRealLife(t *testing.T) {
	seen := map[string]string{}
	var walk func(dir, by string)
	walk = func(dir, by string) {
		if _, done := seen[dir]; done {
			return
		}
		seen[dir] = by
		for _, im := range table[dir] {
			walk(im, dir)
		}
	}
	for dir := range table {
		if below(dir, "exercise") || below(dir, "vnet") {
			walk(dir, "")
		}
	}
	if len(seen) < 20 {
		t.Fatalf("only %d packages were walked over", len(seen))
	}
	for dir, by := range seen {
		if !slices.Contains(deciding, dir) && slices.ContainsFunc(ofLife, func(r string) bool { return below(dir, r) }) {
			t.Errorf("the range reaches %s by %s", dir, by)
		}
	}
}

func TestTimeIsHandedIn(t *testing.T) {
	for dir, pkg := range load(t) {
		if !slices.ContainsFunc(clocked, func(p string) bool { return below(dir, p) }) || dir == testKit {
			continue
		}
		for _, call := range []string{"time.Now", "time.Sleep", "time.After", "time.NewTimer", "time.NewTicker", "time.Tick", "time.AfterFunc", "time.Since", "time.Until"} {
			if places := pkg.Calls[call]; places != nil {
				t.Errorf("%s uses %s (%v); take a clock.Clock", dir, call, places)
			}
		}
	}
}

func below(dir, prefix string) bool { return dir == prefix || strings.HasPrefix(dir, prefix+"/") }

// doorsFile is the one file of internal/entry that may make sockets; it
// refuses addresses that are not loopback.
const doorsFile = "internal/entry/loopback.go"

// TestDoorsListenOnLoopbackAndDialNothing: the range's doors have real
// sockets, made in one file; what they reach they reach by vnet.
func TestDoorsListenOnLoopbackAndDialNothing(t *testing.T) {
	names := append(slices.Clone(netNames), "TCPListener", "UDPConn", "PacketConn", "DNSError", "UDPAddrFromAddrPort")
	pkg := load(t)["internal/entry"]
	for _, im := range []string{"os/exec", "net/http", "golang.org/x/sys/unix", "golang.org/x/crypto/ssh", "golang.zx2c4.com/wireguard/tun/netstack", "golang.zx2c4.com/wireguard/ipc", "plugin"} {
		if files := pkg.Imports[im]; files != nil {
			t.Errorf("entry imports %s (%v)", im, files)
		}
	}
	for call, places := range pkg.Calls {
		switch {
		case call == "net.ListenConfig" && !slices.ContainsFunc(places, func(p string) bool { return !strings.HasPrefix(p, doorsFile+":") }):
		case strings.HasPrefix(call, "net.") && !slices.Contains(names, strings.TrimPrefix(call, "net.")), strings.HasPrefix(call, "syscall.") && !strings.HasPrefix(call, "syscall.E"), slices.Contains(reach, call):
			t.Errorf("entry uses %s (%v)", call, places)
		case strings.HasPrefix(call, "golang.zx2c4.com/wireguard/conn.New"), strings.HasPrefix(call, "golang.zx2c4.com/wireguard/tun.Create"):
			t.Errorf("entry uses %s (%v): it listens on every address, or makes an interface of the machine", call, places)
		}
	}
}
