package system

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// answer is a program that says one thing without operands and another with
// them; %s is its name. An empty text says nothing.
type answer struct {
	bare       string
	bareStatus int
	given      string
	status     int
	root       bool // others than root are refused first
}

// answers are the programs that a visitor may try and that have nothing to do
// on this machine. None is silent where the real one speaks.
var answers = map[string]answer{
	"apt-key":             {"Usage: apt-key [--keyring file] [command] [arguments]\n\nManage apt's list of trusted keys", 1, "Warning: apt-key is deprecated. Manage keyring files in trusted.gpg.d instead (see apt-key(8)).", 0, false},
	"apt-mark":            {"Usage: apt-mark [options] {auto|manual} pkg1 [pkg2 ...]", 0, "", 0, false},
	"c_rehash":            {"Doing /usr/lib/ssl/certs", 0, "", 0, false},
	"chcon":               {"%s: missing operand\nTry '%[1]s --help' for more information.", 1, "%s: can't apply partial context to unlabeled file", 1, false},
	"csplit":              {"%s: missing operand\nTry '%[1]s --help' for more information.", 1, "%s: invalid pattern", 1, false},
	"debconf":             {"", 0, "", 0, false},
	"deb-systemd-helper":  {"", 0, "", 0, true},
	"diff3":               {"%s: missing operand after '%[1]s'\n%[1]s: Try '%[1]s --help' for more information.", 2, "", 0, false},
	"faillog":             {"%s: Cannot open /var/log/faillog: No such file or directory", 1, "%s: Cannot open /var/log/faillog: No such file or directory", 1, false},
	"gpgv":                {"gpgv: verify signatures failed: Unexpected error", 2, "gpgv: can't open the file: No such file or directory", 2, false},
	"infocmp":             {"#\tReconstructed via infocmp from file: /lib/terminfo/x/xterm", 0, "infocmp: couldn't open terminfo file", 1, false},
	"ipcs":                {"\n------ Message Queues --------\nkey        msqid      owner      perms      used-bytes   messages    \n\n------ Shared Memory Segments --------\nkey        shmid      owner      perms      bytes      nattch     status      \n\n------ Semaphore Arrays --------\nkey        semid      owner      perms      nsems     \n", 0, "\n------ Message Queues --------\nkey        msqid      owner      perms      used-bytes   messages    \n", 0, false},
	"lesspipe":            {"export LESSOPEN=\"| /usr/bin/lesspipe %%s\";\nexport LESSCLOSE=\"/usr/bin/lesspipe %%s %%s\";", 0, "", 0, false},
	"login":               {"login: Cannot possibly work without effective root", 1, "login: Cannot possibly work without effective root", 1, false},
	"loginctl":            {"No sessions.", 0, "", 0, false},
	"lsipc":               {"RESOURCE DESCRIPTION                                              LIMIT USED  USE%%\nMSGMNI   Number of message queues                                 32000    0 0.00%%", 0, "", 0, false},
	"lslocks":             {"COMMAND           PID  TYPE SIZE MODE  M      START        END PATH", 0, "", 0, false},
	"lsns":                {"        NS TYPE   NPROCS   PID USER COMMAND\n4026531834 time        1     1 root /sbin/init\n4026531835 cgroup      1     1 root /sbin/init\n4026531836 pid         1     1 root /sbin/init\n4026531837 user        1     1 root /sbin/init", 0, "", 0, false},
	"mesg":                {"mesg: cannot open tty", 2, "", 0, false},
	"newgrp":              {"", 0, "newgrp: group '%[2]s' does not exist", 1, false},
	"sg":                  {"Usage: sg group [[-c] command]", 1, "sg: group '%[2]s' does not exist", 1, false},
	"partx":               {"partx: bad usage\nTry 'partx --help' for more information.", 1, "partx: %[2]s: failed to read partition table", 1, false},
	"pmap":                {"\nUsage:\n pmap [options] PID [PID ...]\n", 1, "", 0, false},
	"pr":                  {"", 0, "", 0, false},
	"ptx":                 {"", 0, "", 0, false},
	"pwdx":                {"\nUsage:\n pwdx [options] pid...\n", 1, "%[2]s: /", 0, false},
	"script":              {"Script started, output log file is 'typescript'.\nScript done.", 0, "Script started, output log file is '%[2]s'.\nScript done.", 0, false},
	"select-editor":       {"\nSelect an editor.  To change later, run 'select-editor'.\n  1. /bin/nano        <---- easiest\n  2. /usr/bin/vim.tiny\n\nChoose 1-2 [1]: ", 0, "", 0, false},
	"slabtop":             {"slabtop: cannot open /proc/slabinfo: No such file or directory", 1, "slabtop: cannot open /proc/slabinfo: No such file or directory", 1, false},
	"ssh-add":             {"Could not open a connection to your authentication agent.", 2, "Could not open a connection to your authentication agent.", 2, false},
	"systemd-analyze":     {"Startup finished in 2.611s (kernel) + 5.302s (userspace) = 7.914s \ngraphical.target reached after 5.201s in userspace.", 0, "", 0, false},
	"tabs":                {"", 0, "", 0, false},
	"tload":               {"tload: screen too small or too large", 1, "tload: screen too small or too large", 1, false},
	"toe":                 {"xterm     \tX11 terminal emulator", 0, "", 0, false},
	"tset":                {"", 0, "", 0, false},
	"update-alternatives": {"update-alternatives: error: need --display, --query, --list, --get-selections, --config, --set, --set-selections, --install, --remove, --all, --remove-all or --auto\n\nUse 'update-alternatives --help' for program usage information.", 2, "", 0, false},
	"utmpdump":            {"", 0, "Utmp dump of %[2]s", 0, false},
	"wall":                {"", 0, "", 0, false},
	"wdctl":               {"wdctl: No default device is available.: No such file or directory", 1, "wdctl: cannot open %[2]s: No such file or directory", 1, false},
	"write":               {"write: bad usage\nTry 'write --help' for more information.", 1, "write: %[2]s is not logged in", 1, false},
	"agetty":              {"agetty: not enough arguments\nTry 'agetty --help' for more information.", 1, "agetty: /dev/%[2]s: No such file or directory", 1, false},
	"blockdev":            {"\nUsage:\n blockdev [-v|-q] commands devices\n", 1, "blockdev: cannot open %[2]s: No such file or directory", 1, false},
	"cron":                {"cron: can't lock /var/run/crond.pid, otherpid may be 512: Resource temporarily unavailable", 1, "cron: can't lock /var/run/crond.pid, otherpid may be 512: Resource temporarily unavailable", 1, false},
	"ctrlaltdel":          {"implicit action: 0", 0, "", 0, true},
	"depmod":              {"", 0, "", 0, true},
	"dpkg-reconfigure":    {"/usr/sbin/dpkg-reconfigure: please specify a package to reconfigure", 1, "", 0, true},
	"dumpe2fs":            {"Usage: dumpe2fs [-bfghixV] [-o superblock=<num>] [-o blocksize=<num>] device", 1, "dumpe2fs 1.47.0 (5-Feb-2023)\ndumpe2fs: No such file or directory while trying to open %[2]s\nCouldn't find valid filesystem superblock.", 1, false},
	"e2fsck":              {"Usage: e2fsck [-panyrcdfktvDFV] [-b superblock] [-B blocksize]\n\t\t[-l|-L bad_blocks_file] [-C fd] [-j external_journal]\n\t\t[-E extended-options] [-z undo_file] device", 16, "e2fsck 1.47.0 (5-Feb-2023)\n%[2]s is mounted.\ne2fsck: Cannot continue, aborting.\n", 8, false},
	"fsck":                {"fsck from util-linux 2.38.1", 0, "fsck from util-linux 2.38.1\n%[2]s is mounted.\ne2fsck: Cannot continue, aborting.\n", 8, false},
	"hwclock":             {"", 0, "", 0, true},
	"ifdown":              {"ifdown: Use --help for help", 1, "ifdown: unknown interface %[2]s", 1, true},
	"ifup":                {"ifup: Use --help for help", 1, "ifup: unknown interface %[2]s", 1, true},
	"init":                {"init: required argument missing.", 1, "", 0, true},
	"telinit":             {"telinit: required argument missing.", 1, "", 0, true},
	"ldconfig":            {"", 0, "", 0, true},
	"logger":              {"", 0, "", 0, false},
	"logrotate":           {"logrotate 3.21.0 - Copyright (C) 1995-2001 Red Hat, Inc.\nThis may be freely redistributed under the terms of the GNU General Public License\n\nUsage: logrotate [-dfv?] [-d|--debug] [-f|--force] [-m|--mail=command]\n        [-s|--state=statefile] [--skip-state-lock] [--wait-state-lock]\n        [-v|--verbose] [-l|--log=logfile] [--version] [-?|--help] [--usage]\n        [OPTION...] <configfile>", 1, "", 0, true},
	"losetup":             {"", 0, "losetup: %[2]s: failed to set up loop device: No such file or directory", 1, false},
	"mkfs":                {"mkfs: no device specified\nTry 'mkfs --help' for more information.", 1, "mke2fs 1.47.0 (5-Feb-2023)\n%[2]s is mounted; will not make a filesystem here!", 1, false},
	"mkswap":              {"mkswap: error: Nowhere to set up swap on?\nTry 'mkswap --help' for more information.", 1, "mkswap: cannot open %[2]s: Permission denied", 1, false},
	"nologin":             {"This account is currently not available.", 1, "This account is currently not available.", 1, false},
	"nstat":               {"#kernel\nIpInReceives                    214877             0.0\nIpInDelivers                    201344             0.0\nIpOutRequests                   187120             0.0", 0, "#kernel", 0, false},
	"pivot_root":          {"pivot_root: bad usage\nTry 'pivot_root --help' for more information.", 1, "pivot_root: failed to change root from `%[2]s' to `': No such file or directory", 1, false},
	"switch_root":         {"switch_root: not enough arguments\nTry 'switch_root --help' for more information.", 1, "switch_root: failed to mount moving /dev to %[2]s/dev: No such file or directory", 1, false},
	"pwck":                {"pwck: no changes", 0, "pwck: no changes", 0, true},
	"pwconv":              {"", 0, "", 0, true},
	"resize2fs":           {"resize2fs 1.47.0 (5-Feb-2023)\nUsage: resize2fs [-d debug_flags] [-f] [-F] [-M] [-P] [-p] device [-b|-s|new_size] [-S RAID-stride] [-z undo_file]\n", 1, "resize2fs 1.47.0 (5-Feb-2023)\nThe filesystem is already 5120000 (4k) blocks long.  Nothing to do!\n", 0, false},
	"rsyslogd":            {"rsyslogd: pidfile '/run/rsyslogd.pid' and pid 498 already exist.", 1, "rsyslogd: pidfile '/run/rsyslogd.pid' and pid 498 already exist.", 1, false},
	"rtmon":               {"Usage: rtmon [ OPTIONS ] file FILE [ all | LISTofOBJECTS ]", 255, "", 0, false},
	"runlevel":            {"N 5", 0, "N 5", 0, false},
	"setpci":              {"Usage: setpci [<options>] (<device>+ <reg>[=<values>]*)*", 1, "setpci: Warning: No devices selected for '%[2]s'.", 0, false},
	"sfdisk":              {"sfdisk: bad usage\nTry 'sfdisk --help' for more information.", 1, "sfdisk: cannot open %[2]s: Permission denied", 1, false},
	"sshd":                {"sshd re-exec requires execution with an absolute path", 255, "sshd re-exec requires execution with an absolute path", 255, false},
	"start-stop-daemon":   {"start-stop-daemon: need one of --start or --stop or --status\nTry 'start-stop-daemon --help' for more information.", 3, "", 0, false},
	"sulogin":             {"Cannot open access to console, the root account is locked.", 1, "Cannot open access to console, the root account is locked.", 1, true},
	"swapoff":             {"swapoff: bad usage\nTry 'swapoff --help' for more information.", 1, "", 0, true},
	"swaplabel":           {"swaplabel: no device specified\nTry 'swaplabel --help' for more information.", 1, "swaplabel: %[2]s: open failed: No such file or directory", 1, false},
	"tc":                  {"Usage:\ttc [ OPTIONS ] OBJECT { COMMAND | help }\n\ttc [-force] -batch filename", 0, "", 0, false},
	"tune2fs":             {"tune2fs 1.47.0 (5-Feb-2023)\nUsage: tune2fs [-c max_mounts_count] [-e errors_behavior] [-f] [-g group] device", 1, "tune2fs 1.47.0 (5-Feb-2023)\ntune2fs: No such file or directory while trying to open %[2]s\nCouldn't find valid filesystem superblock.", 1, false},
	"tzconfig":            {"WARNING: the tzconfig command is deprecated, please use:\n dpkg-reconfigure tzdata", 1, "", 1, false},
	"update-grub":         {"Generating grub configuration file ...\nFound linux image\nFound initrd image\ndone", 0, "", 0, true},
	"update-initramfs":    {"You must specify at least one of -c, -u, or -d.", 1, "update-initramfs: Generating /boot/initrd.img", 0, true},
	"update-passwd":       {"No changes needed", 0, "No changes needed", 0, true},
	"update-rc.d":         {"update-rc.d: error: not enough arguments\nusage: update-rc.d [-f] <basename> remove\n       update-rc.d [-f] <basename> defaults\n       update-rc.d [-f] <basename> defaults-disabled\n       update-rc.d <basename> disable|enable [S|2|3|4|5]", 1, "", 0, true},
	"invoke-rc.d":         {"invoke-rc.d: syntax error: missing required parameter.", 103, "invoke-rc.d: unknown initscript, /etc/init.d/%[2]s not found.", 100, true},
	"vigr":                {"vigr: /etc/group is unchanged", 0, "vigr: /etc/group is unchanged", 0, true},
	"vipw":                {"vipw: /etc/passwd is unchanged", 0, "vipw: /etc/passwd is unchanged", 0, true},
	"visudo":              {"visudo: /etc/sudoers.tmp unchanged", 0, "/etc/sudoers: parsed OK", 0, true},
	"zic":                 {"zic: usage is zic [ --version ] [ --help ] [ -v ] \\\n\t[ -b {slim|fat} ] [ -d directory ] [ -l localtime ] [ -L leapseconds ] [ filename ... ]", 1, "zic: Can't open %[2]s: No such file or directory", 1, false},
	"nft":                 {"Usage: nft [ options ] [ cmds... ]", 1, "", 0, true},
	"lslogins":            {"  UID USER       PROC PWD-LOCK PWD-DENY  LAST-LOGIN GECOS\n    0 root         98                                root", 0, "", 0, false},
	"lsmem":               {"RANGE                                 SIZE  STATE REMOVABLE BLOCK\n0x0000000000000000-0x00000000bfffffff   3G online       yes  0-23", 0, "", 0, false},
	"prlimit":             {"RESOURCE   DESCRIPTION                             SOFT      HARD UNITS\nCORE       max core file size                         0 unlimited bytes\nNOFILE     max number of open files                1024   1048576 files\nSTACK      max stack size                       8388608 unlimited bytes", 0, "", 0, false},
	"pinky":               {"Login    Name                 TTY      Idle   When         Where", 0, "", 0, false},
	"screen":              {"Must be connected to a terminal.", 1, "There is no screen to be attached matching %[2]s.", 1, false},
	"tmux":                {"open terminal failed: not a terminal", 1, "no server running on /tmp/tmux-0/default", 1, false},
	"htop":                {"Error opening terminal: unknown.", 1, "Error opening terminal: unknown.", 1, false},
	"netplan":             {"You need to specify a command\nusage: /usr/sbin/netplan  [-h] [--debug]  ...", 1, "", 0, false},
	"cloud-init":          {"usage: /usr/bin/cloud-init [-h] [--version] [--debug] [--force]\n                           {init,modules,single,query,features,analyze,devel,collect-logs,clean,status,schema} ...", 1, "status: disabled", 0, false},
	"pro":                 {"SERVICE          ENTITLED  STATUS       DESCRIPTION\nanbox-cloud      yes       disabled     Scalable Android in the cloud\nesm-apps         yes       disabled     Expanded Security Maintenance for Applications\nesm-infra        yes       disabled     Expanded Security Maintenance for Infrastructure\nlivepatch        yes       disabled     Canonical Livepatch service\n\nThis machine is not attached to an Ubuntu Pro subscription.\nSee https://ubuntu.com/pro", 0, "This machine is not attached to an Ubuntu Pro subscription.\nSee https://ubuntu.com/pro", 0, false},
	"git":                 {"usage: git [-v | --version] [-h | --help] [-C <path>] [-c <name>=<value>]\n           <command> [<args>]", 1, "fatal: not a git repository (or any of the parent directories): .git", 128, false},
	"snap":                {"The snap command lets you install, configure, refresh and remove snaps.\nSnaps are packages that work across many different Linux distributions,\nenabling secure delivery and operation of the latest apps and utilities.\n\nUsage: snap <command> [<options>...]", 0, "error: cannot communicate with server: Post \"http://localhost/v2/snaps\": context deadline exceeded", 1, false},
	"ufw":                 {"ERROR: not enough args", 1, "Status: inactive", 0, true},
	"dircolors":           {"LS_COLORS='rs=0:di=01;34:ln=01;36:mh=00:pi=40;33:so=01;35:do=01;35:bd=40;33;01:cd=40;33;01:or=40;31;01:mi=00:su=37;41:sg=30;43:ca=00:tw=30;42:ow=34;42:st=37;44:ex=01;32:*.tar=01;31:*.tgz=01;31:*.gz=01;31:*.zip=01;31:';\nexport LS_COLORS", 0, "LS_COLORS='rs=0:di=01;34:ln=01;36:mh=00:pi=40;33:so=01;35:do=01;35:bd=40;33;01:cd=40;33;01:or=40;31;01:mi=00:su=37;41:sg=30;43:ca=00:tw=30;42:ow=34;42:st=37;44:ex=01;32:*.tar=01;31:*.tgz=01;31:*.gz=01;31:*.zip=01;31:';\nexport LS_COLORS", 0, false},
	"ldd":                 {"ldd: missing file arguments\nTry `ldd --help' for more information.", 1, "\tlinux-vdso.so.1 (0x00007ffd2f3e5000)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f6b8e000000)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f6b8e3a1000)", 0, false},
	"ssh-copy-id":         {"Usage: /usr/bin/ssh-copy-id [-h|-?|-f|-n|-s] [-i [identity_file]] [-p port] [-F alternative ssh_config file] [-t target_path] [[-o <ssh -o options>] ...] [user@]hostname", 1, "/usr/bin/ssh-copy-id: ERROR: No identities found", 1, false},
	"ssh-agent":           {"SSH_AUTH_SOCK=/tmp/ssh-XXXXXXq8Lr2T/agent.2411; export SSH_AUTH_SOCK;\nSSH_AGENT_PID=2412; export SSH_AGENT_PID;\necho Agent pid 2412;", 0, "", 0, false},
	"ssh-keyscan":         {"usage: ssh-keyscan [-46cDHv] [-f file] [-O option] [-p port] [-T timeout]\n                   [-t type] [host | addrlist namelist]", 1, "", 1, false},
	"tput":                {"usage: tput [-V] [-S] [-T term] capname", 2, "", 0, false},
	"dpkg-deb":            {"dpkg-deb: error: need an action option\n\nType dpkg-deb --help for help about manipulating *.deb files;\nType dpkg --help for help about installing and deinstalling packages.", 2, "dpkg-deb: error: failed to read archive '%[2]s': No such file or directory", 2, false},
	"pidwait":             {"pidwait: no matching criteria specified\nTry `pidwait --help' for more information.", 2, "", 1, false},
}

// onStdout are programs whose text without operands is no complaint.
const onStdout = " c_rehash ipcs lesspipe loginctl lsipc lslocks lsns script systemd-analyze toe nstat runlevel lslogins lsmem prlimit pinky pro dircolors update-grub snap cloud-init ssh-agent infocmp pwdx ldd select-editor "

// agentSocket reports whether an agent was forwarded.
func agentSocket(p *kernel.Proc) bool {
	in, err := p.M.FS.Stat(p.Caller, p.Getenv("SSH_AUTH_SOCK"))
	return err == nil && in.Kind == vfs.Socket
}

// answered makes the program of an answer.
func answered(a answer) kernel.Program {
	return func(_ context.Context, p *kernel.Proc) int {
		name := getopt.Base(p.Args[0])
		var operands []string
		for _, w := range p.Args[1:] {
			if w == "--version" || w == "--help" {
				return getopt.Usage(p, getopt.Opts{Bad: w}, 0)
			}
			if !strings.HasPrefix(w, "-") {
				operands = append(operands, w)
			}
		}
		if a.root && p.Caller.UID != 0 {
			complain(p, "%s: Permission denied", name)
			return 1
		}
		if name == "ssh-add" && agentSocket(p) {
			put(p, "The agent has no identities.\n")
			return 1
		}
		text, status := a.bare, a.bareStatus
		last := ""
		if len(p.Args) > 1 {
			text, status = a.given, a.status
			if len(operands) > 0 {
				last = operands[len(operands)-1]
			}
		}
		if text == "" {
			return status
		}
		if strings.Contains(text, "%[2]s") {
			text = fmt.Sprintf(strings.ReplaceAll(text, "%s", "%[1]s"), name, last)
		} else if strings.Contains(text, "%") {
			text = fmt.Sprintf(strings.ReplaceAll(text, "%s", "%[1]s")+"%[2]s", name, "")
		}
		if strings.Contains(onStdout, " "+name+" ") {
			put(p, "%s\n", text)
		} else {
			complain(p, "%s", text)
		}
		return status
	}
}

func lsbRelease(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "aidrcsvh", "all/a id/i description/d release/r codename/c short/s")
	os := p.M.Persona.OS
	if o.Len() == 0 || o.Has("v") || o.Has("a") {
		complain(p, "No LSB modules are available.")
	}
	name := strings.Fields(os.Name)[0]
	for _, r := range []struct{ opt, label, value string }{{"i", "Distributor ID", name}, {"d", "Description", os.Pretty}, {"r", "Release", os.VersionID}, {"c", "Codename", os.Codename}} {
		switch {
		case !o.Has(r.opt, "a"):
		case o.Has("s"):
			put(p, "%s\n", r.value)
		default:
			put(p, "%s:\t%s\n", r.label, r.value)
		}
	}
	return 0
}

func uuidgen(_ context.Context, p *kernel.Proc) int {
	a, b := p.M.Rand.Uint64(), p.M.Rand.Uint64()
	put(p, "%08x-%04x-4%03x-%04x-%012x\n", a>>32, a>>16&0xffff, a&0xfff, 0x8000|b>>48&0x3fff, b&0xffffffffffff)
	return 0
}

func mcookie(_ context.Context, p *kernel.Proc) int {
	put(p, "%016x%016x\n", p.M.Rand.Uint64(), p.M.Rand.Uint64())
	return 0
}

func hostid(_ context.Context, p *kernel.Proc) int {
	put(p, "%.8s\n", p.M.Persona.MachineID)
	return 0
}

func stty(_ context.Context, p *kernel.Proc) int {
	if p.S.TTY == nil || !p.IsTTY(0) {
		complain(p, "stty: 'standard input': Inappropriate ioctl for device")
		return 1
	}
	rows, cols := p.S.TTY.Size()
	args := strings.Join(p.Args[1:], " ")
	switch {
	case args == "size":
		put(p, "%d %d\n", rows, cols)
	case args == "-a":
		put(p, "speed 38400 baud; rows %d; columns %d; line = 0;\nintr = ^C; quit = ^\\; erase = ^?; kill = ^U; eof = ^D; eol = <undef>; eol2 = <undef>; swtch = <undef>; start = ^Q; stop = ^S; susp = ^Z; rprnt = ^R; werase = ^W; lnext = ^V; discard = ^O; min = 1; time = 0;\n-parenb -parodd -cmspar cs8 -hupcl -cstopb cread -clocal -crtscts\n-ignbrk -brkint -ignpar -parmrk -inpck -istrip -inlcr -igncr icrnl ixon -ixoff -iuclc -ixany -imaxbel iutf8\nopost -olcuc -ocrnl onlcr -onocr -onlret -ofill -ofdel nl0 cr0 tab0 bs0 vt0 ff0\nisig icanon iexten echo echoe echok -echonl -noflsh -xcase -tostop -echoprt echoctl echoke -flusho -extproc\n", rows, cols)
	case strings.Contains(args, "-echo"):
		p.SetEcho(false)
	case strings.Contains(args, "echo") || strings.Contains(args, "sane"):
		p.SetEcho(true)
	case args == "":
		put(p, "speed 38400 baud; line = 0;\n-brkint -imaxbel iutf8\n")
	}
	return 0
}

func clearScreen(_ context.Context, p *kernel.Proc) int {
	if p.Getenv("TERM") == "" {
		complain(p, "TERM environment variable not set.")
		return 1
	}
	put(p, "\x1b[H\x1b[2J\x1b[3J")
	return 0
}

func renice(_ context.Context, p *kernel.Proc) int {
	if len(p.Args) < 3 {
		complain(p, "renice: not enough arguments\nTry 'renice --help' for more information.")
		return 1
	}
	pid := p.Args[len(p.Args)-1]
	for _, e := range p.M.Table.List() {
		if strconv.Itoa(e.PID) == pid {
			put(p, "%s (process ID) old priority %d, new priority %s\n", pid, e.Nice, strings.TrimLeft(p.Args[1], "-n"))
			return 0
		}
	}
	complain(p, "renice: failed to get priority for %s (process ID): No such process", pid)
	return 1
}

// sshKeygen makes a key pair that looks like one and opens nothing.
func sshKeygen(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "t:b:f:N:C:P:qylARr:FHk:pm:i:e", "")
	home := p.Getenv("HOME")
	kind := o.Get("t")
	if kind == "" {
		kind = "rsa"
	}
	if o.Has("R") {
		complain(p, "Cannot stat %s/.ssh/known_hosts: No such file or directory", home)
		return 255
	}
	file := o.Get("f")
	if o.Has("l") {
		return fingerprint(p, cmp.Or(file, home+"/.ssh/id_"+kind))
	}
	if file == "" {
		file = home + "/.ssh/id_" + kind
		put(p, "Generating public/private %s key pair.\n", kind)
		put(p, "Enter file in which to save the key (%s): ", file)
		if in := readLine(p); in != "" {
			file = in
		}
	}
	if !o.Has("N") && !o.Has("q") {
		secret(p, "Enter passphrase (empty for no passphrase): ")
		secret(p, "Enter same passphrase again: ")
	}
	pub := "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + strings.NewReplacer(".", "a").Replace(drawn(p, 43)) + " " + p.M.UserName(p.Caller.UID) + "@" + p.M.Persona.Hostname + "\n"
	p.M.FS.Mkdir(p.Caller, home+"/.ssh", 0o700) //nolint:errcheck // may exist
	private := "-----BEGIN OPENSSH PRIVATE KEY-----\n" + drawn(p, 70) + "\n" + drawn(p, 70) + "\n" + drawn(p, 44) + "\n-----END OPENSSH PRIVATE KEY-----\n"
	for name, text := range map[string]string{file: private, file + ".pub": pub} {
		if err := p.M.FS.WriteFile(p.Caller, p.Abs(name), []byte(text), 0o600); err != nil {
			complain(p, "Saving key \"%s\" failed: %s", name, err)
			return 1
		}
	}
	if !o.Has("q") {
		put(p, "Your identification has been saved in %s\nYour public key has been saved in %[1]s.pub\nThe key fingerprint is:\nSHA256:%s %s@%s\n", file, drawn(p, 43), p.M.UserName(p.Caller.UID), p.M.Persona.Hostname)
	}
	return 0
}

// fingerprint is ssh-keygen -l of a public key, or of the one beside a private key.
func fingerprint(p *kernel.Proc, file string) int {
	data, err := p.M.FS.ReadFile(p.Caller, p.Abs(file), 64<<10)
	if err != nil {
		complain(p, "ssh-keygen: %s: %s", file, err)
		return 255
	}
	if bytes.HasPrefix(data, []byte("-----BEGIN")) {
		data, _ = p.M.FS.ReadFile(p.Caller, p.Abs(file+".pub"), 64<<10)
	}
	f := strings.Fields(string(data))
	bits := map[string]string{"ssh-ed25519": "256 %s %s (ED25519)", "ecdsa-sha2-nistp256": "256 %s %s (ECDSA)", "ssh-rsa": "3072 %s %s (RSA)"}
	if len(f) < 2 || bits[f[0]] == "" {
		complain(p, "%s is not a public key file.", file)
		return 255
	}
	blob, _ := base64.StdEncoding.DecodeString(f[1])
	sum := sha256.Sum256(blob)
	put(p, bits[f[0]]+"\n", "SHA256:"+base64.RawStdEncoding.EncodeToString(sum[:]), cmp.Or(strings.Join(f[2:], " "), "no comment"))
	return 0
}

// man has no pages, as on a minimal server.
func man(_ context.Context, p *kernel.Proc) int {
	if len(p.Args) < 2 {
		complain(p, "What manual page do you want?\nFor example, try 'man man'.")
		return 1
	}
	complain(p, "No manual entry for %s", p.Args[len(p.Args)-1])
	return 16
}

// getoptCmd is getopt(1): it prints a command line in order, quoted.
func getoptCmd(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "+al:n:o:qQs:TuV", "longoptions/l name/n options/o alternative/a quiet/q unquoted/u test/T")
	if o.Has("T") {
		return 4
	}
	letters, rest := o.Get("o"), o.Args
	if !o.Has("o") {
		if len(rest) == 0 {
			complain(p, "getopt: missing optstring argument\nTry 'getopt --help' for more information.")
			return 2
		}
		letters, rest = rest[0], rest[1:]
	}
	long := strings.NewReplacer(",", " ", ":", "=").Replace(o.Get("l"))
	var out, operands []string
	for len(rest) > 0 {
		a := getopt.Parse(rest[:1], letters, long)
		switch {
		case rest[0] == "--":
			operands, rest = append(operands, rest[1:]...), nil
			continue
		case strings.Contains(a.Bad, "requires an argument") && len(rest) > 1:
			out, rest = append(out, rest[0], "'"+rest[1]+"'"), rest[2:]
			continue
		case a.Bad != "":
			complain(p, "getopt: %s", a.Bad)
			return 1
		case len(a.Args) > 0:
			operands = append(operands, a.Args...)
		default:
			out = append(out, rest[0])
		}
		rest = rest[1:]
	}
	var line strings.Builder
	line.WriteString(strings.Join(append(out, "--"), " "))
	for _, a := range operands {
		line.WriteString(" '" + strings.ReplaceAll(a, "'", `'\''`) + "'")
	}
	put(p, " %s\n", line.String())
	return 0
}
