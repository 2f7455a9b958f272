// Package decoy holds the services that only strangers talk to: what a Decoy
// is, the Session it is given for one visitor, and the Server around it.
package decoy

import (
	"context"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/host"
)

// Decoy talks to one visitor at a time. It never listens and never dials.
type Decoy interface {
	// Serve speaks the protocol on s.Conn until the visitor leaves or ctx
	// ends. The Server closes the connection afterwards.
	Serve(ctx context.Context, s *Session) error
}

// Recorder takes what a decoy observes. Emit returning nil is the
// acknowledgement that the event is durable.
type Recorder interface {
	event.Sink
	// Capture stores a file that a visitor left, at most limit bytes of it.
	Capture(ctx context.Context, r io.Reader, limit int64) (sha256 string, size int64, err error)
	// Cast appends lines of asciicast v2 to the recording of a session.
	Cast(ctx context.Context, session string, data []byte) error
}

// Session is one visitor's connection to one decoy.
type Session struct {
	Conn   net.Conn
	ID     string // of the connection, UUIDv7
	Source netip.AddrPort
	Local  netip.AddrPort
	Start  time.Time

	Name  string // "ssh": type of the decoy in the config
	Proto string // network.protocol
	Host  *host.Host
	Clock clock.Clock
	IDs   *event.IDs
	Rec   Recorder

	pending sync.WaitGroup // events on their way
}

// Event begins an event of this connection: ids, addresses, host, time.
func (s *Session) Event(action string) event.Event {
	e := event.Event{
		ID: s.IDs.New(), Time: s.Clock.Now(), Source: s.Source, Destination: s.Local,
		Transport: "tcp", Protocol: s.Proto, Connection: s.ID, Decoy: s.Name,
		Dataset: "decoy." + s.Name, Host: s.Host.Name(), Persona: s.Host.Persona().Template,
	}
	e.Describe(action)
	return e
}

// Emit hands e over and returns when it is durable, or with the reason why not.
func (s *Session) Emit(ctx context.Context, e event.Event) error { return s.Rec.Emit(ctx, e) }

// poster is a Recorder that takes an event without a goroutine that waits for
// it; done is called once, and events of one caller keep their order.
type poster interface {
	Post(ctx context.Context, e event.Event, done func(error))
}

// Post hands e over without making the visitor wait. The Server waits for it
// at the end of the visit. ctx must outlive the visit.
func (s *Session) Post(ctx context.Context, e event.Event) {
	s.pending.Add(1)
	if p, ok := s.Rec.(poster); ok {
		p.Post(ctx, e, func(error) { s.pending.Done() })
		return
	}
	go func() {
		defer s.pending.Done()
		s.Emit(ctx, e) //nolint:errcheck // the recorder counts what it refuses
	}()
}

// Wait returns when every event posted so far is durable or was refused.
func (s *Session) Wait() { s.pending.Wait() }
