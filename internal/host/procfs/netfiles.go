package procfs

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/persona"
)

// netFiles are the files of /proc/net of a server.
var netFiles = map[string]func(*Proc) string{
	"net/netstat": (*Proc).netstat, "net/snmp": (*Proc).snmp, "net/snmp6": constant("Ip6InReceives                   \t214\nIp6InDelivers                   \t196\nIp6OutRequests                  \t88\nIcmp6InMsgs                     \t0\n"),
	"net/sockstat": (*Proc).sockstat, "net/sockstat6": constant("TCP6: inuse 1\nUDP6: inuse 0\nUDPLITE6: inuse 0\nRAW6: inuse 0\nFRAG6: inuse 0 memory 0\n"),
	"net/unix": (*Proc).unix, "net/udp": (*Proc).netUDP, "net/udp6": constant("  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n"),
	"net/raw": constant("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n"), "net/raw6": constant("  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n"),
	"net/packet": constant("sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n"), "net/netlink": constant("sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n0000000000000000 0   0          00000000 0        0        0     2        0        13      \n0000000000000000 15  1          00000002 0        0        0     2        0        14021   \n"),
	"net/protocols": constant("protocol  size sockets  memory press maxhdr  slab module     cl co di ac io in de sh ss gs se re sp bi br ha uh gp em\nUNIX      1024     98      -1   NI       0   yes  kernel      y  y  n  n  n  n  n  n  n  n  n  n  n  n  n  n  n  n  n\nTCPv6     2504      1       1   no     304   yes  kernel      y  y  y  y  y  y  y  y  y  y  y  y  n  y  y  y  y  y\nTCP       2344      2       1   no     304   yes  kernel      y  y  y  y  y  y  y  y  y  y  y  y  n  y  y  y  y  y\n"),
	"net/dev_mcast": (*Proc).devMcast, "net/igmp": (*Proc).igmp, "net/if_inet6": (*Proc).ifInet6, "net/ipv6_route": (*Proc).ipv6Route, "net/fib_trie": (*Proc).fibTrie, "net/softnet_stat": (*Proc).softnet,
	"net/rt_cache": constant("Iface\tDestination\tGateway \tFlags\t\tRefCnt\tUse\tMetric\tSource\t\tMTU\tWindow\tIRTT\tTOS\tHHRef\tHHUptod\tSpecDst\n"), "net/ptype": constant("Type Device      Function\n0800          ip_rcv\n0806          arp_rcv\n86dd          ipv6_rcv\n"),
	"net/ip_tables_names": constant(""), "net/psched": constant("000003e8 00000040 000f4240 3b9aca00\n"), "net/connector": constant("Name            ID\ncn_proc         1:1\n"), "net/xfrm_stat": constant("XfrmInError             \t0\nXfrmInBufferError       \t0\n"),
}

func nicNames(nics []persona.NIC) []string {
	var out []string
	for _, n := range nics {
		out = append(out, n.Name)
	}
	return out
}

// packets are what the first interface has carried, as /proc/net/dev counts it.
func (f *Proc) packets() (in, out, bytesIn, bytesOut int64) {
	n := f.m.Persona.NICs[0]
	up := int64(f.up())
	bytesIn, bytesOut = n.RxBytes+up*190, n.TxBytes+up*120
	return bytesIn / 640, bytesOut / 480, bytesIn, bytesOut
}

func (f *Proc) snmp() string {
	in, out, _, _ := f.packets()
	lo := int64(f.up()) / 20
	conns := f.count("conns", 0.002)
	return fmt.Sprintf("Ip: Forwarding DefaultTTL InReceives InHdrErrors InAddrErrors ForwDatagrams InUnknownProtos InDiscards InDelivers OutRequests OutDiscards OutNoRoutes ReasmTimeout ReasmReqds ReasmOKs ReasmFails FragOKs FragFails FragCreates\n"+
		"Ip: 2 64 %d 0 0 0 0 0 %d %d 20 0 0 0 0 0 0 0 0\nIcmp: InMsgs InErrors InCsumErrors InDestUnreachs InTimeExcds InParmProbs InSrcQuenchs InRedirects InEchos InEchoReps InTimestamps InTimestampReps InAddrMasks InAddrMaskReps OutMsgs OutErrors OutDestUnreachs OutTimeExcds OutParmProbs OutSrcQuenchs OutRedirects OutEchos OutEchoReps OutTimestamps OutTimestampReps OutAddrMasks OutAddrMaskReps\n"+
		"Icmp: 61 0 0 52 0 0 0 0 9 0 0 0 0 0 66 0 57 0 0 0 0 0 9 0 0 0 0\nIcmpMsg: InType3 InType8 OutType0 OutType3\nIcmpMsg: 52 9 9 57\nTcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs OutSegs RetransSegs InErrs OutRsts InCsumErrors\n"+
		"Tcp: 1 200 120000 -1 %d %d 12 31 1 %d %d %d 0 %d 0\nUdp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors\nUdp: %d 57 0 %d 0 0 0 %d 0\n",
		in+lo, in+lo-20, out+lo, conns/3, conns, in*9/10, out*9/10, conns/4, conns/5, in/30, out/30, in/20)
}

func (f *Proc) netstat() string {
	_, _, in, out := f.packets()
	acks := f.count("acks", 1.1)
	return fmt.Sprintf("TcpExt: SyncookiesSent SyncookiesRecv SyncookiesFailed EmbryonicRsts PruneCalled RcvPruned OfoPruned OutOfWindowIcmps LockDroppedIcmps ArpFilter TW TWRecycled TWKilled PAWSActive PAWSEstab DelayedACKs DelayedACKLocked DelayedACKLost ListenOverflows ListenDrops TCPHPHits TCPPureAcks TCPHPAcks\n"+
		"TcpExt: 0 0 0 3 0 0 0 0 0 0 %d 0 0 0 0 %d 2 11 0 0 %d %d %d\nIpExt: InNoRoutes InTruncatedPkts InMcastPkts OutMcastPkts InBcastPkts OutBcastPkts InOctets OutOctets InMcastOctets OutMcastOctets InBcastOctets OutBcastOctets InCsumErrors InNoECTPkts InECT1Pkts InECT0Pkts InCEPkts ReasmOverlaps\n"+
		"IpExt: 0 0 0 0 %d 0 %d %d 0 0 %d 0 0 %d 0 0 0 0\n", f.count("tw", 0.001), acks/4, acks*3, acks, acks/2, in/12800, in, out, in/100, in/640)
}

func (f *Proc) sockstat() string {
	tcp, udp := 1, 0
	for _, s := range f.m.Persona.Sockets {
		switch s.Proto {
		case "tcp":
			tcp++
		case "udp":
			udp++
		}
	}
	return fmt.Sprintf("sockets: used %d\nTCP: inuse %d orphan 0 tw 0 alloc %d mem 1\nUDP: inuse %d mem %d\nUDPLITE: inuse 0\nRAW: inuse 0\nFRAG: inuse 0 memory 0\n", 120+tcp+udp, tcp, tcp+1, udp, udp*2)
}

// unix are the local sockets of the services that have one.
func (f *Proc) unix() string {
	var b strings.Builder
	b.WriteString("Num       RefCount Protocol Flags    Type St Inode Path\n")
	for i, path := range []string{"/run/systemd/private", "/run/systemd/journal/syslog", "/run/systemd/journal/dev-log", "/run/systemd/journal/socket", "/run/systemd/journal/stdout", "/run/systemd/notify", "/run/systemd/userdb/io.systemd.DynamicUser", "/run/dbus/system_bus_socket", "/run/udev/control", "/run/systemd/fsck.progress"} {
		kind, state, flags := "0001", "01", "00010000"
		if strings.Contains(path, "journal/s") || strings.Contains(path, "dev-log") || strings.Contains(path, "notify") {
			kind, flags = "0002", "00000000"
		}
		fmt.Fprintf(&b, "0000000000000000: 00000002 00000000 %s %s %s %5d %s\n", flags, kind, state, 11_200+i*37, path)
	}
	for i := range 14 {
		fmt.Fprintf(&b, "0000000000000000: 00000003 00000000 00000000 0001 03 %5d\n", 12_100+i*61)
	}
	return b.String()
}

func (f *Proc) devMcast() string {
	var b strings.Builder
	for i, n := range f.m.Persona.NICs {
		for _, m := range []string{"333300000001", "01005e000001", "3333ff" + strings.ReplaceAll(n.MAC[9:], ":", "")} {
			fmt.Fprintf(&b, "%-4d %-15s 1     0     %s\n", i+2, n.Name, m)
		}
	}
	return b.String()
}

func (f *Proc) igmp() string {
	var b strings.Builder
	b.WriteString("Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n")
	for i, n := range append([]string{"lo"}, nicNames(f.m.Persona.NICs)...) {
		fmt.Fprintf(&b, "%d\t%-10s: %5d %7s\n\t\t\t\t%s %5d 0:00000000\t\t0\n", i+1, n, 1, "V3", "010000E0", 1)
	}
	return b.String()
}

// flat is an IPv6 address as 32 hex digits.
func flat(addr string) string {
	a, err := netip.ParseAddr(addr)
	if err != nil {
		return strings.Repeat("0", 32)
	}
	b := a.As16()
	return hex.EncodeToString(b[:])
}

func (f *Proc) ifInet6() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s 01 80 10 80       lo\n", flat("::1"))
	for i, n := range f.m.Persona.NICs {
		fmt.Fprintf(&b, "%s %02x 40 20 80 %8s\n", flat(n.IPv6LL), i+2, n.Name)
	}
	return b.String()
}

func (f *Proc) ipv6Route() string {
	var b strings.Builder
	zero := flat("::")
	row := func(dst string, bits int, metric, flags, dev string) {
		fmt.Fprintf(&b, "%s %02x %s 00 %s %s 00000001 00000000 %s %8s\n", flat(dst), bits, zero, zero, metric, flags, dev)
	}
	for _, n := range f.m.Persona.NICs {
		row("fe80::", 64, "00000100", "00000001", n.Name)
		row(n.IPv6LL, 128, "00000000", "80200001", n.Name)
	}
	row("::1", 128, "00000000", "80200001", "lo")
	return b.String()
}

func (f *Proc) fibTrie() string {
	n := f.m.Persona.NICs[0]
	net := n.IPv4[:strings.LastIndexByte(n.IPv4, '.')+1]
	return fmt.Sprintf("Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     +-- 127.0.0.0/8 2 0 2\n        +-- 127.0.0.0/31 1 0 0\n           |-- 127.0.0.0\n              /8 host LOCAL\n           |-- 127.0.0.1\n              /32 host LOCAL\n        |-- 127.255.255.255\n           /32 link BROADCAST\n     +-- %[1]s0/%[3]d 2 0 2\n        |-- %[1]s0\n           /%[3]d link UNICAST\n        |-- %[2]s\n           /32 host LOCAL\n        |-- %[1]s255\n           /32 link BROADCAST\n", net, n.IPv4, n.Prefix)
}

func (f *Proc) softnet() string {
	var b strings.Builder
	for i, n := range f.split("softnet", f.count("softnet", 3.2*float64(f.m.Persona.CPU.Cores))) {
		fmt.Fprintf(&b, "%08x 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 %08x 00000000 00000000\n", n, i)
	}
	return b.String()
}
