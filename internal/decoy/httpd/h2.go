package httpd

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Limits of HTTP/2 (RFC 9113), as nginx announces them.
const (
	maxStreams = 128
	maxFrame   = 16 << 10
	window     = 65536
)

// streams is the state of a connection over HTTP/2.
type streams struct {
	v      *visit
	f      *http2.Framer
	head   bytes.Buffer
	enc    *hpack.Encoder
	open   map[uint32]*request
	held   int   // bytes of bodies of all open streams
	room   int64 // that may be sent on the connection
	first  int64 // that may be sent on a new stream
	more   map[uint32]int64
	unsent []page
}

// page is what is left of an answer that waits for room.
type page struct {
	id   uint32
	body []byte
}

var errH2 = errors.New("HTTP/2: the client breaks the protocol")

// http2 answers until the client goes away. Streams are answered in the order
// in which they are complete.
func (v *visit) http2() error {
	h := &streams{v: v, open: map[uint32]*request{}, room: 65535, first: 65535, more: map[uint32]int64{}}
	preface := make([]byte, len(http2.ClientPreface))
	v.conn.SetReadDeadline(v.s.Clock.Now().Add(headTime)) //nolint:errcheck // a failed read follows
	if _, err := io.ReadFull(v.conn, preface); err != nil {
		return err
	}
	if string(preface) != http2.ClientPreface {
		return v.broken("HTTP/2: no preface")
	}
	h.f = http2.NewFramer(v.conn, v.conn)
	h.f.SetMaxReadFrameSize(maxFrame)
	h.f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	h.f.MaxHeaderListSize = maxHeads
	h.enc = hpack.NewEncoder(&h.head)
	err := h.f.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: maxStreams}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: window},
		http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1<<24 - 1})
	if err == nil {
		err = h.f.WriteWindowUpdate(0, 1<<31-1-65535)
	}
	for frames := 0; err == nil && v.asked < maxAsked && frames < 100*maxAsked; frames++ {
		v.conn.SetReadDeadline(v.s.Clock.Now().Add(keepTime)) //nolint:errcheck // a failed read follows
		var fr http2.Frame
		if fr, err = h.f.ReadFrame(); err == nil {
			err = h.frame(fr)
		}
	}
	if _, bad := errors.AsType[http2.ConnectionError](err); bad || errors.Is(err, errH2) {
		h.f.WriteGoAway(0, http2.ErrCodeProtocol, nil) //nolint:errcheck // it is the end
		return v.broken(err.Error())
	}
	if _, bad := errors.AsType[http2.StreamError](err); bad {
		return v.broken(err.Error())
	}
	return err
}

func (h *streams) frame(fr http2.Frame) error {
	switch fr := fr.(type) {
	case *http2.MetaHeadersFrame:
		return h.headers(fr)
	case *http2.DataFrame:
		return h.data(fr)
	case *http2.SettingsFrame:
		if fr.IsAck() {
			return nil
		}
		if v, ok := fr.Value(http2.SettingInitialWindowSize); ok {
			h.first = int64(v)
		}
		return h.f.WriteSettingsAck()
	case *http2.PingFrame:
		if fr.IsAck() {
			return nil
		}
		return h.f.WritePing(true, fr.Data)
	case *http2.WindowUpdateFrame:
		if fr.StreamID == 0 {
			h.room += int64(fr.Increment)
		} else if _, ok := h.more[fr.StreamID]; ok {
			h.more[fr.StreamID] += int64(fr.Increment)
		}
		return h.send()
	case *http2.RSTStreamFrame:
		h.forget(fr.StreamID)
	case *http2.GoAwayFrame:
		return io.EOF
	case *http2.PushPromiseFrame:
		return errH2
	}
	return nil
}

func (h *streams) forget(id uint32) {
	if r := h.open[id]; r != nil {
		h.held -= len(r.body)
		delete(h.open, id)
	}
	delete(h.more, id)
	for i := range h.unsent {
		if h.unsent[i].id == id {
			h.unsent[i].body = nil
		}
	}
}

func (h *streams) headers(fr *http2.MetaHeadersFrame) error {
	id := fr.StreamID
	if id%2 == 0 {
		return errH2
	}
	if r := h.open[id]; r != nil { // trailers
		if !fr.StreamEnded() {
			return errH2
		}
		return h.answer(id, r)
	}
	if len(h.open) >= maxStreams || len(h.unsent) >= maxStreams {
		return h.f.WriteRSTStream(id, http2.ErrCodeRefusedStream)
	}
	r := &request{proto: "HTTP/2.0", method: fr.PseudoValue("method"), target: fr.PseudoValue("path")}
	if a := fr.PseudoValue("authority"); a != "" {
		r.headers = append(r.headers, header{"host", a})
	}
	for _, f := range fr.RegularFields() {
		r.headers = append(r.headers, header{f.Name, f.Value})
	}
	r.line = r.method + " " + r.target + " HTTP/2.0"
	if r.method == "" || !strings.HasPrefix(r.target, "/") || fr.Truncated {
		h.open[id] = r
		return h.reply(id, r, fail(400))
	}
	h.open[id] = r
	if fr.StreamEnded() {
		return h.answer(id, r)
	}
	return nil
}

func (h *streams) data(fr *http2.DataFrame) error {
	r := h.open[fr.StreamID]
	if r == nil {
		return nil
	}
	b := fr.Data()
	if len(r.body)+len(b) > maxBody || h.held+len(b) > 4*maxBody {
		return h.reply(fr.StreamID, r, fail(413))
	}
	h.held += len(b)
	r.body = append(r.body, b...)
	if fr.StreamEnded() {
		return h.answer(fr.StreamID, r)
	}
	if n := fr.Length; n > 0 {
		if err := h.f.WriteWindowUpdate(fr.StreamID, n); err != nil {
			return err
		}
	}
	return nil
}

func (h *streams) answer(id uint32, r *request) error {
	h.v.asked++
	if r.method == "CONNECT" || r.method == "TRACE" {
		return h.reply(id, r, fail(405))
	}
	a := h.v.handle(r)
	return h.write(id, r, a)
}

// reply records and answers a request that no page is asked about.
func (h *streams) reply(id uint32, r *request, a *response) error {
	h.v.note(r, a, nil)
	return h.write(id, r, a)
}

func (h *streams) write(id uint32, r *request, a *response) error {
	h.forget(id)
	_, body := a.content()
	if r.method == "HEAD" {
		body = ""
	}
	h.head.Reset()
	fields := append([]header{{":status", strconv.Itoa(a.status)}}, a.fields(h.v.s.Clock.Now(), "")...)
	for _, f := range fields {
		if err := h.enc.WriteField(hpack.HeaderField{Name: strings.ToLower(f.name), Value: f.value}); err != nil {
			return err
		}
	}
	err := h.f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: h.head.Bytes(), EndHeaders: true, EndStream: body == ""})
	if err != nil || body == "" {
		return err
	}
	h.more[id] = h.first
	h.unsent = append(h.unsent, page{id, []byte(body)})
	return h.send()
}

// send writes what the client has room for.
func (h *streams) send() error {
	var waiting []page
	for _, p := range h.unsent {
		for len(p.body) > 0 {
			n := min(int64(len(p.body)), h.room, h.more[p.id], maxFrame)
			if n <= 0 {
				break
			}
			if err := h.f.WriteData(p.id, n == int64(len(p.body)), p.body[:n]); err != nil {
				return err
			}
			h.room -= n
			h.more[p.id] -= n
			p.body = p.body[n:]
		}
		if len(p.body) > 0 {
			waiting = append(waiting, p)
		} else {
			delete(h.more, p.id)
		}
	}
	h.unsent = waiting
	return nil
}
