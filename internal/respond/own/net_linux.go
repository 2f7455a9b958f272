package own

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// gateways are the next hops of default routes, of every table.
func gateways() (map[netip.Addr]string, error) {
	data, err := syscall.NetlinkRIB(syscall.RTM_GETROUTE, syscall.AF_UNSPEC)
	if err != nil {
		return nil, fmt.Errorf("read the routes: %w", err)
	}
	msgs, err := syscall.ParseNetlinkMessage(data)
	if err != nil {
		return nil, fmt.Errorf("read the routes: %w", err)
	}
	out := map[netip.Addr]string{}
	for i := range msgs {
		m := &msgs[i]
		if m.Header.Type != syscall.RTM_NEWROUTE || len(m.Data) < unix.SizeofRtMsg || m.Data[1] != 0 { // length of the destination
			continue
		}
		attrs, err := syscall.ParseNetlinkRouteAttr(m)
		if err != nil {
			return out, fmt.Errorf("read the routes: %w", err)
		}
		for _, a := range attrs {
			hop(out, a)
		}
	}
	return out, nil
}

// hop adds what an attribute of a route says of its next hops.
func hop(out map[netip.Addr]string, a syscall.NetlinkRouteAttr) {
	const why = "default gateway"
	switch a.Attr.Type {
	case unix.RTA_GATEWAY:
		if ip, ok := netip.AddrFromSlice(a.Value); ok {
			out[ip.Unmap()] = why
		}
	case unix.RTA_VIA: // family, address
		if len(a.Value) > 2 {
			if ip, ok := netip.AddrFromSlice(a.Value[2:]); ok {
				out[ip.Unmap()] = why
			}
		}
	case unix.RTA_MULTIPATH:
		for rest := a.Value; len(rest) >= unix.SizeofRtNexthop; {
			n := int(binary.NativeEndian.Uint16(rest))
			if n < unix.SizeofRtNexthop || n > len(rest) {
				return
			}
			inner(out, rest[unix.SizeofRtNexthop:n])
			rest = rest[min(len(rest), (n+3)&^3):]
		}
	}
}

func inner(out map[netip.Addr]string, data []byte) {
	for len(data) >= unix.SizeofRtAttr {
		n, typ := int(binary.NativeEndian.Uint16(data)), binary.NativeEndian.Uint16(data[2:])
		if n < unix.SizeofRtAttr || n > len(data) {
			return
		}
		if typ != unix.RTA_MULTIPATH { // it does not nest
			hop(out, syscall.NetlinkRouteAttr{Attr: syscall.RtAttr{Len: uint16(n), Type: typ}, Value: data[unix.SizeofRtAttr:n]})
		}
		data = data[min(len(data), (n+3)&^3):]
	}
}

// groups of rtnetlink that tell when an address or a route changes.
const groups = unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR | unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_ROUTE

// Watch calls fn whenever addresses or routes of the machine change, until ctx
// ends; many changes at once are one call. nil at the end of ctx.
func Watch(ctx context.Context, fn func()) error {
	s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("watch the routes: %w", err)
	}
	defer unix.Close(s) //nolint:errcheck // only read
	if err := unix.Bind(s, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		return fmt.Errorf("watch the routes: %w", err)
	}
	tv := unix.NsecToTimeval((200 * time.Millisecond).Nanoseconds())
	if err := unix.SetsockoptTimeval(s, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		return fmt.Errorf("watch the routes: %w", err)
	}
	buf := make([]byte, 64<<10)
	changed := false
	for ctx.Err() == nil {
		_, _, err := unix.Recvfrom(s, buf, 0)
		switch err {
		case nil, unix.ENOBUFS: // some were lost: look all the same
			changed = true
		case unix.EAGAIN, unix.EINTR:
			if changed {
				changed = false
				fn()
			}
		default:
			return fmt.Errorf("watch the routes: %w", err)
		}
	}
	return nil
}
