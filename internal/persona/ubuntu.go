package persona

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// accounts are the system accounts of the template, Debian's where it has none.
func (d *drawer) accounts() []User {
	if len(d.t.Accounts) == 0 {
		return slices.Clone(accounts)
	}
	var out []User
	for _, line := range d.t.Accounts {
		f := strings.Split(line, ":")
		if len(f) != 6 {
			panic("persona: an account of the embedded template has not six fields: " + line)
		}
		uid, err1 := strconv.ParseUint(f[1], 10, 32)
		gid, err2 := strconv.ParseUint(f[2], 10, 32)
		if err1 != nil || err2 != nil {
			panic("persona: an account of the embedded template has a bad id: " + line)
		}
		out = append(out, User{Name: f[0], UID: uint32(uid), GID: uint32(gid), Gecos: f[3], Home: f[4], Shell: f[5]})
	}
	return out
}

// ubuntuDisk is the layout of Ubuntu's server installer: a BIOS boot
// partition, the root, a swap file in it, and the snaps.
func (d *drawer) ubuntuDisk(size, root int64, id string) {
	p := d.p
	p.Memory.SwapKB = 2_097_148
	p.Disks = []Disk{{Name: "sda", Bytes: size, Model: "QEMU HARDDISK", Parts: []Part{
		{Name: "sda1", Bytes: 1 << 20}, {Name: "sda2", Bytes: root, FS: "ext4", UUID: id, Mount: "/"},
	}}}
	d.mounts("/dev/sda2", "rw,relatime", root)
	p.Kernel.Cmdline = strings.TrimSuffix(p.Kernel.Cmdline, " quiet")
	core := "core22/1621"
	if p.OS.VersionID == "22.04" {
		core = "core20/2318"
	}
	for i, s := range []string{core, "lxd/29619", "snapd/23545"} {
		kb := int64(60_000 + d.r.IntN(30_000))
		p.Mounts = append(p.Mounts, Mount{fmt.Sprintf("/dev/loop%d", i), "/snap/" + s, "squashfs", "ro,nodev,relatime,errors=continue,threads=single", kb, kb, 800, 800})
	}
}
