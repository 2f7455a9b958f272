package enforce

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// ServerConfig is what Serve takes.
type ServerConfig struct {
	Firewall Firewall
	UIDs     []int // users who may ask; nobody else is answered
	Log      *slog.Logger
}

const (
	maxConns = 16
	patience = 5 * time.Second // for the rest of a frame, and for an answer to be taken
)

// Serve answers on ln until ctx ends. Requests of one connection are done in
// their order.
func Serve(ctx context.Context, ln net.Listener, c ServerConfig) error {
	s := &server{c: c}
	var id [8]byte
	rand.Read(id[:])
	s.instance = binary.BigEndian.Uint64(id[:])
	stop := context.AfterFunc(ctx, func() { ln.Close() }) //nolint:errcheck // Accept ends with it
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	free := make(chan struct{}, maxConns)
	for {
		select {
		case free <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		conn, err := ln.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("accept on the enforcer's socket: %w", err)
		}
		wg.Go(func() {
			defer func() { <-free }()
			s.connection(ctx, conn)
		})
	}
}

type server struct {
	c        ServerConfig
	instance uint64
}

// connection serves one peer.
func (s *server) connection(ctx context.Context, conn net.Conn) {
	defer conn.Close()                                      //nolint:errcheck // the peer is gone
	stop := context.AfterFunc(ctx, func() { conn.Close() }) //nolint:errcheck // reads end with it
	defer stop()
	if err := allowedPeer(conn, s.c.UIDs); err != nil {
		s.c.Log.Warn("somebody who may not ask was at the enforcer's socket", "error", err)
		return
	}
	if s.send(conn, frame{word: wordHello | answer, body: s.health().append(nil)}) != nil {
		return
	}
	for {
		if err := conn.SetReadDeadline(time.Time{}); err != nil {
			return
		}
		f, err := readFrame(conn, func() error { return conn.SetReadDeadline(time.Now().Add(patience)) })
		if errors.Is(err, errFrame) {
			s.c.Log.Warn("a request to the enforcer is refused", "error", err)
			s.send(conn, frame{word: answer, status: statusBad, body: []byte(cut(err.Error()))}) //nolint:errcheck // it ends anyway
		}
		if err != nil {
			return
		}
		if !s.answer(conn, f) {
			return
		}
	}
}

func (s *server) send(conn net.Conn, f frame) error {
	if err := conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	return f.write(conn)
}

// answer does what f asks, and tells whether the connection goes on.
func (s *server) answer(conn net.Conn, f frame) bool {
	status, body, err := s.do(conn, f)
	if err != nil {
		status, body = statusFailed, []byte(cut(err.Error()))
		if errors.Is(err, errFrame) {
			status = statusBad
			s.c.Log.Warn("a request to the enforcer is refused", "error", err)
		}
	}
	return s.send(conn, frame{f.word | answer, status, f.id, body}) == nil && status != statusBad
}

func (s *server) do(conn net.Conn, f frame) (status uint16, body []byte, err error) {
	if f.status != 0 {
		return 0, nil, fmt.Errorf("%w: a request with a status", errFrame)
	}
	switch f.word {
	case wordBlock:
		return s.block(f.body)
	case wordUnblock, wordAllow:
		most, act := perFrame, s.c.Firewall.Unblock
		if f.word == wordAllow {
			most, act = maxFrame/entrySize, s.c.Firewall.Allow
		}
		var list []netip.Prefix
		if list, err = entries(f.body, entrySize, most, takePrefix); err == nil {
			err = act(list)
		}
		return statusOK, nil, err
	}
	if len(f.body) > 0 {
		return 0, nil, fmt.Errorf("%w: a body where none belongs", errFrame)
	}
	switch f.word {
	case wordList:
		return s.list(conn, f.id)
	case wordHealth:
		return statusOK, s.health().append(nil), nil
	case wordPanic:
		return statusOK, nil, s.c.Firewall.Panic()
	}
	return 0, nil, fmt.Errorf("%w: word %d", errFrame, f.word)
}

// block answers with a fault for each element that failed, and the text of the
// kernel's first refusal.
func (s *server) block(body []byte) (status uint16, reply []byte, err error) {
	list, err := entries(body, blockSize, perFrame, takeBlock)
	if err != nil {
		return 0, nil, err
	}
	var text string
	for i, err := range s.c.Firewall.Block(list) {
		if err == nil {
			continue
		}
		reply = binary.BigEndian.AppendUint32(reply, uint32(i))
		reply = append(reply, faultOf(err))
		if faultOf(err) == faultKernel && text == "" {
			text = cut(err.Error())
		}
	}
	if len(reply) == 0 {
		return statusOK, nil, nil
	}
	reply = append(binary.BigEndian.AppendUint32(nil, uint32(len(reply)/faultSize)), reply...)
	return statusSome, append(reply, text...), nil
}

// takeFaults reads the answer of block about n elements.
func takeFaults(b []byte, n int) ([]fault, string, error) {
	if len(b) < 4 {
		return nil, "", errFrame
	}
	count := binary.BigEndian.Uint32(b)
	b = b[4:]
	if int64(count)*faultSize > int64(len(b)) {
		return nil, "", errFrame
	}
	text := b[count*faultSize:]
	list, err := entries(b[:count*faultSize], faultSize, perFrame, func(b []byte) (fault, error) {
		f := fault{binary.BigEndian.Uint32(b), b[4]}
		if int64(f.index) >= int64(n) {
			return f, errFrame
		}
		return f, nil
	})
	return list, string(text), err
}

// list sends what stands in parts; the last one is the answer.
func (s *server) list(conn net.Conn, id uint32) (status uint16, body []byte, err error) {
	held, err := s.c.Firewall.List()
	if err != nil {
		return 0, nil, err
	}
	for {
		part := held[:min(len(held), perAnswer)]
		held = held[len(part):]
		body = body[:0]
		for _, h := range part {
			body = appendHeld(body, h)
		}
		if len(held) == 0 {
			return statusOK, body, nil
		}
		if err := s.send(conn, frame{wordList | answer, statusMore, id, body}); err != nil {
			return 0, nil, err
		}
	}
}

func (s *server) health() Health {
	st := s.c.Firewall.Stats()
	h := Health{Instance: s.instance, Blocks: uint32(st.Blocks), Owned: st.Owned, Repairs: st.Repairs, Refused: st.Refused}
	if st.Err != nil {
		h.Err = st.Err.Error()
	}
	return h
}
