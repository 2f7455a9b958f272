package service

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/exercise/wire"
)

const (
	mqttPackets    = 5000 // of one connection
	modbusMessages = 5000
	modbusSize     = 1000 // registers and coils that there are
	modbusMax      = 125  // registers of one request
)

// serveMQTT takes a connection of MQTT 3.1.1; nothing is passed on.
func serveMQTT(v *visit) error {
	p, err := wire.ReadMQTT(v.r)
	if err != nil {
		return over(err)
	}
	l, err := wire.ParseMQTTConnect(p.Body)
	if err != nil || p.Kind != wire.MQTTConnect {
		return fmt.Errorf("an MQTT connect: %w", errMalformed)
	}
	j := v.admit(l.User, l.Password)
	open := len(v.c.Host.c.Accept)+len(v.c.Accept) == 0 // a broker without passwords
	code := byte(5)
	if j.ok || open && l.User == "" {
		code, j.ok = 0, true
	}
	v.logged("mosquitto.log", "mosquitto", fmt.Sprintf("New client connected from %s as %s (p2, c1, k60, u'%s') code %d", v.src, clip(l.Client, 80), clip(l.User, 80), code), authenticated(j, l.User)) //nolint:misspell // the broker is called so
	if err := v.send(wire.AppendMQTT(wire.Packet{Kind: wire.MQTTConnAck, Body: []byte{0, code}})); err != nil || code != 0 {
		return err
	}
	for range mqttPackets {
		p, err := wire.ReadMQTT(v.r)
		if err != nil || p.Kind == wire.MQTTDisconnect {
			return over(err)
		}
		out, err := v.mqtt(p)
		if err != nil {
			return err
		}
		if err := v.send(out); err != nil {
			return err
		}
	}
	return nil
}

func (v *visit) mqtt(p wire.Packet) ([]byte, error) {
	switch p.Kind {
	case wire.MQTTPing:
		return wire.AppendMQTT(wire.Packet{Kind: wire.MQTTPong}), nil
	case wire.MQTTPublish, wire.MQTTSubscribe:
		topic, err := wire.MQTTTopic(p)
		if err != nil {
			return nil, err
		}
		v.query(map[bool]string{true: "publish", false: "subscribe"}[p.Kind == wire.MQTTPublish], topic)
		if p.Kind == wire.MQTTPublish {
			return nil, nil
		}
		return wire.AppendMQTT(wire.Packet{Kind: wire.MQTTSubAck, Body: []byte{p.Body[0], p.Body[1], 0}}), nil
	}
	return nil, fmt.Errorf("MQTT packet %d: %w", p.Kind, errMalformed)
}

// serveModbus answers reads; values are the seed's and do not change.
func serveModbus(v *visit) error {
	for range modbusMessages {
		m, err := wire.ReadModbus(v.r)
		if err != nil {
			return over(err)
		}
		v.modbusLogged(m)
		if err := v.send(wire.AppendModbus(v.modbus(m))); err != nil {
			return err
		}
	}
	return nil
}

// modbusLogged is the line of a gateway that watches the plant's network.
func (v *visit) modbusLogged(m wire.Modbus) {
	v.query("modbus", fmt.Sprintf("unit %d function %d", m.Unit, m.Function))
	if v.decoy {
		return
	}
	e := v.event("modbus")
	e.Category, e.Type, e.Dataset, e.Protocol = "network", "protocol", "modbus.log", "modbus"
	e.AddInt("modbus.function", int64(m.Function))
	e.AddInt("modbus.unit", int64(m.Unit))
	v.emit(e)
}

func (v *visit) modbus(m wire.Modbus) wire.Modbus {
	refuse := func(code byte) wire.Modbus {
		m.Function, m.Data = m.Function|0x80, []byte{code}
		return m
	}
	switch m.Function {
	case wire.ModbusReadCoils, wire.ModbusReadInputs, wire.ModbusReadHolding, wire.ModbusReadRegister:
	case wire.ModbusIdentity:
		return v.modbusIdentity(m)
	default:
		return refuse(wire.ModbusIllegal)
	}
	addr, count, err := wire.ModbusRange(m)
	bits := m.Function <= wire.ModbusReadInputs
	switch {
	case err != nil || count == 0 || count > modbusMax*16 || !bits && count > modbusMax:
		return refuse(wire.ModbusBadValue)
	case int(addr)+int(count) > modbusSize:
		return refuse(wire.ModbusBadAddress)
	}
	var data []byte
	for i := range int(count) {
		value := uint16((uint64(addr)+uint64(i)+v.c.Host.c.Seed)*2654435761>>7) % 4000
		if !bits {
			data = binary.BigEndian.AppendUint16(data, value)
			continue
		}
		if i%8 == 0 {
			data = append(data, 0)
		}
		data[i/8] |= byte(value&1) << (i % 8)
	}
	m.Data = append([]byte{byte(len(data))}, data...)
	return m
}

// modbusIdentity names vendor, product and version (function 43/14).
func (v *visit) modbusIdentity(m wire.Modbus) wire.Modbus {
	if len(m.Data) != 3 || m.Data[0] != 14 {
		m.Function, m.Data = m.Function|0x80, []byte{wire.ModbusBadValue}
		return m
	}
	vendor, product, _ := strings.Cut(first(v.c.Banner, "Plant Controls/PC-200/V2.1"), "/")
	product, version, _ := strings.Cut(product, "/")
	data := []byte{14, m.Data[1], 1, 0, 0, 3}
	for i, s := range []string{vendor, product, version} {
		s = clip(s, 60)
		data = append(append(data, byte(i), byte(len(s))), s...)
	}
	m.Data = data
	return m
}

// answerSNMP answers reads of the system group with the community that the
// scenario gives the user snmp; without one, public.
func answerSNMP(v *visit, in []byte) []byte {
	m, err := wire.ParseSNMP(in)
	if err != nil {
		return nil
	}
	j := judgement{ok: m.Community == "public", known: true}
	if len(v.c.Host.passwords(v.c.Accept, "snmp")) > 0 {
		j = v.admit("snmp", m.Community)
	} else {
		v.tried(j, "snmp", m.Community)
	}
	v.logged(datasetSyslog, "snmpd", fmt.Sprintf("Connection from UDP: [%s]:%d->[%s]:%d", v.src.Addr(), v.src.Port(), v.dst.Addr(), v.dst.Port()), authenticated(j, "snmp"))
	if !j.ok || m.PDU == wire.SNMPResponse {
		return nil
	}
	m.Text, m.Status = v.object(m)
	if m.PDU == wire.SNMPNext && m.Status == 0 {
		m.OID = v.nextObject(m.OID)
		m.Text, m.Status = v.object(wire.SNMP{PDU: wire.SNMPGet, OID: m.OID})
	}
	m.PDU = wire.SNMPResponse
	out, err := wire.AppendSNMP(m)
	if err != nil {
		return nil
	}
	return out
}

const snmpSystem = "1.3.6.1.2.1.1."

// object is the value of one, or the status that refuses it.
func (v *visit) object(m wire.SNMP) (text string, status int) {
	const noSuchName, readOnly = 2, 4
	h := v.c.Host
	if m.PDU == wire.SNMPSet {
		return "", readOnly
	}
	if m.PDU == wire.SNMPNext {
		return "", map[bool]int{true: 0, false: noSuchName}[v.nextObject(m.OID) != ""]
	}
	switch m.OID {
	case snmpSystem + "1.0":
		return first(v.c.Banner, h.persona.Product+" "+h.Name()), 0
	case snmpSystem + "4.0":
		return "admin@" + first(h.c.Domain, "example.internal"), 0
	case snmpSystem + "5.0":
		return h.Name(), 0
	case snmpSystem + "6.0":
		return "Building 1", 0
	}
	return "", noSuchName
}

// nextObject is the one after oid, "" after the last.
func (v *visit) nextObject(oid string) string {
	for _, o := range []string{"1.0", "4.0", "5.0", "6.0"} {
		if oid < snmpSystem+o {
			return snmpSystem + o
		}
	}
	return ""
}

// serveRDP answers the negotiation of protocols and ends (MS-RDPBCGR).
func serveRDP(v *visit) error {
	m, err := wire.ReadRDP(v.r)
	if err != nil {
		return over(err)
	}
	if v.decoy {
		e := v.event(event.ActionClientIdentified)
		e.User, e.Depth, e.LogType = clip(m.User, 64), event.DepthTry, 14001
		v.emit(e)
	} else if r := v.c.Host.records; r != nil {
		v.records(r.RemoteConnection(v.src))
	} else {
		v.syslog("xrdp", "connected from %s", v.src)
	}
	return v.send(wire.AppendRDP(wire.RDP{Asked: m.Asked, Protocols: m.Protocols & 1}, true))
}
