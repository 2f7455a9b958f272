package busybox

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
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
