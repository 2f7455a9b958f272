package entry

import (
	"net"
	"net/netip"

	"golang.zx2c4.com/wireguard/conn"
)

// ClientBind is a bind for the other side, in tests: it knows endpoints.
type ClientBind struct{ *bind }

// NewClientBind makes one on sock that lets everything through.
func NewClientBind(sock *net.UDPConn) ClientBind {
	return ClientBind{newBind(sock, WireGuardLimits{Packets: 1 << 30, Handshakes: 1 << 30}, 1)}
}

// ParseEndpoint reads an address and a port.
func (ClientBind) ParseEndpoint(s string) (conn.Endpoint, error) {
	at, err := netip.ParseAddrPort(s)
	return endpoint(at), err
}
