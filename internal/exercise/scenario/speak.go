package scenario

import (
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/yamldoc"
)

// Places in a text that could be meant as somebody's: addresses, and servers of
// links.
var (
	addressInText = regexp.MustCompile(`(?:^|[^0-9A-Za-z.])((?:[0-9]{1,3}\.){3}[0-9]{1,3})(?:[^0-9.]|\.[^0-9]|\.?$)`)
	linkInText    = regexp.MustCompile(`(?i)\b(?:https?|ftps?|tftp|wss?|ssh|sftp|ldaps?|smb)://([^/\s:?#'"|;&>]+)`)
)

// speaks checks every text in the arguments of a step: addresses and the servers
// of links are the scenario's, or nobody's. Nothing would be sent there in any
// case; a file that is read elsewhere should be as harmless.
func (c *checker) speaks(step *yamldoc.Node, s *Scenario, path string) {
	var walk func(n *yamldoc.Node)
	walk = func(n *yamldoc.Node) {
		for _, e := range n.Content {
			walk(e)
		}
		if n.Kind != yamldoc.Scalar {
			return
		}
		for _, m := range addressInText.FindAllStringSubmatch(n.Value, -1) {
			a, err := netip.ParseAddr(m[1])
			if err == nil && !within(netip.PrefixFrom(a, a.BitLen())) && !a.IsLoopback() && !a.IsUnspecified() {
				c.fault(n.Line, "use a private or a documentation address", "%s: the address %s is somebody's", path, m[1])
			}
		}
		for _, m := range linkInText.FindAllStringSubmatch(n.Value, -1) {
			if !c.harmless(m[1], s) {
				c.fault(n.Line, "use a host of the scenario, or a name below .invalid, .test or .example", "%s: the server %s is somebody's", path, strconv.Quote(clip(m[1])))
			}
		}
	}
	if args := value(step, "args"); args != nil && !c.without["hosts"] {
		walk(args)
	}
}

// harmless tells whether the server of a link is the scenario's or nobody's.
func (c *checker) harmless(server string, s *Scenario) bool {
	if i := strings.LastIndexByte(server, '@'); i >= 0 {
		server = server[i+1:]
	}
	if a, err := netip.ParseAddr(server); err == nil {
		return within(netip.PrefixFrom(a, a.BitLen())) || a.IsLoopback()
	}
	first, _, _ := strings.Cut(server, ".")
	return outside(server) || c.names[namesHost].has(server) || slices.ContainsFunc(s.Hosts, func(h Host) bool {
		return h.Name == first && h.Domain != "" && strings.EqualFold(server, h.Name+"."+h.Domain)
	})
}
