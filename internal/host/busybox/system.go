package busybox

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/procfs"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// sister runs the bigger program called name as this applet.
func sister(ctx context.Context, p *kernel.Proc, name string) int {
	prog := p.M.Programs[name]
	if prog == nil {
		return 0
	}
	defer reword(p, name)()
	return status(name, prog(ctx, p))
}

// needs is a sister who shows her usage where there is no argument at all.
func needs(name string) kernel.Program {
	return func(ctx context.Context, p *kernel.Proc) int {
		if len(p.Args) < 2 {
			return wrongUse
		}
		return sister(ctx, p, name)
	}
}

func grep(ctx context.Context, p *kernel.Proc) int {
	_, values, rest := options(p, "mABCef")
	if len(rest) == 0 && values['e'] == "" && values['f'] == "" {
		return wrongUse
	}
	return sister(ctx, p, "grep")
}

// What find understands, with ":" after what takes a value.
const findWords = " -name: -iname: -path: -ipath: -regex: -type: -executable -perm: -mtime: -atime: -ctime: -mmin: -amin: -cmin: -newer: -inum: -samefile: -user: -group: -size: -links: -empty -prune -print -print0 -delete -quit -L -H -follow -xdev -maxdepth: -mindepth: -depth -o -a -or -and -not "

func findFiles(ctx context.Context, p *kernel.Proc) int {
	for i := 1; i < len(p.Args); i++ {
		a := p.Args[i]
		switch {
		case a == "-exec" || a == "-ok":
			for i < len(p.Args) && p.Args[i] != ";" && p.Args[i] != "+" {
				i++
			}
		case len(a) < 2 || a[0] != '-' || strings.Contains(findWords, " "+a+" "):
		case strings.Contains(findWords, " "+a+": "):
			i++
		default:
			complain(p, "find: unrecognized: %s\n", a)
			return wrongUse
		}
	}
	return sister(ctx, p, "find")
}

func rm(ctx context.Context, p *kernel.Proc) int {
	flags, _, rest := options(p, "")
	if len(rest) == 0 && !strings.Contains(flags, "f") {
		return wrongUse
	}
	return sister(ctx, p, "rm")
}

func chmod(ctx context.Context, p *kernel.Proc) int {
	if len(p.Args) < 3 {
		return wrongUse
	}
	return sister(ctx, p, "chmod")
}

// viaAsh runs the shell's builtin of that name.
func viaAsh(ctx context.Context, p *kernel.Proc) int {
	ash := p.M.Programs["ash"]
	if ash == nil {
		return 127
	}
	p.Args = append([]string{"sh", "-c", `"$0" "$@"`, base(p.Args[0])}, p.Args[1:]...)
	return ash(ctx, p)
}

func notHere(_ context.Context, p *kernel.Proc) int {
	switch name := base(p.Args[0]); name {
	case "init":
		complain(p, "init: must be run as PID 1\n")
	case "chroot":
		if len(p.Args) < 2 {
			return wrongUse
		}
		complain(p, "chroot: can't execute '/bin/sh': No such file or directory\n")
	}
	return 1
}

func hexdump(ctx context.Context, p *kernel.Proc) int {
	flags, values, rest := options(p, "efns")
	if flags != "" || values['e'] != "" {
		return sister(ctx, p, "hexdump")
	}
	limit := int64(1 << 20)
	if n, err := strconv.ParseInt(values['n'], 0, 64); err == nil {
		limit = min(limit, n)
	}
	r := p.Stdin()
	if len(rest) > 0 {
		h, err := p.M.FS.Open(p.Caller, p.Abs(rest[0]), vfs.ReadOnly, 0)
		if err != nil {
			complain(p, "hexdump: %s: %s\n", rest[0], err)
			return 1
		}
		defer h.Close() //nolint:errcheck // read only
		r = h
	}
	var buf [16]byte
	at := int64(0)
	r = io.LimitReader(r, limit)
	for p.Step(1) == nil {
		n, err := io.ReadFull(r, buf[:])
		if n > 0 {
			var line strings.Builder
			fmt.Fprintf(&line, "%07x", at)
			for i := 0; i < n; i += 2 {
				pair := [2]byte{buf[i]}
				if i+1 < n {
					pair[1] = buf[i+1] //nolint:gosec // i+1 < n <= len(buf)
				}
				if p.M.Persona.CPU.Elf.Data != 2 { // words in the machine's own byte order
					pair[0], pair[1] = pair[1], pair[0]
				}
				fmt.Fprintf(&line, " %02x%02x", pair[0], pair[1])
			}
			put(p, "%-47s\n", line.String())
		}
		at += int64(n)
		if err != nil {
			break
		}
	}
	put(p, "%07x\n", at)
	return 0
}

func hostname(_ context.Context, p *kernel.Proc) int {
	flags, _, rest := options(p, "F")
	me := p.M.Persona
	switch {
	case len(rest) > 0 && p.Caller.UID != 0:
		complain(p, "hostname: sethostname: Operation not permitted\n")
		return 1
	case len(rest) > 0:
	case strings.Contains(flags, "i"):
		put(p, "%s\n", me.NICs[0].IPv4)
	case strings.Contains(flags, "d"):
		put(p, "%s\n", me.Domain)
	case strings.Contains(flags, "f"):
		put(p, "%s\n", me.FQDN())
	default:
		put(p, "%s\n", me.Hostname)
	}
	return 0
}

func uptime(_ context.Context, p *kernel.Proc) int {
	now := p.Now()
	up := int(p.M.Uptime(now).Minutes())
	days, hours, minutes := up/1440, up/60%24, up%60
	text := ""
	if days > 0 {
		text = fmt.Sprintf("%d day%s, ", days, map[bool]string{true: "s"}[days != 1])
	}
	if hours > 0 {
		text += fmt.Sprintf("%2d:%02d", hours, minutes)
	} else {
		text += fmt.Sprintf("%d min", minutes)
	}
	l := p.M.Load(now)
	put(p, " %s up %s,  load average: %.2f, %.2f, %.2f\n", now.UTC().Format("15:04:05"), text, l[0], l[1], l[2])
	return 0
}

func date(ctx context.Context, p *kernel.Proc) int {
	_, values, rest := options(p, "dsrD")
	if len(rest) == 0 && len(values) == 0 {
		put(p, "%s\n", p.Now().UTC().Format("Mon Jan _2 15:04:05 UTC 2006"))
		return 0
	}
	return sister(ctx, p, "date")
}

func dmesg(ctx context.Context, p *kernel.Proc) int {
	k := p.M.Persona
	if k.Family != "busybox" {
		return sister(ctx, p, "dmesg")
	}
	lines := []string{"Linux version" + strings.TrimPrefix(k.Kernel.Proc, "Linux version")}
	if k.Kernel.Machine == "mips" {
		lines = append(lines, "printk: bootconsole [early0] enabled", "CPU0 revision is: 00019750 ("+strings.TrimSuffix(k.CPU.Model, k.CPU.Model[strings.LastIndexByte(k.CPU.Model, ' '):])+")", "MIPS: machine is "+k.BusyBox.Model, "SoC: "+k.CPU.Vendor)
	} else {
		lines = append(lines, "CPU: ARMv7 Processor [410fc075] revision 5 (ARMv7), cr=10c5387d", "OF: fdt: Machine model: "+k.BusyBox.Model, "Memory policy: Data cache writealloc")
	}
	lines = append(lines, "Kernel command line: "+k.Kernel.Cmdline, fmt.Sprintf("Memory: %dK/%dK available", k.Memory.TotalKB-3000, k.Memory.TotalKB+6000),
		fmt.Sprintf("Calibrating delay loop... %.2f BogoMIPS", k.CPU.Bogomips), "squashfs: version 4.0 (2009/01/31) Phillip Lougher", "jffs2: version 2.2 (NAND) (SUMMARY) (LZMA) (RTIME) (CMODE_PRIORITY) (c) 2001-2006 Red Hat, Inc.",
		fmt.Sprintf("%d fixed-partitions partitions found on MTD device spi0.0", len(k.Disks[0].Parts)-3), "Creating MTD partitions on \"spi0.0\":")
	at := int64(0)
	for _, d := range k.Disks[0].Parts {
		if d.Label == "kernel" || d.Label == "rootfs" || d.Label == "rootfs_data" {
			continue
		}
		lines = append(lines, fmt.Sprintf("0x%012x-0x%012x : %q", at, at+d.Bytes, d.Label))
		at += d.Bytes
	}
	lines = append(lines, "VFS: Mounted root (squashfs filesystem) readonly on device 31:4.", "Freeing unused kernel memory: 1208K", "Run /sbin/init as init process")
	for _, n := range k.NICs[1:] {
		lines = append(lines, "br0: port "+strconv.Itoa(len(n.Name)%3+1)+"("+n.Name+") entered forwarding state")
	}
	t := 0.0
	for i, l := range lines {
		if i > 3 {
			t += 0.0371*float64(i) + 0.004
		}
		put(p, "[%12.6f] %s\n", t, l)
	}
	return 0
}

func lsmod(_ context.Context, p *kernel.Proc) int {
	put(p, "Module                  Size  Used by    Not tainted\n")
	if p.M.Persona.Family != "busybox" {
		return 0
	}
	for _, m := range procfs.RouterModules() {
		used, by, _ := strings.Cut(m.Used, " ")
		put(p, "%-19s %8d  %2s %s\n", m.Name, m.Size, used, strings.TrimSuffix(strings.TrimSuffix(by, ","), "-"))
	}
	return 0
}

func insmod(_ context.Context, p *kernel.Proc) int {
	if len(p.Args) < 2 {
		return wrongUse
	}
	name := p.Args[1]
	text, err := readAll(p, name)
	why, errno := "", 0
	switch {
	case err != nil:
		why, errno = err.Error(), 2
	case p.Caller.UID != 0:
		why, errno = "Operation not permitted", 1
	case !strings.HasPrefix(text, "\x7fELF"):
		why, errno = "invalid module format", 8
	}
	if why == "" {
		return 0
	}
	complain(p, "insmod: can't insert '%s': %s\n", name, why)
	return 256 - errno
}

func modprobe(_ context.Context, p *kernel.Proc) int {
	rc := 0
	for _, m := range p.Args[1:] {
		if strings.HasPrefix(m, "-") || strings.Contains(m, "=") {
			continue
		}
		if _, err := p.M.FS.Stat(p.Caller, "/lib/modules/"+p.M.Persona.Kernel.Release+"/"+strings.ReplaceAll(m, "-", "_")+".ko"); err != nil {
			complain(p, "modprobe: module %s not found in modules.dep\n", m)
			rc = 1
		}
	}
	return rc
}

func rmmod(_ context.Context, p *kernel.Proc) int {
	rc := 0
	for _, m := range p.Args[1:] {
		if strings.HasPrefix(m, "-") {
			continue
		}
		complain(p, "rmmod: can't unload module '%s': %s\n", m, map[bool]string{true: "Resource temporarily unavailable", false: "No such file or directory"}[loaded(m)])
		rc = 1
	}
	return rc
}

func loaded(name string) bool {
	for _, m := range procfs.RouterModules() {
		if m.Name == name {
			return true
		}
	}
	return false
}

// reboot lets the machine go down: a while later the connection is gone.
func reboot(ctx context.Context, p *kernel.Proc) int {
	if p.Caller.UID != 0 {
		complain(p, "%s: Operation not permitted\n", base(p.Args[0]))
		return 1
	}
	p.S.Recorder.Note(ctx, base(p.Args[0]), strings.Join(p.Args, " "))
	shell, tty := p.PPID, p.S.TTY
	p.M.Clock.AfterFunc(3*time.Second, func() {
		p.M.Table.Kill(shell, kernel.SIGKILL)
		if tty != nil {
			tty.HangUp()
		}
	})
	return 0
}

func mknod(_ context.Context, p *kernel.Proc) int {
	_, _, rest := options(p, "m")
	kind := vfs.CharDev
	switch rest[1] {
	case "b":
		kind = vfs.BlockDev
	case "p":
		kind = vfs.FIFO
	case "c", "u":
	default:
		return wrongUse
	}
	var major, minor uint64
	if kind != vfs.FIFO {
		if len(rest) < 4 {
			return wrongUse
		}
		major, _ = strconv.ParseUint(rest[2], 0, 32) // nonsense is 0
		minor, _ = strconv.ParseUint(rest[3], 0, 32) // as above
	}
	if err := p.M.FS.Mknod(p.Caller, p.Abs(rest[0]), kind, 0o666&^p.Umask, uint32(major), uint32(minor)); err != nil {
		complain(p, "mknod: %s: %s\n", rest[0], err)
		return 1
	}
	return 0
}

func passwd(ctx context.Context, p *kernel.Proc) int {
	_, _, rest := options(p, "a")
	user := p.M.UserName(p.Caller.UID)
	if len(rest) > 0 {
		user = rest[0]
	}
	if _, ok := p.M.Account(user); !ok {
		complain(p, "passwd: unknown user %s\n", user)
		return 1
	}
	if p.S.TTY != nil && p.IsTTY(0) {
		old := p.S.TTY.SetEcho(false)
		defer p.S.TTY.SetEcho(old)
	}
	put(p, "Changing password for %s\nNew password: ", user)
	pw, ok := line(p)
	put(p, "\n")
	if !ok || pw == "" {
		complain(p, "passwd: password for %s is unchanged\n", user)
		return 1
	}
	if len(pw) < 6 {
		put(p, "Bad password: too short\n")
	}
	put(p, "Retype password: ")
	again, _ := line(p)
	put(p, "\n")
	if again != pw {
		complain(p, "Passwords don't match\npasswd: password for %s is unchanged\n", user)
		return 1
	}
	p.S.Recorder.Password(ctx, user, pw)
	if p.M.SetPassword != nil {
		p.M.SetPassword(user, pw)
	}
	complain(p, "passwd: password for %s changed by %s\n", user, p.M.UserName(p.Caller.UID))
	return 0
}

// line reads one line of standard input.
func line(p *kernel.Proc) (string, bool) {
	var out []byte
	var b [1]byte
	for len(out) < 256 {
		n, err := p.Stdin().Read(b[:])
		if n == 0 || err != nil {
			return string(out), len(out) > 0
		}
		if b[0] == '\n' {
			break
		}
		out = append(out, b[0])
	}
	return string(out), true
}

// su gives root another user's shell; a user is asked for a password that is wrong.
func su(ctx context.Context, p *kernel.Proc) int {
	user, command := "root", ""
	args := p.Args[1:]
	for len(args) > 0 {
		a := args[0]
		args = args[1:]
		switch {
		case a == "-c" && len(args) > 0:
			command, args = args[0], args[1:]
		case a == "-s" && len(args) > 0:
			args = args[1:]
		case strings.HasPrefix(a, "-"):
		default:
			user = a
		}
	}
	acc, ok := p.M.Account(user)
	if !ok {
		complain(p, "su: unknown user %s\n", user)
		return 1
	}
	if p.Caller.UID != 0 {
		put(p, "Password: ")
		line(p)
		put(p, "\n")
		p.M.Clock.Sleep(ctx, 3*time.Second) //nolint:errcheck // the answer is the same
		complain(p, "su: incorrect password\n")
		return 1
	}
	if !strings.HasSuffix(acc.Shell, "sh") {
		return 1
	}
	p.Caller.UID, p.Caller.GID, p.Caller.Groups = acc.UID, acc.GID, nil
	p.Args = []string{"sh"}
	if command != "" {
		p.Args = append(p.Args, "-c", command)
	}
	ash := p.M.Programs["ash"]
	if ash == nil {
		return 127
	}
	return ash(ctx, p)
}

func sysctl(_ context.Context, p *kernel.Proc) int {
	_, _, rest := options(p, "")
	rc := 0
	for _, k := range rest {
		key, _, set := strings.Cut(k, "=")
		text, err := readAll(p, "/proc/sys/"+strings.ReplaceAll(key, ".", "/"))
		switch {
		case err != nil:
			complain(p, "sysctl: error: '%s' is an unknown key\n", key)
			rc = 1
		case set:
			put(p, "%s = %s\n", key, k[len(key)+1:])
		default:
			put(p, "%s = %s", key, text)
		}
	}
	return rc
}

func timeIt(ctx context.Context, p *kernel.Proc) int {
	if len(p.Args) < 2 {
		return wrongUse
	}
	began := p.Now()
	rc, err := p.Run(ctx, p.Child(p.Args[1:]...))
	if err != nil {
		complain(p, "time: can't execute '%s': %s\n", p.Args[1], err)
		rc = 127
	}
	if rc != 0 {
		complain(p, "Command exited with non-zero status %d\n", rc)
	}
	d := p.Now().Sub(began)
	complain(p, "real\t%dm %.2fs\nuser\t0m 0.00s\nsys\t0m 0.00s\n", int(d.Minutes()), (d % time.Minute).Seconds())
	return rc
}

func usleep(ctx context.Context, p *kernel.Proc) int {
	n, err := strconv.ParseInt(p.Args[1], 10, 64)
	if err != nil || n < 0 {
		complain(p, "usleep: invalid number '%s'\n", p.Args[1])
		return 1
	}
	p.M.Clock.Sleep(ctx, time.Duration(min(n, 1e9)*1000)) //nolint:errcheck // the caller sees ctx
	return 0
}

// iptables lists what a router's firewall has, and takes everything else.
func iptables(_ context.Context, p *kernel.Proc) int {
	args := " " + strings.Join(p.Args[1:], " ") + " "
	nat := strings.Contains(args, " nat ")
	switch {
	case len(p.Args) < 2:
		complain(p, "iptables v1.8.7 (legacy): no command specified\nTry `iptables -h' or 'iptables --help' for more information.\n")
		return 2
	case p.Caller.UID != 0:
		complain(p, "iptables v1.8.7 (legacy): can't initialize iptables table `filter': Permission denied (you must be root)\nPerhaps iptables or your kernel needs to be upgraded.\n")
		return 3
	case strings.Contains(args, " -L"):
		chains := []string{"INPUT", "FORWARD", "OUTPUT"}
		if nat {
			chains = []string{"PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"}
		}
		for i, c := range chains {
			put(p, "%sChain %s (policy ACCEPT)\ntarget     prot opt source               destination         \n", map[bool]string{true: "\n"}[i > 0], c)
			if c == "POSTROUTING" {
				put(p, "MASQUERADE  all  --  anywhere             anywhere            \n")
			}
		}
	case strings.Contains(args, " -V"):
		put(p, "iptables v1.8.7 (legacy)\n")
	}
	return 0
}

const nvramFile = "/etc/nvram.conf"

// nvram reads and writes the maker's settings.
func nvram(_ context.Context, p *kernel.Proc) int {
	text, err := readAll(p, nvramFile)
	if len(p.Args) < 2 || err != nil {
		complain(p, "usage: nvram [get name] [set name=value] [unset name] [show] [commit]\n")
		return 1
	}
	arg := ""
	if len(p.Args) > 2 {
		arg = p.Args[2]
	}
	key, _, _ := strings.Cut(arg, "=")
	var kept []string
	found := ""
	for l := range strings.Lines(text) {
		l = strings.TrimSuffix(l, "\n")
		if v, ok := strings.CutPrefix(l, key+"="); ok && key != "" {
			found = v
			continue
		}
		kept = append(kept, l)
	}
	switch p.Args[1] {
	case "show":
		put(p, "%ssize: %d bytes (%d left)\n", text, len(text), 65536-len(text))
	case "get":
		if found != "" {
			put(p, "%s\n", found)
		}
	case "set", "unset":
		if p.Args[1] == "set" {
			kept = append(kept, arg)
		}
		if err := p.M.FS.WriteFile(p.Caller, nvramFile, []byte(strings.Join(kept, "\n")+"\n"), 0o600); err != nil {
			complain(p, "nvram: %s\n", err)
			return 1
		}
	case "commit":
	default:
		complain(p, "usage: nvram [get name] [set name=value] [unset name] [show] [commit]\n")
		return 1
	}
	return 0
}
