// Package persona says who a fake host claims to be: names, users, hardware,
// versions. A Persona is generated once from a template and a seed, kept, and
// read by everything that shows a fact, so that nothing contradicts.
package persona

import (
	"strings"
	"time"
)

// Persona is every fact about one fake host. It is plain data (JSON) and is
// not changed after Generate.
type Persona struct {
	Template string `json:"template"` // "debian-server", "ubuntu-22.04-server", "busybox-router"
	Seed     uint64 `json:"seed"`
	Family   string `json:"family"` // "debian", "ubuntu", "busybox"

	Hostname string `json:"hostname"`
	Domain   string `json:"domain"` // may be empty
	Timezone string `json:"timezone"`

	OS     OS     `json:"os"`
	Kernel Kernel `json:"kernel"`
	CPU    CPU    `json:"cpu"`
	Memory Memory `json:"memory"`

	Disks     []Disk    `json:"disks"`
	Mounts    []Mount   `json:"mounts"`
	NICs      []NIC     `json:"nics"` // without loopback
	DNS       []string  `json:"dns"`
	PCI       []string  `json:"pci"` // lines of lspci
	Boot      time.Time `json:"boot"`
	MachineID string    `json:"machine_id"`

	Users    []User    `json:"users"` // in the order of /etc/passwd
	Groups   []Group   `json:"groups"`
	Packages []Package `json:"packages"` // sorted by name
	Programs []Program `json:"programs"` // what is in /bin, /usr/bin, ...
	Units    []Unit    `json:"units"`
	Procs    []Process `json:"procs"` // resident processes, pid order
	Sockets  []Socket  `json:"sockets"`

	SSH         SSH       `json:"ssh"`
	Telnet      Telnet    `json:"telnet"`
	MOTD        string    `json:"motd"`  // text after the uname line at login
	Issue       string    `json:"issue"` // /etc/issue
	LastLogin   LastLogin `json:"last_login"`
	BusyBox     BusyBox   `json:"busybox"`
	BashVersion string    `json:"bash_version"` // $BASH_VERSION, "5.2.15(1)-release"
	Shell       string    `json:"shell"`        // "bash" or "ash": the language of root's shell
}

// OS is what /etc/os-release tells.
type OS struct {
	ID         string   `json:"id"`         // "debian"
	Name       string   `json:"name"`       // "Debian GNU/Linux"
	VersionID  string   `json:"version_id"` // "12"
	Version    string   `json:"version"`    // "12 (bookworm)"
	Codename   string   `json:"codename"`
	Pretty     string   `json:"pretty"`
	DebVersion string   `json:"deb_version"` // /etc/debian_version, "12.11"
	URLs       []string `json:"urls"`        // HOME_URL, SUPPORT_URL, BUG_REPORT_URL
}

// Kernel is what uname and /proc/version tell.
type Kernel struct {
	Release string `json:"release"` // uname -r
	Version string `json:"version"` // uname -v
	Machine string `json:"machine"` // uname -m: x86_64, aarch64, armv7l, mips
	OSName  string `json:"os_name"` // uname -o: GNU/Linux; may be empty
	Proc    string `json:"proc"`    // the line of /proc/version
	Cmdline string `json:"cmdline"`
}

// CPU is what /proc/cpuinfo and lscpu tell.
type CPU struct {
	Cores    int     `json:"cores"`
	Vendor   string  `json:"vendor"`
	Model    string  `json:"model"`
	Family   int     `json:"family"`
	ModelNum int     `json:"model_num"`
	Stepping int     `json:"stepping"`
	MHz      float64 `json:"mhz"`
	CacheKB  int     `json:"cache_kb"`
	Bogomips float64 `json:"bogomips"`
	Flags    string  `json:"flags"`
	Info     string  `json:"info,omitempty"` // /proc/cpuinfo as it stands, where it is not x86's
	Virt     string  `json:"virt"`           // "KVM", "VMware", or empty on hardware
	Elf      Elf     `json:"elf"`
}

// Elf is the header of this machine's programs.
type Elf struct {
	Class   int    `json:"class"`   // 1 = 32 bit, 2 = 64 bit
	Data    int    `json:"data"`    // 1 = little endian, 2 = big endian
	Machine uint16 `json:"machine"` // 62 x86-64, 183 AArch64, 40 ARM, 8 MIPS
	Interp  string `json:"interp"`  // "/lib64/ld-linux-x86-64.so.2"
}

// Memory is in KiB. The used share drifts with time; Base is where it rests.
type Memory struct {
	TotalKB int64 `json:"total_kb"`
	SwapKB  int64 `json:"swap_kb"`
	BaseKB  int64 `json:"base_kb"`  // used by programs at rest
	CacheKB int64 `json:"cache_kb"` // buffers and cache at rest
}

// Disk is one block device with its partitions.
type Disk struct {
	Name  string `json:"name"` // "sda", "vda", "mtdblock0"
	Bytes int64  `json:"bytes"`
	Model string `json:"model"`
	Parts []Part `json:"parts"`
}

// Part is one partition.
type Part struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
	FS    string `json:"fs"`
	UUID  string `json:"uuid"`
	Mount string `json:"mount"`           // "/", "/boot/efi", "[SWAP]", ""
	Label string `json:"label,omitempty"` // of a flash partition: "rootfs_data"
}

// Mount is one line of /proc/mounts, with the figures of df (KiB).
type Mount struct {
	Source  string `json:"source"`
	Target  string `json:"target"`
	FS      string `json:"fs"`
	Options string `json:"options"`
	SizeKB  int64  `json:"size_kb"`
	UsedKB  int64  `json:"used_kb"`
	Inodes  int64  `json:"inodes"`
	IUsed   int64  `json:"iused"`
}

// NIC is one network interface.
type NIC struct {
	Name      string `json:"name"`
	MAC       string `json:"mac"` // a real vendor's prefix, locally drawn rest
	IPv4      string `json:"ipv4"`
	Prefix    int    `json:"prefix"`
	Gateway   string `json:"gateway"`
	Broadcast string `json:"broadcast"`
	IPv6LL    string `json:"ipv6_ll"` // EUI-64 of MAC
	MTU       int    `json:"mtu"`
	RxBytes   int64  `json:"rx_bytes"` // at boot + drift
	TxBytes   int64  `json:"tx_bytes"`
}

// User is a line of /etc/passwd and what lies in the home.
type User struct {
	Name    string   `json:"name"`
	UID     uint32   `json:"uid"`
	GID     uint32   `json:"gid"`
	Gecos   string   `json:"gecos"`
	Home    string   `json:"home"`
	Shell   string   `json:"shell"`
	Groups  []string `json:"groups"` // supplementary
	Human   bool     `json:"human"`  // a person: has a home with files
	Sudo    bool     `json:"sudo"`
	History []string `json:"history"` // .bash_history
}

// Group is a line of /etc/group.
type Group struct {
	Name    string   `json:"name"`
	GID     uint32   `json:"gid"`
	Members []string `json:"members"`
}

// Package is one installed package.
type Package struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Arch    string `json:"arch"`
	Section string `json:"section"`
	SizeKB  int64  `json:"size_kb"`
	Summary string `json:"summary"`
}

// Program is one executable file. Impl names its implementation in the fake
// host ("ls", "busybox"); an empty Impl is a program that is there and does
// nothing visible.
type Program struct {
	Path   string    `json:"path"`
	Impl   string    `json:"impl"`
	Size   int64     `json:"size"`
	Mode   uint32    `json:"mode"`           // 0755, 04755
	Link   string    `json:"link,omitempty"` // symlink target instead of a file
	Script bool      `json:"script,omitempty"`
	MTime  time.Time `json:"mtime"`
}

// Unit is one systemd unit or init script.
type Unit struct {
	Name        string `json:"name"` // "ssh.service"
	Description string `json:"description"`
	Active      string `json:"active"` // "active", "inactive"
	Sub         string `json:"sub"`    // "running", "exited", "dead"
	Enabled     string `json:"enabled"`
	PID         int    `json:"pid"`
	ExecStart   string `json:"exec_start"`
}

// Process is one resident process.
type Process struct {
	PID     int           `json:"pid"`
	PPID    int           `json:"ppid"`
	User    string        `json:"user"`
	Command string        `json:"command"` // argv joined; "[kthreadd]" for kernel threads
	Name    string        `json:"name"`    // comm
	Exe     string        `json:"exe"`
	State   string        `json:"state"` // ps STAT: "Ss", "I<", "S"
	VSZ     int64         `json:"vsz"`   // KiB
	RSS     int64         `json:"rss"`   // KiB
	Start   time.Duration `json:"start"` // after boot
	CPU     time.Duration `json:"cpu"`   // used
	TTY     string        `json:"tty"`   // "?" or "tty1"
	Nice    int           `json:"nice"`
	Threads int           `json:"threads"`
}

// Socket is one listening or connected socket of the host at rest.
type Socket struct {
	Proto string `json:"proto"` // tcp, tcp6, udp, udp6
	Local string `json:"local"` // "0.0.0.0:22"
	Peer  string `json:"peer"`
	State string `json:"state"` // LISTEN, UNCONN, ESTAB
	PID   int    `json:"pid"`
	Name  string `json:"name"`
	UID   uint32 `json:"uid"`
	Inode int    `json:"inode"`
}

// SSH is the SSH server's face.
type SSH struct {
	Banner     string `json:"banner"`      // "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u7", equals the package
	ClientText string `json:"client_text"` // what `ssh -V` prints
}

// Telnet is the Telnet server's face.
type Telnet struct {
	Banner string `json:"banner"` // text before "login: "
}

// BusyBox is what the firmware of a router is made of.
type BusyBox struct {
	Version  string    `json:"version,omitempty"`  // "1.35.0"
	Built    time.Time `json:"built,omitzero"`     // the day in BusyBox's banner, and of the firmware
	Model    string    `json:"model,omitempty"`    // of the device
	Firmware string    `json:"firmware,omitempty"` // "2.2.0"
	Serial   string    `json:"serial,omitempty"`

	Neighbours []Neighbour `json:"neighbours,omitempty"`
}

// Neighbour is a device that a router knows by its lease or its wire.
type Neighbour struct {
	Name string `json:"name"` // as it called itself; "*" if not at all
	IP   string `json:"ip"`
	MAC  string `json:"mac"`
	Dev  string `json:"dev"`
}

// LastLogin is what the visitor is told at login.
type LastLogin struct {
	User string    `json:"user"`
	From string    `json:"from"`
	At   time.Time `json:"at"`
	TTY  string    `json:"tty"`
}

// BusyBoxVersion is the version in BusyBox's own words, as its banners begin;
// of a server's package where the host is no router.
func (p *Persona) BusyBoxVersion() string {
	if v := p.BusyBox.Version; v != "" {
		return "BusyBox v" + v + " (" + p.BusyBox.Built.UTC().Format("2006-01-02 15:04:05 MST") + ")"
	}
	k, ok := p.Package("busybox")
	if !ok {
		k, _ = p.Package("busybox-static")
	}
	upstream, _, _ := strings.Cut(k.Version[strings.IndexByte(k.Version, ':')+1:], "-")
	return "BusyBox v" + upstream + " (" + strings.ToUpper(p.OS.ID[:1]) + p.OS.ID[1:] + " " + k.Version + ")"
}

// User finds a user by name.
func (p *Persona) User(name string) (User, bool) {
	for _, u := range p.Users {
		if u.Name == name {
			return u, true
		}
	}
	return User{}, false
}

// FQDN is the host's full name.
func (p *Persona) FQDN() string {
	if p.Domain == "" {
		return p.Hostname
	}
	return p.Hostname + "." + p.Domain
}
