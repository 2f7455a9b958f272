package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/lapwing-defence/lapwing/internal/exercise/training"
)

func newRangeConnect(g *globals) *cobra.Command {
	return g.asTrainee(&cobra.Command{
		Use: "connect HOST PORT", Short: "Join input and output with a port of the exercise", Args: cobra.ExactArgs(2),
		Long: "Opens a connection into your network by the SOCKS5 way in and joins it with its input and output, for programs that take a command for that, such as ssh. " +
			"ssh is best told to keep the keys of the exercise's hosts apart from those of real ones.",
		Example: "  ssh -o ProxyCommand='lapwing range connect %h %p' -o UserKnownHostsFile=range-hosts admin@www01\n  lapwing range connect www01 25",
	}, func(ctx context.Context, c *training.Client, args []string) error {
		return g.connect(ctx, c, args[0], args[1])
	})
}

func (g *globals) connect(ctx context.Context, c *training.Client, host, port string) error {
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || len(host) > 255 || host == "" {
		return usageError{fmt.Errorf("connect %q %q: name a host and a port from 1 to 65535", host, port)}
	}
	s, err := c.Status(ctx)
	if err != nil {
		return err
	}
	for _, w := range s.Ways {
		if w.Kind != "socks5" {
			continue
		}
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", w.Address)
		if err != nil {
			return fmt.Errorf("the way in: %w", err)
		}
		defer conn.Close() //nolint:errcheck // it is over
		if err := socksConnect(conn, w.User, c.Token, host, uint16(n)); err != nil {
			return fmt.Errorf("connect to %s port %d of the exercise: %w", safe(host, maxLine), n, err)
		}
		return g.joined(ctx, conn)
	}
	return errors.New("the exercise has no SOCKS5 way in")
}

// socksConnect asks a SOCKS5 server (RFC 1928, login by RFC 1929) for a
// connection. The host is a name or an address: the server looks it up.
func socksConnect(c net.Conn, user, secret, host string, port uint16) error {
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	login := append(append([]byte{1, byte(len(user))}, user...), byte(len(secret)))
	login = append(login, secret...)
	ask := append([]byte{5, 1, 0, 3, byte(len(host))}, host...)
	ask = append(ask, byte(port>>8), byte(port))
	for _, turn := range []struct {
		say  []byte
		what string
		want byte
	}{{[]byte{5, 1, 2}, "it asks for another login", 2}, {login, "it does not know the name or the token", 0}} {
		reply, err := exchange(c, turn.say, 2)
		if err != nil {
			return err
		}
		if reply[1] != turn.want {
			return errors.New(turn.what)
		}
	}
	reply, err := exchange(c, ask, 5)
	if err != nil {
		return err
	}
	if reply[1] != 0 {
		return errors.New(socksReason(reply[1]))
	}
	rest := map[byte]int{1: 3, 4: 15, 3: int(reply[4])}[reply[3]] + 2 // of the address and the port
	if _, err := io.ReadFull(c, make([]byte, rest)); err != nil {
		return err
	}
	return c.SetDeadline(time.Time{})
}

func exchange(c net.Conn, say []byte, n int) ([]byte, error) {
	if _, err := c.Write(say); err != nil {
		return nil, err
	}
	reply := make([]byte, n)
	_, err := io.ReadFull(c, reply)
	return reply, err
}

func socksReason(code byte) string {
	switch code {
	case 2:
		return "not allowed"
	case 3, 6:
		return "no way there"
	case 4:
		return "no such host, or it does not answer"
	case 5:
		return "nothing listens on that port"
	}
	return fmt.Sprintf("refused (SOCKS5 reply %d)", code)
}

// joined carries bytes both ways until the far end is done.
func (g *globals) joined(ctx context.Context, conn net.Conn) error {
	stop := context.AfterFunc(ctx, func() { conn.Close() }) //nolint:errcheck // it is over
	defer stop()
	go func() { // input may never end: nobody waits for it
		io.Copy(conn, g.In) //nolint:errcheck // the other direction tells
		if t, ok := conn.(*net.TCPConn); ok {
			t.CloseWrite() //nolint:errcheck // as above
		}
	}()
	_, err := io.Copy(g.Out, conn)
	if ctx.Err() != nil {
		return nil
	}
	return err
}
