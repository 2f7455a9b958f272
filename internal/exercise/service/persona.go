package service

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/persona"
)

// Persona is who a host of a scenario may claim to be.
type Persona struct {
	Name     string
	Family   string // linux, windows, device
	Template string // of the fake host with its shell; "" where it has none
	Product  string // what its banners name
	SSH      string // version that its SSH server names; "": the template's
	FTP      string // what its FTP server says first; "": the usual one's
	// Shut hosts let nobody in by SSH or Telnet: there is no shell of their system,
	// and that of the template would give them away.
	Shut bool
}

// names are those of scenarios beside the templates of the fake hosts.
var names = []Persona{
	{Name: "linux-5", Family: "linux", Template: "debian-server", Product: "Debian GNU/Linux 12"},
	{Name: "linux-6", Family: "linux", Template: "ubuntu-24.04-server", Product: "Ubuntu 24.04 LTS"},
	{Name: "freebsd", Family: "linux", Template: "debian-server", Product: "FreeBSD", SSH: "SSH-2.0-OpenSSH_9.5 FreeBSD-20231004", Shut: true},
	{Name: "windows-10", Family: "windows", Product: "Windows 10 Pro"},
	{Name: "windows-11", Family: "windows", Product: "Windows 11 Pro"},
	{Name: "windows-server", Family: "windows", Product: "Windows Server 2019 Standard"},
	{Name: "windows-server-2016", Family: "windows", Product: "Windows Server 2016 Standard"},
	{Name: "windows-server-2019", Family: "windows", Product: "Windows Server 2019 Standard"},
	{Name: "windows-server-2022", Family: "windows", Product: "Windows Server 2022 Standard"},
	{Name: "router", Family: "device", Template: "busybox-router", Product: "router"},
	{Name: "switch", Family: "device", Template: "busybox-router", Product: "switch", Shut: true},
	{Name: "camera", Family: "device", Template: "busybox-router", Product: "camera"},
	{Name: "nas", Family: "device", Template: "busybox-router", Product: "nas"},
	{Name: "printer", Family: "device", Product: "printer", FTP: "JD FTP Server Ready."},
	{Name: "plc", Family: "device", Product: "plc"},
}

// Personas is every persona that a scenario may name, sorted.
func Personas() []Persona {
	out := slices.Clone(names)
	for _, t := range persona.Templates() {
		family := "linux"
		if strings.HasPrefix(t, "busybox") {
			family = "device"
		}
		out = append(out, Persona{Name: t, Family: family, Template: t, Product: t})
	}
	slices.SortFunc(out, func(a, b Persona) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// FindPersona is the persona of a name; the error lists those that there are.
func FindPersona(name string) (Persona, error) {
	all := Personas()
	list := make([]string, 0, len(all))
	for _, p := range all {
		if p.Name == name {
			return p, nil
		}
		list = append(list, p.Name)
	}
	return Persona{}, fmt.Errorf("no persona %q: use one of %s", name, strings.Join(list, ", "))
}
