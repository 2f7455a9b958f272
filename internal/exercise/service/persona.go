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
}

// names are those of scenarios beside the templates of the fake hosts.
var names = []Persona{
	{"linux-5", "linux", "debian-server", "Debian GNU/Linux 12", "", ""},
	{"linux-6", "linux", "ubuntu-24.04-server", "Ubuntu 24.04 LTS", "", ""},
	{"freebsd", "linux", "debian-server", "FreeBSD", "SSH-2.0-OpenSSH_9.5 FreeBSD-20231004", ""},
	{"windows-10", "windows", "", "Windows 10 Pro", "", ""},
	{"windows-11", "windows", "", "Windows 11 Pro", "", ""},
	{"windows-server", "windows", "", "Windows Server 2019 Standard", "", ""},
	{"windows-server-2016", "windows", "", "Windows Server 2016 Standard", "", ""},
	{"windows-server-2019", "windows", "", "Windows Server 2019 Standard", "", ""},
	{"windows-server-2022", "windows", "", "Windows Server 2022 Standard", "", ""},
	{"router", "device", "busybox-router", "router", "", ""},
	{"switch", "device", "busybox-router", "switch", "", ""},
	{"camera", "device", "busybox-router", "camera", "", ""},
	{"nas", "device", "busybox-router", "nas", "", ""},
	{"printer", "device", "", "printer", "", "JD FTP Server Ready."},
	{"plc", "device", "", "plc", "", ""},
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
