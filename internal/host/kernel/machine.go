package kernel

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/persona"
)

// Sockets are the host's own, and the connections of the visitor that last.
func (m *Machine) Sockets() []persona.Socket {
	out := slices.Clone(m.Persona.Sockets)
	for _, r := range m.Ledger.Logins() {
		if r.Failed || !r.Ended.IsZero() || r.Service != "ssh" || !r.From.IsValid() {
			continue
		}
		out = append(out, persona.Socket{
			Proto: "tcp", Local: m.Persona.NICs[0].IPv4 + ":22", Peer: fmt.Sprintf("%s:%d", r.From.Addr().Unmap(), r.From.Port()), State: "ESTAB", PID: r.PID, Name: "sshd", Inode: 20_000 + int(r.Started.Unix()%900_000),
		})
	}
	return out
}

// Mounts are what is mounted: the persona's, without what the visitor
// unmounted, then what he mounted.
func (m *Machine) Mounts() []persona.Mount {
	var out []persona.Mount
	for _, p := range m.Persona.Mounts {
		if v, _ := m.Settings.Get("umount" + p.Target); v == "" {
			out = append(out, p)
		}
	}
	for _, k := range m.Settings.Keys("mount/") {
		v, _ := m.Settings.Get(k)
		var p persona.Mount
		if json.Unmarshal([]byte(v), &p) == nil {
			out = append(out, p)
		}
	}
	return out
}

// Mount enters a mount of the visitor's.
func (m *Machine) Mount(p persona.Mount) bool {
	b, err := json.Marshal(p)
	return err == nil && m.Settings.Set("mount"+p.Target, string(b))
}

// Unmount takes a mount away; false where there is none.
func (m *Machine) Unmount(target string) bool {
	if _, ok := m.Settings.Get("mount" + target); ok {
		m.Settings.Unset("mount" + target)
		return true
	}
	if slices.ContainsFunc(m.Persona.Mounts, func(p persona.Mount) bool { return p.Target == target }) {
		return m.Settings.Set("umount"+target, "1")
	}
	return false
}

// Loaded are the modules in the kernel: the persona's, with what the visitor
// loaded and without what he removed.
func (m *Machine) Loaded() []persona.LoadedModule {
	all := persona.LoadedModules()
	for _, k := range m.Settings.Keys("module/") {
		name := strings.TrimPrefix(k, "module/")
		v, _ := m.Settings.Get(k)
		i := slices.IndexFunc(all, func(l persona.LoadedModule) bool { return l.Name == name })
		switch {
		case v == "" && i >= 0:
			all = slices.Delete(all, i, i+1)
			for j := range all {
				all[j].By = slices.DeleteFunc(all[j].By, func(n string) bool { return n == name })
			}
		case v != "" && i < 0:
			var l persona.LoadedModule
			if json.Unmarshal([]byte(v), &l) == nil {
				all = append([]persona.LoadedModule{l}, all...)
			}
		}
	}
	return all
}
