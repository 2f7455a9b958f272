package getopt

import (
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

// origin is the package a program comes from and what its --version calls it.
type origin struct {
	programs string // space-separated
	pkg      string // the Debian package that holds its version
	title    string // "GNU coreutils"; "" for programs that print only "name version"
	by       string // the authors' line
}

var origins = []origin{
	{"grep egrep fgrep", "grep", "GNU grep", "Mike Haertel and others; see\n<https://git.sv.gnu.org/cgit/grep.git/tree/AUTHORS>"},
	{"sed", "sed", "", ""},
	{"tar", "tar", "GNU tar", "John Gilmore and Jay Fenlason"},
	{"find xargs", "findutils", "GNU findutils", "Eric B. Decker, James Youngman, and Kevin Dalley"},
	{"diff cmp diff3 sdiff", "diffutils", "GNU diffutils", "Paul Eggert, Mike Haertel, David Hayes,\nRichard Stallman, and Len Tower"},
	{"gzip gunzip zcat", "gzip", "", ""},
	{"dmesg lscpu lsblk mount umount findmnt column hexdump rev more whereis last lastb script setsid taskset ionice chrt renice flock fallocate blkid fdisk hwclock losetup lsipc lslocks lslogins lsmem lsns mcookie mountpoint namei nsenter partx prlimit unshare utmpdump uuidgen wall wdctl write ipcs mesg swapon swapoff sfdisk", "util-linux", "util-linux", ""},
	{"ps free uptime w top pgrep pkill pidwait pidof vmstat watch kill pmap pwdx slabtop sysctl tload skill snice", "procps", "procps-ng", ""},
}

// authors of well-known coreutils.
var authors = map[string]string{
	"ls": "Richard M. Stallman and David MacKenzie", "cat": "Torbjorn Granlund and Richard M. Stallman", "cp": "Torbjorn Granlund, David MacKenzie, and Jim Meyering",
	"mv": "Mike Parker, David MacKenzie, and Jim Meyering", "rm": "Paul Rubin, David MacKenzie, Richard M. Stallman,\nand Jim Meyering", "echo": "Brian Fox and Chet Ramey",
	"id": "Arnold Robbins and David MacKenzie", "uname": "David MacKenzie", "whoami": "Richard Mlynarik", "date": "David MacKenzie", "dd": "Paul Rubin, David MacKenzie, and Stuart Kemp",
	"head": "David MacKenzie and Jim Meyering", "tail": "Paul Rubin, David MacKenzie, Ian Lance Taylor,\nand Jim Meyering", "sort": "Mike Haertel and Paul Eggert", "wc": "Paul Rubin and David MacKenzie",
	"chmod": "David MacKenzie and Jim Meyering", "chown": "David MacKenzie and Jim Meyering", "mkdir": "David MacKenzie", "touch": "Paul Rubin, Arnold Robbins, Jim Kingdon,\nDavid MacKenzie, and Randy Smith",
	"df": "Torbjorn Granlund, David MacKenzie, and Paul Eggert", "du": "Torbjorn Granlund, David MacKenzie, Paul Eggert,\nand Jim Meyering", "sleep": "Jim Meyering and Paul Eggert",
	"base64": "Simon Josefsson", "stat": "Michael Meskes", "env": "Richard Mlynarik, David MacKenzie, and Assaf Gordon", "nohup": "Jim Meyering", "tee": "Mike Parker, Richard M. Stallman, and David MacKenzie",
	"md5sum": "Ulrich Drepper, Scott Miller, and David Madore", "sha256sum": "Ulrich Drepper, Scott Miller, and David Madore", "seq": "Ulrich Drepper", "yes": "David MacKenzie", "true": "Jim Meyering", "nproc": "Giuseppe Scrivano",
}

// PackageVersion is the upstream version of an installed package, "" without it.
func PackageVersion(p *kernel.Proc, pkg string) string {
	k, ok := p.M.Persona.Package(pkg)
	if !ok {
		return ""
	}
	v := k.Version
	if _, rest, epoch := strings.Cut(v, ":"); epoch {
		v = rest
	}
	v, _, _ = strings.Cut(v, "-")
	v, _, _ = strings.Cut(v, "+dfsg")
	return v
}

// Version is the text of --version.
func Version(p *kernel.Proc, name string) string {
	from := origin{"", "coreutils", "GNU coreutils", authors[name]}
	for _, o := range origins {
		if strings.Contains(" "+o.programs+" ", " "+name+" ") {
			from = o
		}
	}
	v := PackageVersion(p, from.pkg)
	switch from.title {
	case "util-linux", "procps-ng":
		return name + " from " + from.title + " " + v + "\n"
	}
	year := "2022"
	switch v {
	case "8.32", "3.7", "4.8":
		year = "2020"
	case "9.4", "3.11", "1.35", "4.9", "3.10":
		year = "2023"
	}
	title := name + " (" + from.title + ") " + v
	if from.title == "" {
		title = name + " (GNU " + name + ") " + v
	}
	if from.pkg == "gzip" {
		title = name + " " + v
	}
	text := title + "\nCopyright (C) " + year + " Free Software Foundation, Inc.\nLicense GPLv3+: GNU GPL version 3 or later <https://gnu.org/licenses/gpl.html>.\nThis is free software: you are free to change and redistribute it.\nThere is NO WARRANTY, to the extent permitted by law.\n"
	if from.by != "" {
		text += "\nWritten by " + from.by + ".\n"
	}
	return text
}

// operands are the usage lines of programs after "Usage: name ".
var operands = map[string]string{
	"ls": "[OPTION]... [FILE]...", "cat": "[OPTION]... [FILE]...", "cp": "[OPTION]... [-T] SOURCE DEST", "mv": "[OPTION]... [-T] SOURCE DEST", "rm": "[OPTION]... [FILE]...",
	"mkdir": "[OPTION]... DIRECTORY...", "rmdir": "[OPTION]... DIRECTORY...", "touch": "[OPTION]... FILE...", "chmod": "[OPTION]... MODE[,MODE]... FILE...", "chown": "[OPTION]... [OWNER][:[GROUP]] FILE...",
	"id": "[OPTION]... [USER]...", "uname": "[OPTION]...", "whoami": "[OPTION]...", "date": "[OPTION]... [+FORMAT]", "sleep": "NUMBER[SUFFIX]...", "env": "[OPTION]... [-] [NAME=VALUE]... [COMMAND [ARG]...]",
	"grep": "[OPTION]... PATTERNS [FILE]...", "find": "[-H] [-L] [-P] [-Olevel] [-D debugopts] [path...] [expression]", "tar": "[OPTION...] [FILE]...", "tr": "[OPTION]... STRING1 [STRING2]",
	"cut": "OPTION... [FILE]...", "seq": "[OPTION]... LAST", "timeout": "[OPTION] DURATION COMMAND [ARG]...", "nohup": "COMMAND [ARG]...", "ln": "[OPTION]... [-T] TARGET LINK_NAME", "dd": "[OPERAND]...",
	"truncate": "OPTION... FILE...", "stat": "[OPTION]... FILE...", "hostname": "[-b] {hostname|-F file}", "free": "[options]", "df": "[OPTION]... [FILE]...", "du": "[OPTION]... [FILE]...", "uptime": "[options]",
}

// Help is the text of --help: the usage line and where the manual is.
func Help(name string) string {
	ops, ok := operands[name]
	if !ok {
		ops = "[OPTION]... [FILE]..."
	}
	return "Usage: " + name + " " + ops + "\n\n      --help     display this help and exit\n      --version  output version information and exit\n\nGNU coreutils online help: <https://www.gnu.org/software/coreutils/>\nFull documentation <https://www.gnu.org/software/coreutils/" + name + ">\nor available locally via: info '(coreutils) " + name + " invocation'\n"
}
