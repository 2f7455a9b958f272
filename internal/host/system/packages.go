package system

import (
	"context"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/persona"
)

func aptVersion(p *kernel.Proc) string {
	k, _ := p.M.Persona.Package("apt")
	return "apt " + k.Version + " (amd64)\n"
}

func apt(ctx context.Context, p *kernel.Proc) int {
	name := getopt.Base(p.Args[0])
	var words []string
	simulate := false
	for _, a := range p.Args[1:] {
		switch {
		case a == "-v" || a == "--version":
			put(p, "%s", aptVersion(p))
			return 0
		case a == "-s" || a == "--simulate" || a == "--dry-run":
			simulate = true
		case !strings.HasPrefix(a, "-"):
			words = append(words, a)
		}
	}
	if len(words) == 0 {
		put(p, "%sUsage: %s [options] command\n\n%[2]s is a commandline package manager and provides commands for\nsearching and managing as well as querying information about packages.\n", aptVersion(p), name)
		return 0
	}
	if name == "apt" && !p.IsTTY(1) {
		complain(p, "\nWARNING: apt does not have a stable CLI interface. Use with caution in scripts.\n")
	}
	verb, words := words[0], words[1:]
	switch verb {
	case "list", "search", "show", "policy", "showpkg", "depends", "rdepends", "madison":
		return aptQuery(p, verb, words)
	case "update", "upgrade", "dist-upgrade", "full-upgrade", "install", "reinstall", "remove", "purge", "autoremove", "clean", "autoclean", "build-dep", "source", "download", "check", "changelog":
	default:
		complain(p, "E: Invalid operation %s", verb)
		return 100
	}
	if p.Caller.UID != 0 && !simulate {
		complain(p, "E: Could not open lock file /var/lib/dpkg/lock-frontend - open (13: Permission denied)\nE: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), are you root?")
		return 100
	}
	switch verb {
	case "update":
		return aptUpdate(ctx, p)
	case "clean", "autoclean":
		return 0
	}
	put(p, "Reading package lists... Done\nBuilding dependency tree... Done\nReading state information... Done\n")
	switch verb {
	case "install", "reinstall":
		return aptInstall(ctx, p, words)
	case "remove", "purge":
		return aptRemove(p, words)
	}
	if strings.HasSuffix(verb, "upgrade") {
		put(p, "Calculating upgrade... Done\n")
	}
	put(p, "0 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.\n")
	return 0
}

// mirror is where the distribution's packages come from.
func mirror(p *kernel.Proc) (host, base, security string) {
	if p.M.Persona.Family == "ubuntu" {
		return "archive.ubuntu.com", "http://archive.ubuntu.com/ubuntu", "http://security.ubuntu.com/ubuntu"
	}
	return "deb.debian.org", "http://deb.debian.org/debian", "http://security.debian.org/debian-security"
}

// aptUpdate asks the fake world whether the mirror answers; nothing is sent.
func aptUpdate(ctx context.Context, p *kernel.Proc) int {
	host, base, security := mirror(p)
	code := p.M.Persona.OS.Codename
	p.S.Recorder.Fetch(ctx, kernel.Fetch{Tool: "apt", URL: base + "/dists/" + code + "/InRelease"})
	r := kernel.Reply{Failure: "timeout"}
	if p.M.Net != nil {
		r = p.M.Net.Fetch(ctx, kernel.Fetch{Tool: "apt", URL: base + "/dists/" + code + "/InRelease"})
	}
	suites := [][2]string{{base, code}, {security, code + "-security"}, {base, code + "-updates"}}
	if r.Failure != "" {
		for i, s := range suites {
			put(p, "Ign:%d %s %s InRelease\n", i+1, s[0], s[1])
		}
		for i, s := range suites {
			put(p, "Err:%d %s %s InRelease\n  Temporary failure resolving '%s'\n", i+1, s[0], s[1], host)
		}
		put(p, "Reading package lists... Done\n")
		for _, s := range suites {
			complain(p, "W: Failed to fetch %s/dists/%s/InRelease  Temporary failure resolving '%s'", s[0], s[1], host)
		}
		complain(p, "W: Some index files failed to download. They have been ignored, or old ones used instead.")
		return 0
	}
	for i, s := range suites {
		put(p, "Hit:%d %s %s InRelease\n", i+1, s[0], s[1])
	}
	put(p, "Reading package lists... Done\nBuilding dependency tree... Done\nReading state information... Done\nAll packages are up to date.\n")
	return 0
}

func aptInstall(ctx context.Context, p *kernel.Proc, words []string) int {
	status := 0
	for _, w := range words {
		if k, found := p.M.Persona.Package(w); found {
			put(p, "%s is already the newest version (%s).\n", w, k.Version)
			continue
		}
		p.S.Recorder.Fetch(ctx, kernel.Fetch{Tool: "apt", URL: "apt:" + w})
		complain(p, "E: Unable to locate package %s", w)
		status = 100
	}
	if status == 0 {
		put(p, "0 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.\n")
	}
	return status
}

func aptRemove(p *kernel.Proc, words []string) int {
	status := 0
	for _, w := range words {
		if _, found := p.M.Persona.Package(w); !found {
			complain(p, "E: Unable to locate package %s", w)
			status = 100
		}
	}
	if status != 0 {
		return status
	}
	put(p, "The following packages will be REMOVED:\n  %s\n0 upgraded, 0 newly installed, %d to remove and 0 not upgraded.\nDo you want to continue? [Y/n] Abort.\n", strings.Join(words, " "), len(words))
	return 1
}

func aptQuery(p *kernel.Proc, verb string, words []string) int {
	_, base, _ := mirror(p)
	code := p.M.Persona.OS.Codename
	switch verb {
	case "list":
		put(p, "Listing...\n")
		suite := map[bool]string{true: "stable", false: code}[p.M.Persona.Family == "debian"]
		for _, k := range matching(p, words) {
			how := "installed,automatic"
			if k.Priority != "optional" && k.Section != "libs" || k.Section == "net" || k.Section == "web" {
				how = "installed"
			}
			put(p, "%s/%s,now %s %s [%s]\n", k.Name, suite, k.Version, k.Arch, how)
		}
		return 0
	case "search":
		put(p, "Sorting... Done\nFull Text Search... Done\n")
		for _, k := range p.M.Persona.Packages {
			if len(words) > 0 && strings.Contains(k.Name+k.Summary, words[0]) {
				put(p, "%s/%s,now %s %s [installed]\n  %s\n\n", k.Name, code, k.Version, k.Arch, k.Summary)
			}
		}
		return 0
	}
	status := 0
	for _, w := range words {
		k, ok := p.M.Persona.Package(w)
		switch {
		case !ok && verb == "policy":
			put(p, "%s:\n  Installed: (none)\n  Candidate: (none)\n  Version table:\n", w)
		case !ok:
			if verb == "show" {
				complain(p, "N: Unable to locate package %s", w)
			}
			complain(p, "E: No packages found")
			status = 100
		case verb == "policy":
			put(p, "%s:\n  Installed: %s\n  Candidate: %[2]s\n  Version table:\n *** %[2]s 500\n        500 %s %s/main amd64 Packages\n        100 /var/lib/dpkg/status\n", w, k.Version, base, code)
		default:
			put(p, "Package: %s\nVersion: %s\nPriority: optional\nSection: %s\nMaintainer: %s\nInstalled-Size: %d kB\nDownload-Size: %d kB\nAPT-Manual-Installed: yes\nAPT-Sources: %s %s/main amd64 Packages\nDescription: %s\n\n", k.Name, k.Version, k.Section, maintainer(p), k.SizeKB, k.SizeKB/4+9, base, code, k.Summary)
		}
	}
	return status
}

func maintainer(p *kernel.Proc) string {
	if p.M.Persona.Family == "ubuntu" {
		return "Ubuntu Developers <ubuntu-devel-discuss@lists.ubuntu.com>"
	}
	return "Debian Developers <debian-devel@lists.debian.org>"
}

func dpkg(_ context.Context, p *kernel.Proc) int {
	query := getopt.Base(p.Args[0]) == "dpkg-query"
	o := getopt.Parse(p.Args[1:], "+liLsSWrPf:CVIxceAp", "list/l install/i listfiles/L status/s search/S show/W remove/r purge/P showformat/f print-architecture configure get-selections audit/C unpack verify/V print-foreign-architectures add-architecture admindir= force-all")
	k, _ := p.M.Persona.Package("dpkg")
	switch {
	case o.Bad == "--version":
		put(p, "Debian 'dpkg' package management program version %s (amd64).\nThis is free software; see the GNU General Public License version 2 or\nlater for copying conditions. There is NO warranty.\n", k.Version)
		return 0
	case o.Bad != "":
		complain(p, "dpkg: error: unknown option %s\n\nType dpkg --help for help about installing and deinstalling packages [*];\nUse 'apt' or 'aptitude' for user-friendly package management;\nType dpkg -Dhelp for a list of dpkg debug flag values;\nType dpkg --force-help for a list of forcing options;\nType dpkg-deb --help for help about manipulating *.deb files;\n\nOptions marked [*] produce a lot of output - pipe it through 'less' or 'more' !", strings.Trim(o.Bad, "abcdefghijklmnopqrstuvwxyz "))
		return 2
	case o.Has("print-architecture"):
		put(p, "amd64\n")
	case o.Has("l"):
		return dpkgList(p, o.Args)
	case o.Has("get-selections"):
		for _, k := range matching(p, o.Args) {
			put(p, "%s%s install\n", k.Label(), strings.Repeat("\t", max(1, 6-len(k.Label())/8)))
		}
	case o.Has("W"):
		return dpkgShow(p, o)
	case o.Has("s"):
		return dpkgStatus(p, o.Args)
	case o.Has("L"):
		return dpkgFiles(p, o.Args)
	case o.Has("S"):
		return dpkgSearch(p, o.Args)
	case o.Has("i", "unpack", "r", "P"):
		return dpkgChange(p, o)
	case o.Has("configure", "C", "V", "add-architecture", "print-foreign-architectures"):
	default:
		complain(p, "%s: error: need an action option\n\nUse --help for help about %s.", getopt.Base(p.Args[0]), map[bool]string{true: "querying packages", false: "installing and deinstalling packages"}[query])
		return 2
	}
	return 0
}

func matching(p *kernel.Proc, pats []string) []persona.PackageFacts {
	var out []persona.PackageFacts
	for _, k := range p.M.Persona.Packages {
		if len(pats) == 0 || slices.ContainsFunc(pats, func(w string) bool { return named(w, k.Name) }) {
			if f, ok := p.M.Persona.Facts(k.Name); ok {
				out = append(out, f)
			}
		}
	}
	return out
}

// named reports whether a pattern of dpkg, maybe with an architecture, fits a name.
func named(pat, name string) bool {
	pat, _, _ = strings.Cut(pat, ":")
	ok, err := path.Match(pat, name)
	return err == nil && ok
}

// unmatched complains about patterns that fit no package.
func unmatched(p *kernel.Proc, pats []string, list []persona.PackageFacts) int {
	status := 0
	for _, w := range pats {
		if !slices.ContainsFunc(list, func(k persona.PackageFacts) bool { return named(w, k.Name) }) {
			complain(p, "dpkg-query: no packages found matching %s", w)
			status = 1
		}
	}
	return status
}

func dpkgList(p *kernel.Proc, pats []string) int {
	list := matching(p, pats)
	if len(list) > 0 {
		wn, wv, wd := 14, 12, 33
		for _, k := range list {
			wn, wv, wd = max(wn, len(k.Label())), max(wv, len(k.Version)), max(wd, len(k.Summary))
		}
		line := func(n int) string { return strings.Repeat("=", n) }
		put(p, "Desired=Unknown/Install/Remove/Purge/Hold\n| Status=Not/Inst/Conf-files/Unpacked/halF-conf/Half-inst/trig-aWait/Trig-pend\n|/ Err?=(none)/Reinst-required (Status,Err: uppercase=bad)\n||/ %-*s %-*s Architecture Description\n+++-%s-%s-============-%s\n", wn, "Name", wv, "Version", line(wn), line(wv), line(wd))
		for _, k := range list {
			put(p, "ii  %-*s %-*s %-12s %s\n", wn, k.Label(), wv, k.Version, k.Arch, k.Summary)
		}
	}
	return unmatched(p, pats, list)
}

func dpkgShow(p *kernel.Proc, o getopt.Opts) int {
	list := matching(p, o.Args)
	form := "${binary:Package}\t${Version}\n"
	if o.Has("f") {
		form = strings.NewReplacer(`\n`, "\n", `\t`, "\t").Replace(o.Get("f"))
	}
	for _, k := range list {
		put(p, "%s", strings.NewReplacer(
			"${Package}", k.Name, "${binary:Package}", k.Label(), "${Version}", k.Version, "${Architecture}", k.Arch, "${Section}", k.Section, "${Priority}", k.Priority, "${Maintainer}", k.Maintainer,
			"${Installed-Size}", strconv.FormatInt(k.SizeKB, 10), "${Status}", "install ok installed", "${db:Status-Status}", "installed", "${db:Status-Abbrev}", "ii ", "${binary:Summary}", k.Summary, "${Description}", k.Summary).Replace(form))
	}
	return unmatched(p, o.Args, list)
}

func dpkgStatus(p *kernel.Proc, names []string) int {
	status := 0
	for i, w := range names {
		w, _, _ = strings.Cut(w, ":")
		f, ok := p.M.Persona.Facts(w)
		if !ok {
			complain(p, "dpkg-query: package '%s' is not installed and no information is available\nUse dpkg --info (= dpkg-deb --info) to examine archive files.", w)
			status = 1
			continue
		}
		if i > 0 {
			put(p, "\n")
		}
		put(p, "%s", f.Stanza())
	}
	return status
}

func dpkgFiles(p *kernel.Proc, names []string) int {
	status := 0
	lists := p.M.Persona.PackageLists()
	for i, w := range names {
		w, _, _ = strings.Cut(w, ":")
		list := lists[w]
		if list == nil {
			complain(p, "dpkg-query: package '%s' is not installed\nUse dpkg --contents (= dpkg-deb --contents) to list archive files contents.", w)
			status = 1
			continue
		}
		if i > 0 {
			put(p, "\n")
		}
		put(p, "%s\n", strings.Join(list, "\n"))
	}
	return status
}

// dpkgSearch is dpkg -S: a word without wildcards is looked for anywhere in a
// path, an absolute one is the path.
func dpkgSearch(p *kernel.Proc, names []string) int {
	if len(names) == 0 {
		complain(p, "dpkg-query: error: --search needs at least one file name pattern argument\n\nUse --help for help about querying packages.")
		return 2
	}
	status := 0
	lists := p.M.Persona.PackageLists()
	for _, w := range names {
		owners := map[string][]string{}
		var found []string
		for _, k := range p.M.Persona.Packages {
			label := k.Name
			if f, ok := p.M.Persona.Facts(k.Name); ok {
				label = f.Label()
			}
			for _, file := range lists[k.Name] {
				if owns(w, file) {
					if owners[file] == nil {
						found = append(found, file)
					}
					owners[file] = append(owners[file], label)
				}
			}
		}
		for _, file := range found {
			put(p, "%s: %s\n", strings.Join(owners[file], ", "), file)
		}
		if len(found) == 0 {
			complain(p, "dpkg-query: no path found matching pattern %s", w)
			status = 1
		}
	}
	return status
}

func owns(pat, file string) bool {
	switch {
	case strings.ContainsAny(pat, "*?["):
		ok, err := path.Match(pat, file)
		return err == nil && ok
	case strings.HasPrefix(pat, "/"):
		return file == strings.TrimSuffix(pat, "/") || pat == "/" && file == "/."
	}
	return strings.Contains(file, pat)
}

func dpkgChange(p *kernel.Proc, o getopt.Opts) int {
	if p.Caller.UID != 0 {
		complain(p, "dpkg: error: requested operation requires superuser privilege")
		return 2
	}
	if len(o.Args) == 0 {
		complain(p, "dpkg: error: --install needs at least one package archive file argument\n\nType dpkg --help for help about installing and deinstalling packages [*];\nUse 'apt' or 'aptitude' for user-friendly package management;")
		return 2
	}
	for _, w := range o.Args {
		switch _, err := p.M.FS.Stat(p.Caller, p.Abs(w)); {
		case o.Has("r", "P"):
			complain(p, "dpkg: warning: ignoring request to remove %s which isn't installed", w)
			return 0
		case err != nil:
			complain(p, "dpkg: error: cannot access archive '%s': %s\n", w, err)
		default:
			complain(p, "dpkg-deb: error: '%s' is not a Debian format archive\ndpkg: error processing archive %[1]s (--install):\n dpkg-deb --control subprocess returned error exit status 2\nErrors were encountered while processing:\n %[1]s", w)
		}
	}
	return 1
}
