package uplink

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

const (
	statePart   = 512 << 10
	stateHead   = 8 + 4 + 4
	recallReply = 8 + 4
)

// State hands over the newest snapshot of a key; no data forgets it. token is
// what Recall gave. ErrGone says that the hub was told to forget the key since.
func (c *Client) State(ctx context.Context, key string, token uint64, data []byte) error {
	if len(key) == 0 || len(key) > MaxKey || len(data) > MaxState {
		return fmt.Errorf("hand over state: %w", ErrTooBig)
	}
	c.states.Lock() // the parts of one snapshot follow each other
	defer c.states.Unlock()
	deadline := time.Now().Add(c.cfg.Timeout)
	for {
		l, err := c.live(ctx, deadline)
		if err == nil {
			if err = sendState(l, key, token, data); away(err) && time.Now().Before(deadline) {
				continue // the same snapshot twice does no harm
			}
		}
		if err != nil {
			return fmt.Errorf("hand over state: %w", err)
		}
		return nil
	}
}

func sendState(l *link, key string, token uint64, data []byte) error {
	for off := 0; ; {
		part := data[off:min(off+statePart, len(data))]
		head := binary.LittleEndian.AppendUint64(appendName(nil, key), token)
		head = binary.LittleEndian.AppendUint32(head, uint32(len(data)))
		head = binary.LittleEndian.AppendUint32(head, uint32(off))
		if _, err := l.call(kindState, l.id(), head, part); err != nil {
			return err
		}
		if off += len(part); off >= len(data) {
			return nil
		}
	}
}

// Recall asks for the snapshot of a key, none if there is none, and for the
// token that State is to be called with.
func (c *Client) Recall(ctx context.Context, key string) (token uint64, data []byte, err error) {
	if len(key) == 0 || len(key) > MaxKey {
		return 0, nil, fmt.Errorf("recall state: %w", ErrTooBig)
	}
	l, err := c.live(ctx, time.Now().Add(c.cfg.Timeout))
	if err != nil {
		return 0, nil, fmt.Errorf("recall state: %w", err)
	}
	for {
		head := binary.LittleEndian.AppendUint32(appendName(nil, key), uint32(len(data)))
		reply, err := l.call(kindRecall, l.id(), head)
		if err != nil {
			return 0, nil, fmt.Errorf("recall state: %w", err)
		}
		if len(reply) < recallReply {
			return 0, nil, fmt.Errorf("recall state: %w: short answer", ErrProtocol)
		}
		t, total := binary.LittleEndian.Uint64(reply), binary.LittleEndian.Uint32(reply[8:])
		reply = reply[recallReply:]
		if total > MaxState || len(data)+len(reply) > int(total) || len(data) > 0 && t != token || len(reply) == 0 && len(data) < int(total) {
			return 0, nil, fmt.Errorf("recall state: %w: the parts do not fit", ErrProtocol)
		}
		token, data = t, append(data, reply...)
		if len(data) == int(total) {
			return token, data, nil
		}
	}
}

// partState is a snapshot on its way to the hub.
type partState struct {
	key   string
	token uint64
	data  []byte
}

// onState gathers the parts of one snapshot; the last one hands it over.
func (p *peer) onState(ctx context.Context, key string, rest []byte) error {
	if len(rest) < stateHead {
		return ErrInvalid
	}
	token, total, off := binary.LittleEndian.Uint64(rest), binary.LittleEndian.Uint32(rest[8:]), binary.LittleEndian.Uint32(rest[12:])
	part := rest[stateHead:]
	if off == 0 {
		p.state = partState{key: key, token: token}
	}
	s := &p.state
	if total > MaxState || s.key != key || s.token != token || int(off) != len(s.data) || len(s.data)+len(part) > int(total) || len(part) == 0 && total > 0 {
		p.state = partState{}
		return fmt.Errorf("%w: a part of a snapshot does not fit", ErrInvalid)
	}
	if s.data = append(s.data, part...); len(s.data) < int(total) {
		return nil
	}
	whole := s.data
	p.state = partState{}
	return p.cfg.Handler.State(ctx, key, token, whole)
}

// recallLane answers RECALL frames, apart from what may be slow.
func (p *peer) recallLane(ctx context.Context) {
	var last partState
	for f := range p.recalls {
		if ctx.Err() != nil {
			continue
		}
		reply, err := p.recall(ctx, &last, f.payload)
		p.answer(f.id, reply, err) //nolint:errcheck // a dead conn is seen by the reader
	}
}

func (p *peer) recall(ctx context.Context, last *partState, payload []byte) ([]byte, error) {
	key, rest, err := named(payload)
	if err != nil || len(rest) != 4 {
		return nil, errors.Join(ErrInvalid, err)
	}
	off := int(binary.LittleEndian.Uint32(rest))
	if off == 0 || last.key != key {
		token, data, err := p.cfg.Handler.Recall(ctx, key)
		if err != nil {
			return nil, err
		}
		*last = partState{key, token, data}
	}
	if off > len(last.data) {
		return nil, fmt.Errorf("%w: offset %d of %d", ErrInvalid, off, len(last.data))
	}
	end := min(off+statePart, len(last.data))
	reply := binary.LittleEndian.AppendUint64(nil, last.token)
	reply = binary.LittleEndian.AppendUint32(reply, uint32(len(last.data)))
	reply = append(reply, last.data[off:end]...)
	if end == len(last.data) {
		*last = partState{}
	}
	return reply, nil
}
