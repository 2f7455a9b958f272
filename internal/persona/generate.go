package persona

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/yamldoc"
	"github.com/lapwing-defence/lapwing/personas"
)

// template is the data that a persona is drawn from.
type template struct {
	Family string `yaml:"family"`
	Arch   string `yaml:"arch"`
	OS     struct {
		ID        string   `yaml:"id"`
		Name      string   `yaml:"name"`
		VersionID string   `yaml:"version_id"`
		Version   string   `yaml:"version"`
		Codename  string   `yaml:"codename"`
		Pretty    string   `yaml:"pretty"`
		URLs      []string `yaml:"urls"`
	} `yaml:"os"`
	Releases []struct {
		Release string `yaml:"release"`
		Version string `yaml:"version"`
		Package string `yaml:"package"`
		Deb     string `yaml:"deb"`
		SSH     string `yaml:"ssh"`
		Point   string `yaml:"point"` // replaces {point} in the texts of os and issue
	} `yaml:"releases"`
	Compiler  string   `yaml:"compiler"`
	Hostnames []string `yaml:"hostnames"`
	Domains   []string `yaml:"domains"`
	CPUs      []struct {
		Vendor   string  `yaml:"vendor"`
		Model    string  `yaml:"model"`
		Family   int     `yaml:"family"`
		ModelNum int     `yaml:"model_num"`
		Stepping int     `yaml:"stepping"`
		MHz      float64 `yaml:"mhz"`
		CacheKB  int     `yaml:"cache_kb"`
	} `yaml:"cpus"`
	Flags    string    `yaml:"flags"`
	Cores    []int     `yaml:"cores"`
	MemoryKB []int64   `yaml:"memory_kb"`
	DisksGB  []int64   `yaml:"disks_gb"`
	OUIs     []string  `yaml:"ouis"`
	PCI      []string  `yaml:"pci"`
	People   []string  `yaml:"people"`
	Surnames []string  `yaml:"surnames"`
	MOTD     string    `yaml:"motd"`
	SSLDate  string    `yaml:"ssl_date"` // of the OpenSSL release, for ssh -V
	Bash     string    `yaml:"bash"`     // $BASH_VERSION where the package's version does not tell
	Accounts []string  `yaml:"accounts"` // lines of /etc/passwd without the password; Debian's where absent
	Groups   string    `yaml:"groups"`   // name:gid; Debian's where absent
	Services []service `yaml:"services"`
	Sockets  []struct {
		Proto string `yaml:"proto"`
		Local string `yaml:"local"`
		Name  string `yaml:"name"`
	} `yaml:"sockets"`
	Programs struct {
		Bin  string `yaml:"bin"`
		Sbin string `yaml:"sbin"`
	} `yaml:"programs"` // beside Debian's
	Issue    string `yaml:"issue"`
	Packages []struct {
		Name    string `yaml:"n"`
		Version string `yaml:"v"`
		Arch    string `yaml:"a"`
		Section string `yaml:"s"`
		Summary string `yaml:"d"`
	} `yaml:"packages"`
	Inventory string          `yaml:"inventory"` // "debian-12": the packages are those of the embedded inventory
	Router    *routerTemplate `yaml:"router"`
}

// service is a resident program of a template beside those of every Debian.
type service struct {
	Unit string `yaml:"unit"`
	Desc string `yaml:"desc"`
	User string `yaml:"user"`
	Name string `yaml:"name"`
	Cmd  string `yaml:"cmd"`
	Exe  string `yaml:"exe"`
	VSZ  int64  `yaml:"vsz"`
	RSS  int64  `yaml:"rss"`
}

// Templates are the names that Generate knows, sorted.
func Templates() []string {
	var out []string
	list, err := personas.FS.ReadDir(".")
	if err != nil {
		panic("persona: the embedded templates cannot be listed: " + err.Error())
	}
	for _, e := range list {
		out = append(out, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	slices.Sort(out)
	return out
}

func load(name string) (*template, error) {
	file := name + ".yaml"
	data, err := personas.FS.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("no persona %q: use one of %s", name, strings.Join(Templates(), ", "))
	}
	t := new(template)
	if _, err := yamldoc.Decode(file, data, t); err != nil {
		return nil, err
	}
	return t, nil
}

// drawer picks from a template with a seed.
type drawer struct {
	t *template
	r *rand.Rand
	p *Persona
}

func pick[T any](d *drawer, l []T) T { return l[d.r.IntN(len(l))] }

// Generate draws a persona from the template called name. The same seed and
// time give the same persona.
func Generate(name string, seed uint64, now time.Time) (*Persona, error) {
	t, err := load(name)
	if err != nil {
		return nil, err
	}
	return generate(t, name, seed, now), nil
}

func generate(t *template, name string, seed uint64, now time.Time) *Persona {
	d := &drawer{t: t, r: rand.New(rand.NewPCG(seed, 0x6c617077696e67)), p: &Persona{Template: name, Seed: seed, Family: t.Family}}
	p := d.p
	p.Hostname = pick(d, t.Hostnames)
	if d.r.IntN(2) == 0 {
		p.Hostname += fmt.Sprintf("%02d", 1+d.r.IntN(12))
	}
	p.Domain = pick(d, t.Domains)
	p.Timezone = "Etc/UTC"
	p.Boot = now.Add(-time.Duration(9+d.r.IntN(120))*24*time.Hour - time.Duration(d.r.IntN(86400))*time.Second).UTC().Truncate(time.Second)
	p.MachineID = fmt.Sprintf("%016x%016x", d.r.Uint64(), d.r.Uint64())
	if t.Router != nil {
		d.router(now)
		return p
	}
	d.system()
	d.hardware()
	d.network()
	d.users(now)
	d.programs()
	d.processes()
	p.MOTD, p.Shell = t.MOTD, "bash"
	return p
}

func (d *drawer) system() {
	t, p := d.t, d.p
	rel := pick(d, t.Releases)
	o := t.OS
	o.Version, o.Pretty = strings.ReplaceAll(o.Version, "{point}", rel.Point), strings.ReplaceAll(o.Pretty, "{point}", rel.Point)
	p.Issue = strings.ReplaceAll(t.Issue, "{point}", rel.Point)
	p.OS = OS{ID: o.ID, Name: o.Name, VersionID: o.VersionID, Version: o.Version, Codename: o.Codename, Pretty: o.Pretty, URLs: o.URLs, DebVersion: rel.Deb}
	p.Kernel = Kernel{
		Release: rel.Release, Version: rel.Version, Machine: t.Arch, OSName: "GNU/Linux",
		Proc:    "Linux version " + rel.Release + " " + t.Compiler + " " + rel.Version,
		Cmdline: "BOOT_IMAGE=/boot/vmlinuz-" + rel.Release + " root=UUID=" + d.uuid() + " ro quiet",
	}
	for _, k := range t.Packages {
		if k.Arch == "" {
			k.Arch = "amd64"
		}
		p.Packages = append(p.Packages, Package{k.Name, k.Version, k.Arch, k.Section, int64(80 + d.r.IntN(6000)), k.Summary})
	}
	for _, n := range []string{"openssh-server", "openssh-client", "openssh-sftp-server"} {
		p.Packages = append(p.Packages, Package{n, rel.SSH, "amd64", "net", 1800, "secure shell (SSH) " + n[len("openssh-"):] + ", for secure access to remote machines"})
	}
	p.Packages = append(p.Packages, Package{"linux-image-" + rel.Release, rel.Package, "amd64", "kernel", 396_000, "Linux for 64-bit PCs (signed)"})
	if t.Inventory != "" {
		d.install()
	}
	sort.Slice(p.Packages, func(i, j int) bool { return p.Packages[i].Name < p.Packages[j].Name })
	p.BashVersion = t.Bash
	if bash, ok := p.Package("bash"); ok && t.Bash == "" {
		v, _, _ := strings.Cut(bash.Version, "-")
		p.BashVersion = v + "(1)-release"
	}
	// 1:9.2p1-2+deb12u7 -> SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u7
	upstream, rev, _ := strings.Cut(strings.TrimPrefix(rel.SSH, "1:"), "-")
	vendor := strings.ToUpper(o.ID[:1]) + o.ID[1:]
	ssl, ok := p.Package("libssl3")
	if !ok {
		ssl, _ = p.Package("libssl3t64")
	}
	version, _, _ := strings.Cut(ssl.Version, "-")
	p.SSH = SSH{
		Banner:     "SSH-2.0-OpenSSH_" + upstream + " " + vendor + "-" + rev,
		ClientText: "OpenSSH_" + upstream + " " + vendor + "-" + rev + ", OpenSSL " + version + " " + t.SSLDate,
	}
}

// Package finds an installed package.
func (p *Persona) Package(name string) (Package, bool) {
	for _, k := range p.Packages {
		if k.Name == name {
			return k, true
		}
	}
	return Package{}, false
}

func (d *drawer) uuid() string {
	a, b := d.r.Uint64(), d.r.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", a>>32, a>>16&0xffff, a&0xfff, 0x8000|b>>48&0x3fff, b&0xffffffffffff)
}

func (d *drawer) hardware() {
	t, p := d.t, d.p
	c := pick(d, t.CPUs)
	p.CPU = CPU{
		Cores: pick(d, t.Cores), Vendor: c.Vendor, Model: c.Model, Family: c.Family, ModelNum: c.ModelNum, Stepping: c.Stepping,
		MHz: c.MHz, CacheKB: c.CacheKB, Bogomips: float64(int(c.MHz*200)) / 100, Flags: strings.Join(strings.Fields(t.Flags), " "), Virt: "KVM",
		Elf: Elf{Class: 2, Data: 1, Machine: 62, Interp: "/lib64/ld-linux-x86-64.so.2"},
	}
	total := pick(d, t.MemoryKB) - int64(d.r.IntN(800))*4
	swap := int64(998396 + 4*d.r.IntN(500))
	p.Memory = Memory{TotalKB: total, SwapKB: swap, BaseKB: total/12 + int64(d.r.IntN(200_000)), CacheKB: total / 3}
	gb := pick(d, t.DisksGB)
	size := gb << 30
	root := size - 1<<30 - 1<<20
	id := d.uuid()
	p.Kernel.Cmdline = p.Kernel.Cmdline[:strings.Index(p.Kernel.Cmdline, "UUID=")] + "UUID=" + id + " ro quiet"
	if p.Family == "ubuntu" {
		d.ubuntuDisk(size, root, id)
		p.PCI = t.PCI
		return
	}
	p.Disks = []Disk{{Name: "sda", Bytes: size, Model: "QEMU HARDDISK", Parts: []Part{
		{Name: "sda1", Bytes: root, FS: "ext4", UUID: id, Mount: "/"},
		{Name: "sda2", Bytes: 1024},
		{Name: "sda5", Bytes: swap * 1024, FS: "swap", UUID: d.uuid(), Mount: "[SWAP]"},
	}}}
	d.mounts("/dev/sda1", "rw,relatime,errors=remount-ro", root)
	p.PCI = t.PCI
}

// mounts draws the figures of df for a root file system of root bytes.
func (d *drawer) mounts(source, options string, root int64) {
	p, total := d.p, d.p.Memory.TotalKB
	rootKB := root / 1024 * 98 / 100
	inodes := root / 16384
	tmp := func(kb int64) int64 { return kb / 4 * 4 }
	p.Mounts = []Mount{
		{"sysfs", "/sys", "sysfs", "rw,nosuid,nodev,noexec,relatime", 0, 0, 0, 0},
		{"proc", "/proc", "proc", "rw,nosuid,nodev,noexec,relatime", 0, 0, 0, 0},
		{"udev", "/dev", "devtmpfs", fmt.Sprintf("rw,nosuid,relatime,size=%dk,nr_inodes=%d,mode=755,inode64", total/2-36_000, total/8), tmp(total/2 - 36_000), 0, total / 8, 380},
		{"devpts", "/dev/pts", "devpts", "rw,nosuid,noexec,relatime,gid=5,mode=620,ptmxmode=000", 0, 0, 0, 0},
		{"tmpfs", "/run", "tmpfs", fmt.Sprintf("rw,nosuid,nodev,noexec,relatime,size=%dk,mode=755,inode64", total/10/4*4), tmp(total / 10), 560 + int64(d.r.IntN(400)), total / 4, 620},
		{source, "/", "ext4", options, rootKB, rootKB/20 + d.r.Int64N(rootKB/3), inodes, inodes / 40},
		{"securityfs", "/sys/kernel/security", "securityfs", "rw,nosuid,nodev,noexec,relatime", 0, 0, 0, 0},
		{"tmpfs", "/dev/shm", "tmpfs", "rw,nosuid,nodev,inode64", tmp(total / 2), 0, total / 8, 1},
		{"tmpfs", "/run/lock", "tmpfs", "rw,nosuid,nodev,noexec,relatime,size=5120k,inode64", 5120, 0, total / 8, 3},
		{"cgroup2", "/sys/fs/cgroup", "cgroup2", "rw,nosuid,nodev,noexec,relatime,nsdelegate,memory_recursiveprot", 0, 0, 0, 0},
	}
}

func (d *drawer) network() {
	p := d.p
	a, b := 10, d.r.IntN(200)
	c := d.r.IntN(250)
	if d.r.IntN(2) == 0 {
		a, b = 192, 168
	}
	ip := fmt.Sprintf("%d.%d.%d.%d", a, b, c, 10+d.r.IntN(200))
	mac := fmt.Sprintf("%s:%02x:%02x:%02x", pick(d, d.t.OUIs), d.r.IntN(256), d.r.IntN(256), d.r.IntN(256))
	var m [6]int
	for i, x := range strings.Split(mac, ":") {
		v, _ := strconv.ParseInt(x, 16, 32)
		m[i] = int(v)
	}
	p.NICs = []NIC{{
		Name: "ens18", MAC: mac, IPv4: ip, Prefix: 24, Gateway: fmt.Sprintf("%d.%d.%d.1", a, b, c), Broadcast: fmt.Sprintf("%d.%d.%d.255", a, b, c),
		IPv6LL: fmt.Sprintf("fe80::%x:%xff:fe%02x:%x", (m[0]^2)<<8|m[1], m[2], m[3], m[4]<<8|m[5]),
		MTU:    1500, RxBytes: 1<<30 + d.r.Int64N(1<<34), TxBytes: 1<<28 + d.r.Int64N(1<<33),
	}}
	p.DNS = []string{p.NICs[0].Gateway}
}
