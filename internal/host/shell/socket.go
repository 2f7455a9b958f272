package shell

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// What connect(2) gives, in the words of the C library.
var (
	errConnRefused  = errors.New("Connection refused")   //nolint:staticcheck // shown as bash shows it
	errConnTimedOut = errors.New("Connection timed out") //nolint:staticcheck // as above
)

// socketPath takes apart /dev/tcp/HOST/PORT and /dev/udp/HOST/PORT, which bash
// opens itself (bash(1), REDIRECTION).
func socketPath(name string) (proto, host, port string, ok bool) {
	rest, ok := strings.CutPrefix(name, "/dev/")
	parts := strings.Split(rest, "/")
	if !ok || len(parts) != 3 || parts[0] != "tcp" && parts[0] != "udp" || parts[1] == "" || parts[2] == "" {
		return "", "", "", false
	}
	return parts[0], parts[1], parts[2], true
}

// connect records where a visitor wants to go and fails as bash does; nothing
// is sent. UDP has no answer to wait for: what is written to it is dropped.
func (s *sh) connect(ctx context.Context, proto, host, port string) (*kernel.FD, error) {
	f := kernel.Fetch{Tool: "bash", URL: proto + "://" + host + ":" + port}
	s.p.S.Recorder.Fetch(ctx, f)
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		s.fail(1, "%s: Servname not supported for ai_socktype", port)
		return nil, vfs.EINVAL
	}
	r := kernel.Reply{Failure: "timeout"}
	if s.p.M.Net != nil {
		r = s.p.M.Net.Fetch(ctx, f)
	}
	switch {
	case r.Failure == "resolve":
		s.fail(1, "%s: Name or service not known", host)
		return nil, vfs.EINVAL
	case proto == "udp":
		return textFD(""), nil
	}
	err := errConnTimedOut
	if r.Failure == "refused" {
		err = errConnRefused
	} else {
		s.p.M.Clock.Sleep(ctx, 20*time.Second) //nolint:errcheck // the caller sees ctx
	}
	fmt.Fprintf(s.p.Stderr(), "%s: connect: %s\n", s.name, err) //nolint:errcheck // the visitor's own stderr
	return nil, err
}
