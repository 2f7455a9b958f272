package persona

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/personas"
)

// PackageFacts is what a package manager tells of a package.
type PackageFacts struct {
	Name, Version, Arch, Priority, Section string
	SizeKB                                 int64
	MultiArch                              string // "same", "foreign", "allowed", "no"
	Essential                              bool
	Source, Maintainer, Depends, Summary   string
}

// PackageFile is one entry of a directory that packages hold.
type PackageFile struct {
	Dir, Name string
	IsDir     bool
	Mode      uint32
	Size      int64
	Target    string // of a symlink, else ""
	Packages  string // names, with commas between; of a directory "" where its entries tell
}

// Path is the entry's absolute path as the package has it.
func (f PackageFile) Path() string {
	if f.Dir == "/" {
		return "/" + f.Name
	}
	return f.Dir + "/" + f.Name
}

// Of reports whether the package name holds the entry.
func (f PackageFile) Of(name string) bool {
	for p := range strings.SplitSeq(f.Packages, ",") {
		if p == name {
			return true
		}
	}
	return false
}

// fillIn puts this host's versions in the place of the words in braces.
func (p *Persona) fillIn(text string) string {
	if !strings.Contains(text, "{") {
		return text
	}
	_, point, _ := strings.Cut(p.OS.DebVersion, ".")
	kernel, _ := p.Package("linux-image-" + p.Kernel.Release)
	ssh, _ := p.Package("openssh-server")
	return strings.NewReplacer("{release}", p.Kernel.Release, "{point}", point, "{kernel}", kernel.Version, "{ssh}", ssh.Version).Replace(text)
}

// Facts tells of an installed package what the inventory of its distribution
// knows; of one that it does not know, what the persona itself does.
func (p *Persona) Facts(name string) (PackageFacts, bool) {
	k, ok := p.Package(name)
	if !ok {
		return PackageFacts{}, false
	}
	f := PackageFacts{
		Name: k.Name, Version: k.Version, Arch: k.Arch, Priority: "optional", Section: k.Section, SizeKB: k.SizeKB, MultiArch: "no",
		Source: "-", Maintainer: "Debian Developers <debian-devel@lists.debian.org>", Depends: "-", Summary: k.Summary,
	}
	if p.Family == "ubuntu" {
		f.Maintainer = "Ubuntu Developers <ubuntu-devel-discuss@lists.ubuntu.com>"
		return f, true
	}
	key := "\n" + strings.ReplaceAll(name, p.Kernel.Release, "{release}") + "\t"
	i := strings.Index(personas.Packages, key)
	if i < 0 {
		return f, true
	}
	line, _, _ := strings.Cut(personas.Packages[i+1:], "\n")
	if known, ok := parseFacts(p.fillIn(line)); ok {
		known.Version = k.Version
		return known, true
	}
	return f, true
}

func parseFacts(line string) (PackageFacts, bool) {
	f := strings.Split(line, "\t")
	if len(f) != 12 {
		return PackageFacts{}, false
	}
	kb, err := strconv.ParseInt(f[5], 10, 64)
	return PackageFacts{f[0], f[1], f[2], f[3], f[4], kb, f[6], f[7] == "yes", f[8], f[9], f[10], f[11]}, err == nil
}

// inventory is every package of the embedded inventory, for a host whose
// kernel and SSH server are known.
func (p *Persona) inventory() []PackageFacts {
	var out []PackageFacts
	for line := range strings.Lines(personas.Packages) {
		if f, ok := parseFacts(p.fillIn(strings.TrimSuffix(line, "\n"))); ok {
			out = append(out, f)
		}
	}
	return out
}

// held reports whether one of several packages is installed.
func held(names string, installed map[string]bool) bool {
	for n := range strings.SplitSeq(names, ",") {
		if installed[n] || strings.HasPrefix(n, "linux-image-{") {
			return true
		}
	}
	return false
}

// PackageDir is a directory that installed packages hold something in.
type PackageDir struct {
	Path string

	p         *Persona
	entries   string // lines of the inventory
	installed map[string]bool
}

// PackageDirs calls yield for every directory of the inventory until it
// returns false. A router has none.
func (p *Persona) PackageDirs(yield func(PackageDir) bool) {
	if p.Family == "busybox" {
		return
	}
	installed := make(map[string]bool, len(p.Packages))
	for _, k := range p.Packages {
		installed[k.Name] = true
		installed[strings.TrimSuffix(k.Name, "t64")] = true
	}
	_, rest, _ := strings.Cut(personas.Files, "\n/")
	for rest != "" {
		name, body, _ := strings.Cut(rest, "\n")
		body, rest, _ = strings.Cut(body, "\n/")
		if !yield(PackageDir{"/" + p.fillIn(name), p, body, installed}) {
			return
		}
	}
}

// Files calls yield for what installed packages hold in the directory until it
// returns false.
func (d PackageDir) Files(yield func(PackageFile) bool) {
	for line := range strings.Lines(d.entries) {
		f, ok := parseFile(d.Path, strings.Trim(line, "\n\t"))
		if !ok || f.Packages != "" && !held(f.Packages, d.installed) {
			continue
		}
		f.Name, f.Target, f.Packages = d.p.fillIn(f.Name), d.p.fillIn(f.Target), d.p.fillIn(f.Packages)
		if !yield(f) {
			return
		}
	}
}

// Files calls yield for what the installed packages hold, directory by
// directory, until it returns false.
func (p *Persona) Files(yield func(PackageFile) bool) {
	for d := range p.PackageDirs {
		for f := range d.Files {
			if !yield(f) {
				return
			}
		}
	}
}

// PackageLists are the paths that each package holds, sorted: what dpkg -L says.
func (p *Persona) PackageLists() map[string][]string {
	out := make(map[string][]string, len(p.Packages))
	dirs := map[string]map[string]bool{}
	for f := range p.Files {
		for pkg := range strings.SplitSeq(f.Packages, ",") {
			if pkg == "" {
				continue
			}
			if dirs[pkg] == nil {
				dirs[pkg], out[pkg] = map[string]bool{}, []string{"/."}
			}
			for d := f.Dir; d != "/" && !dirs[pkg][d]; d = path.Dir(d) {
				dirs[pkg][d] = true
				out[pkg] = append(out[pkg], d)
			}
			if file := f.Path(); !dirs[pkg][file] {
				out[pkg] = append(out[pkg], file)
			}
		}
	}
	for _, k := range p.Packages {
		if out[k.Name] == nil {
			doc := "/usr/share/doc/" + k.Name
			out[k.Name] = []string{"/.", "/usr", "/usr/share", "/usr/share/doc", doc, doc + "/changelog.Debian.gz", doc + "/copyright"}
		}
		slices.Sort(out[k.Name])
	}
	return out
}

// Label is how the package manager names the package: with its architecture
// where another's may stand beside it.
func (f PackageFacts) Label() string {
	if f.MultiArch == "same" {
		return f.Name + ":" + f.Arch
	}
	return f.Name
}

// Stanza is what the package manager keeps of an installed package.
func (f PackageFacts) Stanza() string {
	var s strings.Builder
	line := func(key, value string) {
		if value != "-" && value != "" {
			s.WriteString(key + ": " + value + "\n")
		}
	}
	line("Package", f.Name)
	if f.Essential {
		line("Essential", "yes")
	}
	line("Status", "install ok installed")
	line("Priority", f.Priority)
	line("Section", f.Section)
	line("Installed-Size", strconv.FormatInt(f.SizeKB, 10))
	line("Maintainer", f.Maintainer)
	line("Architecture", f.Arch)
	if f.MultiArch != "no" {
		line("Multi-Arch", f.MultiArch)
	}
	line("Source", f.Source)
	line("Version", f.Version)
	line("Depends", f.Depends)
	line("Description", f.Summary)
	return s.String()
}

// parseFile reads an entry: name, what it is, packages.
func parseFile(dir, line string) (PackageFile, bool) {
	name, rest, ok := strings.Cut(line, "\t")
	what, pkgs, ok2 := strings.Cut(rest, "\t")
	if !ok || !ok2 {
		return PackageFile{}, false
	}
	f := PackageFile{Dir: dir, Name: name, Packages: pkgs, Mode: 0o644}
	if f.Name, f.IsDir = strings.CutSuffix(name, "/"); f.IsDir {
		f.Mode = 0o755
		if what != "" {
			f.Mode = octal(what)
		}
		return f, true
	}
	if f.Target, ok = strings.CutPrefix(what, ">"); ok {
		f.Mode = 0o777
		return f, true
	}
	f.Target = ""
	size, mode, ok := strings.Cut(what, ":")
	if ok {
		f.Mode = octal(mode)
	}
	n, err := strconv.ParseInt(size, 10, 64)
	f.Size = n
	return f, err == nil
}

func octal(s string) uint32 {
	n, err := strconv.ParseUint(s, 8, 32)
	if err != nil {
		return 0o644
	}
	return uint32(n)
}

// KernelModule is a module of the installed kernel.
type KernelModule struct {
	Path    string // below /lib/modules/RELEASE/kernel, with .ko
	Size    int64
	Depends string // names, with commas between
}

// Name is what the module is called once it is loaded.
func (m KernelModule) Name() string {
	base := m.Path[strings.LastIndexByte(m.Path, '/')+1:]
	return strings.ReplaceAll(strings.TrimSuffix(base, ".ko"), "-", "_")
}

// KernelModules calls yield for every module of the kernel's package, in order
// of path, until it returns false.
func KernelModules(yield func(KernelModule) bool) {
	for line := range strings.Lines(personas.Modules) {
		file, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		size, deps, _ := strings.Cut(rest, "\t")
		n, err := strconv.ParseInt(size, 10, 64)
		if err == nil && !yield(KernelModule{file + ".ko", n, deps}) {
			return
		}
	}
}

// LoadedModule is a module that runs in the kernel.
type LoadedModule struct {
	Name string
	Size int64    // bytes of memory
	Uses int      // beside other modules
	By   []string // modules that use it
	Info []string // "license=GPL", as modinfo orders it
}

// LoadedModules are the modules that a server has loaded, newest first.
func LoadedModules() []LoadedModule {
	var out []LoadedModule
	for line := range strings.Lines(personas.Loaded) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) < 3 || f[0] == "" || f[0][0] == '#' {
			continue
		}
		size, err1 := strconv.ParseInt(f[1], 10, 64)
		uses, err2 := strconv.Atoi(f[2])
		if err1 == nil && err2 == nil {
			out = append(out, LoadedModule{Name: f[0], Size: size, Uses: uses, Info: f[3:]})
		}
	}
	KernelModules(func(m KernelModule) bool {
		if slices.ContainsFunc(out, func(l LoadedModule) bool { return l.Name == m.Name() }) {
			for d := range strings.SplitSeq(m.Depends, ",") {
				if i := slices.IndexFunc(out, func(l LoadedModule) bool { return l.Name == strings.ReplaceAll(d, "-", "_") }); i >= 0 {
					out[i].By = append(out[i].By, m.Name())
				}
			}
		}
		return true
	})
	return out
}
