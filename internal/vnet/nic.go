package vnet

import (
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

// nic joins a stack to a port. It carries IP packets: the port adds the link
// header and asks the switch for neighbours, which saves each stack two
// neighbour caches of 40 KiB. Checksums are left to the port as well, which
// fills them in where somebody looks.
type nic struct {
	port *port
	mtu  uint32
	caps stack.LinkEndpointCapabilities
	up   atomic.Pointer[stack.NetworkDispatcher]
}

var _ stack.LinkEndpoint = (*nic)(nil)

func (c *nic) MTU() uint32                                  { return c.mtu }
func (c *nic) SetMTU(uint32)                                {}
func (c *nic) MaxHeaderLength() uint16                      { return 0 }
func (c *nic) LinkAddress() tcpip.LinkAddress               { return tcpip.LinkAddress(c.port.mac[:]) }
func (c *nic) SetLinkAddress(tcpip.LinkAddress)             {}
func (c *nic) Capabilities() stack.LinkEndpointCapabilities { return c.caps }
func (c *nic) IsAttached() bool                             { return c.up.Load() != nil }
func (c *nic) Wait()                                        {}
func (c *nic) ARPHardwareType() header.ARPHardwareType      { return header.ARPHardwareNone }
func (c *nic) AddHeader(*stack.PacketBuffer)                {}
func (c *nic) ParseHeader(*stack.PacketBuffer) bool         { return true }
func (c *nic) Close()                                       {}
func (c *nic) SetOnCloseAction(func())                      {}

func (c *nic) Attach(d stack.NetworkDispatcher) {
	if d == nil {
		c.up.Store(nil)
		return
	}
	c.up.Store(&d)
}

// WritePackets takes what the stack sends.
func (c *nic) WritePackets(list stack.PacketBufferList) (int, tcpip.Error) {
	for _, pkt := range list.AsSlice() {
		f := stackFrame(pkt)
		if f == nil {
			c.port.net.count.drops[dropMalformed].Add(1)
			continue
		}
		if g := pkt.GSOOptions; g.Type != stack.GSONone && f.info.TotalLen > int(c.mtu) {
			c.port.originateLarge(f, int(g.MSS))
			continue
		}
		c.port.originate(f)
	}
	return list.Len(), nil
}

// deliver gives f to the stack.
func (c *nic) deliver(f *frame) {
	d := c.up.Load()
	if d == nil {
		f.release()
		return
	}
	proto, pkt := f.inbound()
	(*d).DeliverNetworkPacket(proto, pkt)
	pkt.DecRef()
}

// nicID is the one interface that a stack has.
const nicID tcpip.NICID = 1

// timeWait is how long a closed connection is remembered: it holds memory, and
// segments that wander for minutes do not occur here.
const timeWait = 5 * time.Second

// newStack makes a lean stack: what many stacks can share, they share.
func (n *Network) newStack(c *nic, looks Traits) (*stack.Stack, error) {
	n.born.Lock()
	defer n.born.Unlock()
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6},
		Clock:              n.tcpip,
		Stats:              n.tcp,
		HandleLocal:        true,
		RandSource:         n.rand,
		IPTables:           n.ipt,
	})
	if !looks.Plain() && looks.Scale >= 0 {
		// The stack's window scale is the least that its largest window needs.
		// What it announces is what it uses, so nothing has to be shifted later.
		size := tcpip.TCPReceiveBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: min(tcp.DefaultReceiveBufferSize, 65535<<looks.Scale), Max: 65535 << looks.Scale}
		if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, &size); err != nil {
			return nil, stackError(err)
		}
	}
	wait := tcpip.TCPTimeWaitTimeoutOption(timeWait)
	if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, &wait); err != nil {
		return nil, stackError(err)
	}
	if n.cfg.Clock != nil {
		// RACK measures by round-trip times. On virtual time they are 0 and its
		// reordering window with them: it would send everything twice.
		var none tcpip.TCPRecovery
		if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, &none); err != nil {
			return nil, stackError(err)
		}
	}
	if err := s.CreateNIC(nicID, c); err != nil {
		return nil, stackError(err)
	}
	s.SetRouteTable([]tcpip.Route{
		{Destination: header.IPv4EmptySubnet, NIC: nicID},
		{Destination: header.IPv6EmptySubnet, NIC: nicID},
	})
	n.count.stacks.Add(1)
	return s, nil
}
