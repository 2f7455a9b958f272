package image

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// disks are the block devices and the links that udev makes to them.
func (b *builder) disks() {
	t := b.booted
	link := func(path, target string) {
		b.Add(vfs.Node{Path: path, Kind: vfs.Symlink, Mode: 0o777, Target: target, Mtime: t})
	}
	for d := range strings.FieldsSeq("block bsg disk disk/by-id disk/by-partuuid disk/by-path disk/by-uuid dri input mapper net snd") {
		b.dir("/dev/"+d, 0o755, 0, 0, t)
	}
	for _, d := range b.p.Disks {
		serial := "scsi-0QEMU_QEMU_HARDDISK_drive-scsi0"
		bus := "pci-0000:00:05.0-scsi-0:0:0:0"
		b.Add(vfs.Node{Path: "/dev/" + d.Name, Kind: vfs.BlockDev, Mode: 0o660, GID: 6, Mtime: t, Major: 8})
		link("/dev/disk/by-id/"+serial, "../../"+d.Name)
		link("/dev/disk/by-path/"+bus, "../../"+d.Name)
		for i, q := range d.Parts {
			n, err := strconv.Atoi(strings.TrimPrefix(q.Name, d.Name))
			if err != nil {
				n = i + 1
			}
			b.Add(vfs.Node{Path: "/dev/" + q.Name, Kind: vfs.BlockDev, Mode: 0o660, GID: 6, Mtime: t, Major: 8, Minor: uint32(n)})
			link(fmt.Sprintf("/dev/disk/by-id/%s-part%d", serial, n), "../../"+q.Name)
			link(fmt.Sprintf("/dev/disk/by-path/%s-part%d", bus, n), "../../"+q.Name)
			link("/dev/disk/by-partuuid/"+fmt.Sprintf("%.8s-%02d", b.p.MachineID, n), "../../"+q.Name)
			if q.UUID != "" {
				link("/dev/disk/by-uuid/"+q.UUID, "../../"+q.Name)
			}
			link(fmt.Sprintf("/dev/block/8:%d", n), "../"+q.Name)
		}
		link("/dev/block/8:0", "../"+d.Name)
	}
	link("/dev/disk/by-id/ata-QEMU_DVD-ROM_QM00003", "../../sr0")
	link("/dev/disk/by-path/pci-0000:00:01.1-ata-2", "../../sr0")
}
