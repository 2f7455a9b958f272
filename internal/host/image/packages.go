package image

import (
	"fmt"
	"hash/fnv"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/vfs"
	"github.com/lapwing-defence/lapwing/internal/persona"
)

// packages puts what the installed packages hold on the host. Directories are
// made now, what lies in them when somebody looks.
func (b *builder) packages() {
	for d := range b.p.PackageDirs {
		count := 0
		for f := range d.Files {
			if !f.IsDir {
				count++
				continue
			}
			if p := merged(f.Path()); !b.There(p) {
				b.dir(p, f.Mode, 0, 0, b.installed)
			}
		}
		b.Lazy(merged(d.Path), count, func(add func(vfs.Node)) {
			for f := range d.Files {
				if !f.IsDir {
					add(b.packaged(f))
				}
			}
		})
	}
	b.dpkg()
}

// merged is where a directory is since /bin, /sbin and /lib are in /usr.
func merged(dir string) string {
	for _, top := range []string{"/bin", "/sbin", "/lib", "/lib64"} {
		if dir == top || strings.HasPrefix(dir, top+"/") {
			return "/usr" + dir
		}
	}
	return dir
}

// packaged is one file of a package.
func (b *builder) packaged(f persona.PackageFile) vfs.Node {
	n := vfs.Node{Path: f.Name, Mode: f.Mode, Mtime: b.released(f.Packages)}
	if f.Target != "" {
		n.Kind, n.Target = vfs.Symlink, f.Target
		return n
	}
	n.Content = b.filler(f)
	return n
}

// released is when a package was built: it is its files' time.
func (b *builder) released(pkg string) time.Time {
	f := fnv.New32a()
	f.Write([]byte(pkg))
	h := f.Sum32()
	return b.installed.AddDate(0, 0, -int(h%700)-20).Add(-time.Duration(h%86400) * time.Second)
}

// unpacked is when the package manager put the i-th package on the host.
func (b *builder) unpacked(i int) time.Time {
	return b.installed.Add(time.Duration(i) * 400 * time.Millisecond)
}

// dpkg is the package manager's own memory.
func (b *builder) dpkg() {
	t := b.installed.AddDate(0, 0, 2)
	b.dir("/var/lib/dpkg", 0o755, 0, 0, t)
	b.Lazy("/var/lib/dpkg", 6, func(add func(vfs.Node)) {
		text := func(name string, text func() string) {
			add(vfs.Node{Path: name, Kind: vfs.File, Mode: 0o644, Mtime: t, Content: lines(text)})
		}
		text("status", b.status)
		text("status-old", b.status)
		text("available", func() string { return "" })
		text("arch", func() string { return "amd64\n" })
		text("diversions", func() string { return "/lib32\n/lib32.usr-is-merged\nusr-is-merged\n" })
		text("statoverride", func() string {
			return "root messagebus 4754 /usr/lib/dbus-1.0/dbus-daemon-launch-helper\nroot _ssh 2755 /usr/bin/ssh-agent\nroot crontab 2755 /usr/bin/crontab\n"
		})
	})
	b.Text("/var/lib/dpkg/lock", 0o640, 0, 0, t, "")
	b.Text("/var/lib/dpkg/lock-frontend", 0o640, 0, 0, t, "")
	for _, d := range []string{"alternatives", "info", "parts", "triggers", "updates"} {
		b.dir("/var/lib/dpkg/"+d, 0o755, 0, 0, t)
	}
	b.Lazy("/var/lib/dpkg/info", 2*len(b.p.Packages)+1, func(add func(vfs.Node)) {
		lists := b.p.PackageLists()
		add(vfs.Node{Path: "format", Kind: vfs.File, Mode: 0o644, Mtime: t, Content: vfs.Bytes([]byte("1\n"))})
		for i, k := range b.p.Packages {
			f, _ := b.p.Facts(k.Name)
			name, list := f.Label(), lists[k.Name]
			add(vfs.Node{Path: name + ".list", Kind: vfs.File, Mode: 0o644, Mtime: b.unpacked(i), Content: lines(func() string { return strings.Join(list, "\n") + "\n" })})
			add(vfs.Node{Path: name + ".md5sums", Kind: vfs.File, Mode: 0o644, Mtime: b.released(k.Name), Content: lines(func() string { return sums(list, b.p.Seed) })})
		}
	})
}

// sums are lines as of md5sums, of nobody's bytes.
func sums(list []string, seed uint64) string {
	var s strings.Builder
	for i, p := range list {
		if i+1 < len(list) && strings.HasPrefix(list[i+1], p+"/") || p == "/." {
			continue
		}
		seed = seed*6364136223846793005 + uint64(len(p))
		fmt.Fprintf(&s, "%016x%016x  %s\n", seed, seed*0x9e3779b97f4a7c15, p[1:])
	}
	return s.String()
}

// status is /var/lib/dpkg/status.
func (b *builder) status() string {
	var s strings.Builder
	for _, k := range b.p.Packages {
		if f, ok := b.p.Facts(k.Name); ok {
			s.WriteString(f.Stanza() + "\n")
		}
	}
	return s.String()
}

// modules is /lib/modules of the kernel that runs.
func (b *builder) modules() {
	top := "/usr/lib/modules/" + b.p.Kernel.Release
	b.dir("/usr/lib/modules", 0o755, 0, 0, b.installed)
	t := b.installed.Add(3 * time.Minute)
	b.dir(top, 0o755, 0, 0, t)
	dirs := map[string][]persona.KernelModule{}
	for m := range persona.KernelModules {
		d := path.Dir(m.Path)
		dirs[d] = append(dirs[d], m)
	}
	for _, d := range slices.Sorted(maps.Keys(dirs)) {
		list := dirs[d]
		b.dir(top+"/kernel/"+d, 0o755, 0, 0, b.released("linux"))
		b.Lazy(top+"/kernel/"+d, len(list), func(add func(vfs.Node)) {
			for _, m := range list {
				add(vfs.Node{Path: path.Base(m.Path), Kind: vfs.File, Mode: 0o644, Mtime: b.released("linux"), Content: vfs.Image("", m.Size, b.elf(uint64(m.Size)))})
			}
		})
	}
	b.Lazy(top, 16, func(add func(vfs.Node)) {
		text := func(name string, text func() string) {
			add(vfs.Node{Path: name, Kind: vfs.File, Mode: 0o644, Mtime: t, Content: lines(text)})
		}
		text("modules.dep", dependencies)
		text("modules.alias", aliases)
		text("modules.order", order)
		text("modules.builtin", func() string { return builtins })
		text("modules.softdep", func() string {
			return "# Soft dependencies extracted from modules themselves.\nsoftdep ext4 pre: crypto-crc32c\nsoftdep jbd2 pre: crypto-crc32c\nsoftdep btrfs pre: crypto-crc32c\n"
		})
		text("modules.devname", func() string {
			return "# Device nodes to trigger on-demand module loading.\nfuse fuse c10:229\nloop loop-control c10:237\ntun net/tun c10:200\nvhost_net vhost-net c10:238\nuinput uinput c10:223\nbtrfs btrfs-control c10:234\nppp_generic ppp c108:0\n"
		})
		for name, size := range map[string]int64{"modules.dep.bin": 842_637, "modules.alias.bin": 1_262_718, "modules.builtin.bin": 11_263, "modules.builtin.alias.bin": 8_216, "modules.builtin.modinfo": 85_340, "modules.symbols": 655_816, "modules.symbols.bin": 795_052} {
			add(vfs.Node{Path: name, Kind: vfs.File, Mode: 0o644, Mtime: t, Content: vfs.Image("", size, b.elf(uint64(size)))})
		}
	})
}

// dependencies is modules.dep: each module with all that it needs.
func dependencies() string {
	paths, needs := map[string]string{}, map[string]string{}
	for m := range persona.KernelModules {
		paths[m.Name()], needs[m.Name()] = m.Path, m.Depends
	}
	var s strings.Builder
	for m := range persona.KernelModules {
		s.WriteString("kernel/" + m.Path + ":")
		seen := map[string]bool{m.Name(): true}
		todo := strings.Split(m.Depends, ",")
		for len(todo) > 0 {
			n := strings.ReplaceAll(todo[0], "-", "_")
			todo = todo[1:]
			if n == "" || seen[n] || paths[n] == "" {
				continue
			}
			seen[n] = true
			s.WriteString(" kernel/" + paths[n])
			todo = append(todo, strings.Split(needs[n], ",")...)
		}
		s.WriteByte('\n')
	}
	return s.String()
}

func order() string {
	var s strings.Builder
	for m := range persona.KernelModules {
		s.WriteString("kernel/" + m.Path + "\n")
	}
	return s.String()
}

// aliases is modules.alias: what the loaded modules really answer to, and
// devices for the drivers.
func aliases() string {
	var s strings.Builder
	s.WriteString("# Aliases extracted from modules themselves.\n")
	for _, m := range persona.LoadedModules() {
		for _, i := range m.Info {
			if a, ok := strings.CutPrefix(i, "alias="); ok {
				s.WriteString("alias " + a + " " + m.Name + "\n")
			}
		}
	}
	for m := range persona.KernelModules {
		if !strings.HasPrefix(m.Path, "drivers/") {
			continue
		}
		h := uint32(m.Size) * 2654435761
		for i := range 2 + h%7 {
			h = h*1664525 + 1013904223 + i
			fmt.Fprintf(&s, "alias pci:v%08Xd%08Xsv*sd*bc*sc*i* %s\n", 0x1000+h>>20&0xfff, h&0xffff, m.Name())
		}
	}
	return s.String()
}

// builtins are modules that are part of the kernel.
const builtins = "kernel/arch/x86/events/amd/amd-uncore.ko\nkernel/arch/x86/platform/intel/iosf_mbi.ko\nkernel/kernel/configs.ko\nkernel/mm/zswap.ko\nkernel/mm/zsmalloc.ko\nkernel/mm/zpool.ko\nkernel/mm/zbud.ko\nkernel/fs/binfmt_script.ko\nkernel/fs/devpts/devpts.ko\nkernel/fs/ramfs/ramfs.ko\nkernel/fs/hugetlbfs/hugetlbfs.ko\nkernel/fs/pstore/pstore.ko\nkernel/crypto/sha256_generic.ko\nkernel/crypto/aes_generic.ko\nkernel/block/bfq.ko\nkernel/lib/zlib_inflate/zlib_inflate.ko\nkernel/drivers/pci/pcie/aer.ko\nkernel/drivers/tty/serial/8250/8250.ko\nkernel/drivers/tty/serial/8250/8250_pci.ko\nkernel/drivers/char/hw_random/rng-core.ko\nkernel/drivers/input/keyboard/atkbd.ko\nkernel/drivers/cpufreq/cpufreq_performance.ko\nkernel/net/unix/unix.ko\nkernel/net/ipv6/ipv6.ko\nkernel/net/key/af_key.ko\nkernel/net/packet/af_packet.ko\nkernel/virt/lib/irqbypass.ko\n"
