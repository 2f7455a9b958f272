package act

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/lapwing-defence/lapwing/internal/exercise/wire"
)

// SMBNegotiate asks for the dialect.
func (a *Actor) SMBNegotiate(ctx context.Context, t Target) Read {
	var out Read
	r := a.begin(ctx, "smb.negotiate", &out.Outcome)
	r.end(r.once("tcp", t, func(c *conn) error {
		m, err := c.smb(wire.SMB{Command: wire.SMBNegotiate, Body: wire.SMBOffer([16]byte{1})})
		if err == nil && len(m.Body) >= 6 {
			out.Texts = []string{fmt.Sprintf("%#04x", binary.LittleEndian.Uint16(m.Body[4:]))}
		}
		return err
	}))
	return out
}

func (c *conn) smb(m wire.SMB) (wire.SMB, error) {
	if err := c.send(wire.AppendSMB(m)); err != nil {
		return wire.SMB{}, err
	}
	return wire.ReadSMB(c.buf)
}

// SMBLogin logs on by NTLM and opens the share of the Login.
func (a *Actor) SMBLogin(ctx context.Context, t Target, l Login) LoggedIn {
	return a.login(ctx, "smb.login", t, l, func(r *run, c *conn, cred Credential) (bool, []string, error) {
		if _, err := c.smb(wire.SMB{Command: wire.SMBNegotiate, Body: wire.SMBOffer([16]byte{1})}); err != nil {
			return false, nil, err
		}
		m, err := c.smb(wire.SMB{Command: wire.SMBSession, Message: 1, Body: wire.SMBSetup(wire.NTLMNegotiate())})
		if err != nil {
			return false, nil, err
		}
		login := wire.NTLMLogin{User: cred.User, Station: r.c.Host, Password: cred.Password, Now: r.c.Clock.Now()}
		binary.LittleEndian.PutUint64(login.Nonce[:], uint64(r.draw(1<<62)))
		token, err := login.Answer(wire.SMBToken(m))
		if err != nil {
			return false, nil, err
		}
		m, err = c.smb(wire.SMB{Command: wire.SMBSession, Message: 2, Session: m.Session, Body: wire.SMBSetup(token)})
		if err != nil || m.Status != wire.SMBOK {
			return false, nil, err
		}
		if l.Share == "" {
			return true, nil, nil
		}
		m, err = c.smb(wire.SMB{Command: wire.SMBTree, Message: 3, Session: m.Session, Body: wire.SMBShare(`\\` + t.Host + `\` + l.Share)})
		if err == nil && m.Status != wire.SMBOK {
			err = fmt.Errorf("open the share %s: status %#x: %w", l.Share, m.Status, errRefused)
		}
		return true, nil, err
	})
}

// RDPProbe asks for a remote desktop and names a user.
func (a *Actor) RDPProbe(ctx context.Context, t Target, user string) Read {
	var out Read
	r := a.begin(ctx, "rdp.probe", &out.Outcome)
	if err := plain("a user", user, 64); err != nil {
		r.end(err)
		return out
	}
	r.end(r.once("tcp", t, func(c *conn) error {
		if err := c.send(wire.AppendRDP(wire.RDP{User: user, Asked: true, Protocols: 3}, false)); err != nil {
			return err
		}
		m, err := wire.ReadRDP(c.buf)
		out.Values = []uint16{uint16(m.Protocols)}
		return err
	}))
	return out
}

// MQTT is a connection to a broker.
type MQTT struct {
	Credential Credential // without a user: anonymous
	Client     string
	Topics     []string
}

// MQTTConnect connects and listens to topics.
func (a *Actor) MQTTConnect(ctx context.Context, t Target, m MQTT) Read {
	var out Read
	r := a.begin(ctx, "mqtt.connect", &out.Outcome)
	err := errors.Join(plain("a client", m.Client, 128), plain("a user", m.Credential.User, 256))
	for _, topic := range m.Topics {
		err = errors.Join(err, plain("a topic", topic, 256))
	}
	if err != nil || len(m.Topics) > 100 {
		r.end(fmt.Errorf("%d topics: %w: %w", len(m.Topics), errWrong, err))
		return out
	}
	r.end(r.once("tcp", t, func(c *conn) error { return c.mqtt(m) }))
	return out
}

func (c *conn) mqtt(m MQTT) error {
	login := wire.MQTTLogin{Client: m.Client, User: m.Credential.User, Password: m.Credential.Password}
	if err := c.send(wire.AppendMQTT(wire.MQTTConnectPacket(login))); err != nil {
		return err
	}
	p, err := wire.ReadMQTT(c.buf)
	switch {
	case err != nil:
		return err
	case p.Kind != wire.MQTTConnAck || len(p.Body) != 2:
		return fmt.Errorf("an answer of MQTT: %w", wire.ErrMalformed)
	case p.Body[1] != 0:
		return fmt.Errorf("code %d: %w", p.Body[1], errRefused)
	}
	for _, topic := range m.Topics {
		if err := c.send(wire.AppendMQTT(wire.MQTTSubscribePacket(topic))); err != nil {
			return err
		}
		if p, err := wire.ReadMQTT(c.buf); err != nil || p.Kind != wire.MQTTSubAck {
			return fmt.Errorf("listen to %q: %w", topic, errors.Join(err, errRefused))
		}
	}
	return c.send(wire.AppendMQTT(wire.Packet{Kind: wire.MQTTDisconnect}))
}

// Registers is what is read of a device by Modbus.
type Registers struct {
	Unit    byte
	Kind    string // holding, input, coils or discrete
	Address uint16
	Count   uint16 // 1 to 125
	Repeat
}

// ModbusRead reads registers or coils; nothing is written.
func (a *Actor) ModbusRead(ctx context.Context, t Target, q Registers) Read {
	var out Read
	r := a.begin(ctx, "modbus.read", &out.Outcome)
	f, ok := map[string]byte{"holding": wire.ModbusReadHolding, "input": wire.ModbusReadRegister, "coils": wire.ModbusReadCoils, "discrete": wire.ModbusReadInputs}[q.Kind]
	if !ok || q.Count < 1 || q.Count > 125 {
		r.end(fmt.Errorf("read %d of kind %q: 1 to 125 of holding, input, coils or discrete: %w", q.Count, q.Kind, errWrong))
		return out
	}
	r.end(r.repeat(q.Repeat, func(int) error {
		return r.once("tcp", t, func(c *conn) error {
			m := wire.ModbusRead(f, q.Address, q.Count)
			m.Unit = q.Unit
			if err := c.send(wire.AppendModbus(m)); err != nil {
				return err
			}
			in, err := wire.ReadModbus(c.buf)
			if err != nil {
				return err
			}
			out.Values, err = registers(in)
			return err
		})
	}))
	return out
}

func registers(m wire.Modbus) ([]uint16, error) {
	switch {
	case len(m.Data) == 0:
		return nil, fmt.Errorf("an answer of Modbus: %w", wire.ErrMalformed)
	case m.Function&0x80 != 0:
		return nil, fmt.Errorf("exception %d: %w", m.Data[0], errRefused)
	}
	var out []uint16
	for b := m.Data[1:]; len(b) >= 2; b = b[2:] {
		out = append(out, binary.BigEndian.Uint16(b))
	}
	return out, nil
}

// SNMPGet asks a device for objects with each community until one is answered.
func (a *Actor) SNMPGet(ctx context.Context, t Target, communities, oids []string) Read {
	var out Read
	r := a.begin(ctx, "snmp.get", &out.Outcome)
	if len(communities) == 0 || len(oids) == 0 || len(communities)*len(oids) > 1000 {
		r.end(fmt.Errorf("%d communities and %d objects: %w", len(communities), len(oids), errWrong))
		return out
	}
	err := errRefused
	for _, community := range communities {
		if out.Texts, err = r.snmp(t, community, oids); err == nil || r.ctx.Err() != nil || errors.Is(err, errWrong) {
			break
		}
	}
	r.end(err)
	return out
}

func (r *run) snmp(t Target, community string, oids []string) ([]string, error) {
	var out []string
	err := r.once("udp", t, func(c *conn) error {
		for i, oid := range oids {
			b, err := wire.AppendSNMP(wire.SNMP{Version: 1, Community: community, PDU: wire.SNMPGet, ID: i + 1, OID: oid})
			if err != nil {
				return fmt.Errorf("ask for %q: %w: %w", oid, err, errWrong)
			}
			in, err := c.exchange(b)
			if err != nil {
				return fmt.Errorf("community %q is not answered: %w", community, errors.Join(err, errRefused))
			}
			m, err := wire.ParseSNMP(in)
			if err != nil {
				return err
			}
			out = append(out, m.Text)
		}
		return nil
	})
	return out, err
}
