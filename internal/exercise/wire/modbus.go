package wire

import (
	"encoding/binary"
	"io"
)

// Modbus is one message of Modbus/TCP: a request or an answer.
type Modbus struct {
	Transaction uint16
	Unit        byte
	Function    byte // with 0x80 set: an exception
	Data        []byte
}

// Functions and exceptions of Modbus.
const (
	ModbusReadCoils    = 1
	ModbusReadInputs   = 2
	ModbusReadHolding  = 3
	ModbusReadRegister = 4
	ModbusIdentity     = 43
	ModbusIllegal      = 1 // function
	ModbusBadAddress   = 2
	ModbusBadValue     = 3
)

// ReadModbus reads one message, at most 260 bytes.
func ReadModbus(r io.Reader) (Modbus, error) {
	h, err := full(r, 7, 7)
	if err != nil {
		return Modbus{}, err
	}
	n := int(binary.BigEndian.Uint16(h[4:])) - 1
	if binary.BigEndian.Uint16(h[2:]) != 0 || n < 1 {
		return Modbus{}, bad("a Modbus header")
	}
	b, err := full(r, n, 253)
	if err != nil {
		return Modbus{}, err
	}
	return Modbus{binary.BigEndian.Uint16(h), h[6], b[0], b[1:]}, nil
}

// AppendModbus writes one message.
func AppendModbus(m Modbus) []byte {
	out := binary.BigEndian.AppendUint16(nil, m.Transaction)
	out = binary.BigEndian.AppendUint16(append(out, 0, 0), uint16(2+len(m.Data)))
	return append(append(out, m.Unit, m.Function), m.Data...)
}

// ModbusRange is the address and count of a reading request.
func ModbusRange(m Modbus) (addr, count uint16, err error) {
	if len(m.Data) != 4 {
		return 0, 0, bad("a Modbus request")
	}
	return binary.BigEndian.Uint16(m.Data), binary.BigEndian.Uint16(m.Data[2:]), nil
}

// ModbusRead is a request for count values from addr.
func ModbusRead(function byte, addr, count uint16) Modbus {
	return Modbus{Transaction: 1, Unit: 1, Function: function, Data: binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, addr), count)}
}
