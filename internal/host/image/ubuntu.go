package image

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// ubuntu adds what an Ubuntu server has beside a Debian one, or instead of it.
func (b *builder) ubuntu() {
	p, t, o := b.p, b.installed, b.p.OS
	n := p.NICs[0]
	release := fmt.Sprintf("PRETTY_NAME=\"%s\"\nNAME=\"%s\"\nVERSION_ID=\"%s\"\nVERSION=\"%s\"\nVERSION_CODENAME=%s\nID=%s\nID_LIKE=debian\nHOME_URL=\"%s\"\nSUPPORT_URL=\"%s\"\nBUG_REPORT_URL=\"%s\"\nPRIVACY_POLICY_URL=\"https://www.ubuntu.com/legal/terms-and-policies/privacy-policy\"\nUBUNTU_CODENAME=%s\n",
		o.Pretty, o.Name, o.VersionID, o.Version, o.Codename, o.ID, o.URLs[0], o.URLs[1], o.URLs[2], o.Codename)
	if o.VersionID != "22.04" {
		release += "LOGO=ubuntu-logo\n"
	}
	b.text("/usr/lib/os-release", t, release)
	b.text("/etc/lsb-release", t, fmt.Sprintf("DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=%s\nDISTRIB_CODENAME=%s\nDISTRIB_DESCRIPTION=\"%s\"\n", o.VersionID, o.Codename, o.Pretty))
	b.text("/etc/issue.net", t, o.Pretty+"\n")
	b.Add(vfs.Node{Path: "/etc/resolv.conf", Kind: vfs.Symlink, Mode: 0o777, Target: "../run/systemd/resolve/stub-resolv.conf", Mtime: t})
	stub := "# This is /run/systemd/resolve/stub-resolv.conf managed by man:systemd-resolved(8).\n# Do not edit.\n\nnameserver 127.0.0.53\noptions edns0 trust-ad\nsearch " + strings.TrimSpace(p.Domain + " .")[:max(1, len(p.Domain))] + "\n"
	for _, d := range []string{"/run/systemd", "/run/systemd/resolve", "/run/cloud-init", "/etc/netplan", "/etc/cloud", "/etc/cloud/cloud.cfg.d", "/etc/update-motd.d", "/var/lib/cloud", "/var/lib/cloud/data", "/var/lib/cloud/instances", "/snap", "/snap/bin", "/var/snap", "/var/lib/snapd", "/etc/ufw", "/etc/landscape"} {
		b.dir(d, 0o755, 0, 0, t)
	}
	b.text("/run/systemd/resolve/stub-resolv.conf", b.booted, stub)
	file := "/etc/netplan/00-installer-config.yaml"
	if o.VersionID != "22.04" {
		file = "/etc/netplan/50-cloud-init.yaml"
	}
	b.Text(file, 0o600, 0, 0, t, fmt.Sprintf("# This is the network config written by 'subiquity'\nnetwork:\n  ethernets:\n    %s:\n      addresses:\n      - %s/%d\n      nameservers:\n        addresses:\n        - %s\n        search: []\n      routes:\n      - to: default\n        via: %s\n  version: 2\n", n.Name, n.IPv4, n.Prefix, p.DNS[0], n.Gateway))
	b.text("/etc/cloud/cloud.cfg", t, "# The top level settings are used as module\n# and base configuration.\nusers:\n   - default\n\ndisable_root: true\npreserve_hostname: false\n")
	b.text("/etc/cloud/cloud-init.disabled", t, "Disabled by Ubuntu live installer after first boot.\n")
	id := "iid-" + p.MachineID[:12]
	b.dir("/var/lib/cloud/instances/"+id, 0o755, 0, 0, t)
	b.Add(vfs.Node{Path: "/var/lib/cloud/instance", Kind: vfs.Symlink, Mode: 0o777, Target: "/var/lib/cloud/instances/" + id, Mtime: t})
	b.text("/var/lib/cloud/data/instance-id", t, id+"\n")
	b.text("/run/cloud-init/status.json", b.booted, "{\"v1\": {\"stage\": null, \"datasource\": \"None\"}}\n")
	b.text("/var/log/cloud-init-output.log", t, "Cloud-init v. finished at "+t.Format("Mon, 02 Jan 2006 15:04:05 -0700")+". Datasource DataSourceNone.  Up 12.34 seconds\n")
	b.text("/etc/fstab", t, "# /etc/fstab: static file system information.\n#\n# <file system> <mount point>   <type>  <options>       <dump>  <pass>\n# / was on /dev/sda2 during curtin installation\n/dev/disk/by-uuid/"+p.Disks[0].Parts[1].UUID+" / ext4 defaults 0 1\n/swap.img\tnone\tswap\tsw\t0\t0\n")
	b.Add(vfs.Node{Path: "/swap.img", Kind: vfs.File, Mode: 0o600, Mtime: t, Content: vfs.Image("", p.Memory.SwapKB*1024, b.elf(3))})
	b.text("/etc/apt/sources.list", t, ubuntuSources(o.Codename, o.VersionID))
	for i, f := range []string{"00-header", "10-help-text", "50-landscape-sysinfo", "50-motd-news", "85-fwupd", "90-updates-available", "91-contract-ua-esm-status", "91-release-upgrade", "95-hwe-eol", "97-overlayroot", "98-fsck-at-reboot", "98-reboot-required"} {
		b.Text("/etc/update-motd.d/"+f, 0o755, 0, 0, t, "#!/bin/sh\n# part "+strconv.Itoa(i)+" of the message of the day\n")
	}
	b.text("/etc/motd", t, "")
}

func ubuntuSources(code, version string) string {
	if version != "22.04" {
		return "# Ubuntu sources have moved to /etc/apt/sources.list.d/ubuntu.sources\n"
	}
	var s strings.Builder
	for _, suite := range []string{"", "-updates", "-security"} {
		host := "http://archive.ubuntu.com/ubuntu"
		if suite == "-security" {
			host = "http://security.ubuntu.com/ubuntu"
		}
		s.WriteString("deb " + host + " " + code + suite + " main restricted\ndeb " + host + " " + code + suite + " universe\ndeb " + host + " " + code + suite + " multiverse\n")
	}
	return s.String()
}
