package system

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/persona"
)

// moduleNamed finds a module of the kernel's package; a path's last part counts.
func moduleNamed(name string) (persona.KernelModule, bool) {
	name = strings.TrimSuffix(getopt.Base(name), ".ko")
	name = strings.ReplaceAll(name, "-", "_")
	var found persona.KernelModule
	for m := range persona.KernelModules {
		if m.Name() == name {
			found = m
			break
		}
	}
	return found, found.Path != ""
}

func loaded(p *kernel.Proc, name string) (persona.LoadedModule, bool) {
	all := p.M.Loaded()
	i := slices.IndexFunc(all, func(l persona.LoadedModule) bool { return l.Name == name })
	if i < 0 {
		return persona.LoadedModule{}, false
	}
	return all[i], true
}

// load puts a module and what it needs into the kernel.
func load(p *kernel.Proc, m persona.KernelModule) {
	for d := range strings.SplitSeq(m.Depends, ",") {
		if need, ok := moduleNamed(d); ok && d != "" {
			if _, there := loaded(p, need.Name()); !there {
				load(p, need)
			}
		}
	}
	if _, there := loaded(p, m.Name()); there {
		return
	}
	b, err := json.Marshal(persona.LoadedModule{Name: m.Name(), Size: max(16_384, (m.Size/3+4095)/4096*4096)})
	if err == nil {
		p.M.Settings.Set("module/"+m.Name(), string(b))
	}
}

func unload(p *kernel.Proc, name string) {
	key := "module/" + name
	if v, _ := p.M.Settings.Get(key); v != "" {
		p.M.Settings.Unset(key)
		return
	}
	p.M.Settings.Set(key, "")
}

func modprobe(ctx context.Context, p *kernel.Proc) int {
	name := getopt.Base(p.Args[0])
	o := getopt.Parse(p.Args[1:], "arRDnqvVfibcC:d:S:F:0plms", "remove/r all/a show-depends/D dry-run/n quiet/q verbose/v version/V force/f first-time field=/F resolve-alias/R use-blacklist/b wait=")
	switch {
	case o.Has("V"):
		put(p, "kmod version 30\n+ZSTD +XZ -ZLIB +LIBCRYPTO -EXPERIMENTAL\n")
		return 0
	case name == "depmod":
		return 0
	case o.Bad != "":
		complain(p, "%s: %s", name, o.Bad)
		return 1
	case len(o.Args) == 0 && name == "modprobe":
		complain(p, "modprobe: ERROR: missing parameters. See -h.")
		return 1
	case len(o.Args) == 0:
		complain(p, "%s: ERROR: missing %s.", name, map[string]string{"insmod": "filename", "rmmod": "module name", "modinfo": "module or filename"}[name])
		return 1
	case name == "modinfo":
		return modinfo(p, o)
	}
	if name == "modprobe" && o.Has("D") {
		return showDepends(p, o.Args[0])
	}
	status := 0
	mods := o.Args
	if name != "rmmod" && !o.Has("a", "r") {
		mods = mods[:1] // what follows are the module's own options
	}
	for _, m := range mods {
		switch {
		case name == "rmmod" || o.Has("r"):
			status = max(status, removeModule(p, name, m))
		case name == "insmod":
			status = max(status, insmod(ctx, p, m))
		default:
			status = max(status, insert(p, m, o))
		}
	}
	return status
}

func insert(p *kernel.Proc, name string, o getopt.Opts) int {
	m, ok := moduleNamed(name)
	if !ok {
		if !o.Has("q") {
			complain(p, "modprobe: FATAL: Module %s not found in directory /lib/modules/%s", name, p.M.Persona.Kernel.Release)
		}
		return 1
	}
	if _, there := loaded(p, m.Name()); there || o.Has("n") {
		return 0
	}
	if p.Caller.UID != 0 {
		complain(p, "modprobe: ERROR: could not insert '%s': Operation not permitted", m.Name())
		return 1
	}
	if o.Has("v") {
		put(p, "insmod /lib/modules/%s/kernel/%s \n", p.M.Persona.Kernel.Release, m.Path)
	}
	load(p, m)
	return 0
}

// insmod takes the kernel's own modules; what a visitor brought is recorded
// and refused, as a module of another kernel is.
func insmod(ctx context.Context, p *kernel.Proc, file string) int {
	in, err := p.M.FS.Stat(p.Caller, p.Abs(file))
	if err != nil {
		complain(p, "insmod: ERROR: could not load module %s: No such file or directory", file)
		return 1
	}
	if p.Caller.UID != 0 {
		complain(p, "insmod: ERROR: could not insert module %s: Operation not permitted", file)
		return 1
	}
	m, ok := moduleNamed(file)
	if !ok || in.Size != m.Size {
		p.S.Recorder.Note(ctx, "kernel-module-offered", p.Abs(file))
		complain(p, "insmod: ERROR: could not insert module %s: Invalid module format", file)
		return 1
	}
	if _, there := loaded(p, m.Name()); there {
		complain(p, "insmod: ERROR: could not insert module %s: File exists", file)
		return 1
	}
	for d := range strings.SplitSeq(m.Depends, ",") {
		if need, known := moduleNamed(d); known && d != "" {
			if _, there := loaded(p, need.Name()); !there {
				complain(p, "insmod: ERROR: could not insert module %s: Unknown symbol in module", file)
				return 1
			}
		}
	}
	load(p, m)
	return 0
}

func removeModule(p *kernel.Proc, tool, name string) int {
	base := strings.ReplaceAll(strings.TrimSuffix(getopt.Base(name), ".ko"), "-", "_")
	l, there := loaded(p, base)
	switch {
	case !there && tool == "modprobe":
		if _, known := moduleNamed(base); known {
			return 0
		}
		complain(p, "modprobe: FATAL: Module %s not found.", name)
		return 1
	case !there:
		complain(p, "rmmod: ERROR: Module %s is not currently loaded", base)
		return 1
	case len(l.By) > 0 && tool == "rmmod":
		complain(p, "rmmod: ERROR: Module %s is in use by: %s", base, strings.Join(l.By, " "))
		return 1
	case len(l.By) > 0 || l.Uses > 0:
		complain(p, "%s: %s Module %s is in use", tool, map[string]string{"rmmod": "ERROR:", "modprobe": "FATAL:"}[tool], base+map[bool]string{true: ".", false: ""}[tool == "modprobe"])
		return 1
	case p.Caller.UID != 0:
		complain(p, "%s: ERROR: could not remove '%s': Operation not permitted", tool, base)
		return 1
	}
	unload(p, base)
	return 0
}

func showDepends(p *kernel.Proc, name string) int {
	m, ok := moduleNamed(name)
	if !ok {
		complain(p, "modprobe: FATAL: Module %s not found in directory /lib/modules/%s", name, p.M.Persona.Kernel.Release)
		return 1
	}
	var walk func(persona.KernelModule)
	seen := map[string]bool{}
	walk = func(m persona.KernelModule) {
		seen[m.Name()] = true
		for d := range strings.SplitSeq(m.Depends, ",") {
			if need, known := moduleNamed(d); known && d != "" && !seen[need.Name()] {
				walk(need)
			}
		}
		put(p, "insmod /lib/modules/%s/kernel/%s \n", p.M.Persona.Kernel.Release, m.Path)
	}
	walk(m)
	return 0
}

func modinfo(p *kernel.Proc, o getopt.Opts) int {
	status := 0
	release := p.M.Persona.Kernel.Release
	for _, name := range o.Args {
		m, ok := moduleNamed(name)
		if !ok {
			complain(p, "modinfo: ERROR: Module %s not found.", name)
			status = 1
			continue
		}
		var rows [][2]string
		row := func(k, v string) { rows = append(rows, [2]string{k, v}) }
		row("filename", "/lib/modules/"+release+"/kernel/"+m.Path)
		l, there := loaded(p, m.Name())
		var parms []string
		for _, i := range l.Info {
			k, v, _ := strings.Cut(i, "=")
			if k == "parm" {
				parms = append(parms, v)
				continue
			}
			row(k, v)
		}
		if !there || len(l.Info) == 0 {
			row("license", "GPL")
		}
		row("depends", m.Depends)
		row("retpoline", "Y")
		row("intree", "Y")
		row("name", m.Name())
		row("vermagic", release+" SMP preempt mod_unload modversions ")
		row("sig_id", "PKCS#7")
		row("signer", "Debian Secure Boot CA")
		row("sig_hashalgo", "sha256")
		for _, v := range parms {
			row("parm", v)
		}
		for _, r := range rows {
			switch {
			case !o.Has("F"):
				put(p, "%-16s%s\n", r[0]+":", r[1])
			case o.Get("F") == r[0]:
				put(p, "%s\n", r[1])
			}
		}
	}
	return status
}
