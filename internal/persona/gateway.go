package persona

import (
	"crypto/sha256"
	"fmt"
)

// GatewayMAC is the hardware address of the first interface's gateway: a real
// vendor's prefix, the rest drawn from the machine's id, so that no two
// installations share it.
func (p *Persona) GatewayMAC() string {
	h := sha256.Sum256([]byte("gateway " + p.MachineID))
	return fmt.Sprintf("00:1b:17:%02x:%02x:%02x", h[0], h[1], h[2])
}
