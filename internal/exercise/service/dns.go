package service

import (
	"encoding/binary"
	"io"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/exercise/wire"
)

// answerDNS answers one query.
func answerDNS(v *visit, in []byte) []byte {
	q, err := wire.ParseQuestion(in)
	if err != nil {
		return nil
	}
	a := wire.Answer{Question: q, Code: wire.DNSNone}
	if v.c.Zone != nil {
		a.Values = v.c.Zone(strings.ToLower(q.Name))
	}
	if len(a.Values) > 0 {
		a.Code = 0
	}
	v.asked(a)
	out, err := wire.AppendAnswer(a)
	if err != nil {
		return nil
	}
	return out
}

// asked writes the resolver's log.
func (v *visit) asked(a wire.Answer) {
	e := v.event("dns-query")
	e.Category, e.Type, e.Outcome = "network", "protocol", "success"
	if a.Code != 0 {
		e.Outcome = "failure"
	}
	if v.decoy {
		e.Depth = event.DepthTry
	} else {
		e.Dataset = "dns.query"
	}
	e.Add("dns.question.name", a.Name)
	e.Add("dns.question.type", wire.DNSTypeName(a.Type))
	e.Add("dns.response_code", map[bool]string{true: "NOERROR", false: "NXDOMAIN"}[a.Code == 0])
	e.Add("dns.answers.data", strings.Join(a.Values, ","))
	v.emit(e)
}

// serveDNS answers over TCP, each message with its length before it.
func serveDNS(v *visit) error {
	for {
		var head [2]byte
		if _, err := io.ReadFull(v.r, head[:]); err != nil {
			return over(err)
		}
		b := make([]byte, min(int(binary.BigEndian.Uint16(head[:])), 2048))
		if _, err := io.ReadFull(v.r, b); err != nil {
			return err
		}
		out := answerDNS(v, b)
		if out == nil {
			return errMalformed
		}
		if err := v.send(append(binary.BigEndian.AppendUint16(nil, uint16(len(out))), out...)); err != nil {
			return err
		}
	}
}
