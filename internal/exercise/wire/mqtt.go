package wire

import (
	"encoding/binary"
	"io"
	"strconv"
)

func itoa(n int) string { return strconv.Itoa(n) }

// Kinds of MQTT packets (3.1.1), the upper four bits of the first byte.
const (
	MQTTConnect    = 1
	MQTTConnAck    = 2
	MQTTPublish    = 3
	MQTTSubscribe  = 8
	MQTTSubAck     = 9
	MQTTPing       = 12
	MQTTPong       = 13
	MQTTDisconnect = 14
	maxMQTT        = 64 << 10
)

// Packet is one MQTT packet.
type Packet struct {
	Kind int
	Body []byte
}

// ReadMQTT reads one packet of at most 64 KiB.
func ReadMQTT(r io.Reader) (Packet, error) {
	head, err := full(r, 1, 1)
	if err != nil {
		return Packet{}, err
	}
	n := 0
	for i := 0; ; i++ {
		b, err := full(r, 1, 1)
		if err != nil {
			return Packet{}, err
		}
		n |= int(b[0]&0x7f) << (7 * i)
		if b[0]&0x80 == 0 {
			break
		}
		if i == 3 {
			return Packet{}, bad("the length of an MQTT packet")
		}
	}
	body, err := full(r, n, maxMQTT)
	return Packet{int(head[0] >> 4), body}, err
}

// AppendMQTT writes one packet.
func AppendMQTT(p Packet) []byte {
	flags := byte(0)
	if p.Kind == MQTTSubscribe {
		flags = 2
	}
	out := []byte{byte(p.Kind<<4) | flags}
	n := len(p.Body)
	for {
		b := byte(n & 0x7f)
		if n >>= 7; n > 0 {
			b |= 0x80
		}
		out = append(out, b)
		if n == 0 {
			return append(out, p.Body...)
		}
	}
}

// MQTTLogin is what a CONNECT says.
type MQTTLogin struct {
	Client, User, Password string
}

func mqttText(b []byte) (string, []byte, error) {
	if len(b) < 2 || len(b)-2 < int(binary.BigEndian.Uint16(b)) {
		return "", nil, bad("a text of MQTT")
	}
	n := int(binary.BigEndian.Uint16(b))
	return string(b[2 : 2+n]), b[2+n:], nil
}

func appendMQTTText(out []byte, s string) []byte {
	s = s[:min(len(s), 65535)]
	return append(binary.BigEndian.AppendUint16(out, uint16(len(s))), s...)
}

// ParseMQTTConnect reads the body of a CONNECT.
func ParseMQTTConnect(b []byte) (MQTTLogin, error) {
	name, b, err := mqttText(b)
	if err != nil || name != "MQTT" && name != "MQIsdp" || len(b) < 4 {
		return MQTTLogin{}, bad("an MQTT connect")
	}
	flags := b[1]
	b = b[4:]
	var l MQTTLogin
	if l.Client, b, err = mqttText(b); err != nil {
		return MQTTLogin{}, err
	}
	if flags&4 != 0 { // a will: topic and message
		for range 2 {
			if _, b, err = mqttText(b); err != nil {
				return MQTTLogin{}, err
			}
		}
	}
	if flags&0x80 != 0 {
		if l.User, b, err = mqttText(b); err != nil {
			return MQTTLogin{}, err
		}
	}
	if flags&0x40 != 0 {
		if l.Password, _, err = mqttText(b); err != nil {
			return MQTTLogin{}, err
		}
	}
	return l, nil
}

// MQTTConnectPacket is a CONNECT.
func MQTTConnectPacket(l MQTTLogin) Packet {
	b := appendMQTTText(nil, "MQTT")
	flags := byte(2)
	if l.User != "" {
		flags |= 0xc0
	}
	b = appendMQTTText(append(b, 4, flags, 0, 60), l.Client)
	if l.User != "" {
		b = appendMQTTText(appendMQTTText(b, l.User), l.Password)
	}
	return Packet{MQTTConnect, b}
}

// MQTTTopic is the topic of a PUBLISH, or the first of a SUBSCRIBE.
func MQTTTopic(p Packet) (string, error) {
	b := p.Body
	if p.Kind == MQTTSubscribe {
		if len(b) < 2 {
			return "", bad("an MQTT subscribe")
		}
		b = b[2:]
	}
	t, _, err := mqttText(b)
	return t, err
}

// MQTTSubscribePacket asks for a topic.
func MQTTSubscribePacket(topic string) Packet {
	return Packet{MQTTSubscribe, append(appendMQTTText([]byte{0, 1}, topic), 0)}
}
