package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/lapwing-defence/lapwing/internal/yamldoc"
)

// resolve makes the names of files and directories absolute and tells of those
// that cannot be found.
func (c *Config) resolve(doc *yamldoc.Document, base string) yamldoc.Faults {
	k := &checker{doc: doc}
	one := func(name *string, path ...any) {
		if *name == "" {
			return
		}
		if !filepath.IsAbs(*name) {
			*name = filepath.Join(base, *name)
		}
		if _, err := os.Stat(*name); errors.Is(err, fs.ErrNotExist) {
			k.say(fmt.Sprintf("%q is not there", *name), "correct the path: it counts from the directory of this file", path...)
		}
	}
	for i := range c.Rules.Dirs {
		one(&c.Rules.Dirs[i], "rules", "dirs", i)
	}
	one(&c.Rules.Placeholders, "rules", "placeholders")
	for i := range c.Access.Geo {
		one(&c.Access.Geo[i], "access", "geo", i)
	}
	for i := range c.Sources {
		s := &c.Sources[i]
		one(&s.Cert, "sources", i, "cert")
		one(&s.Key, "sources", i, "key")
		one(&s.ClientCA, "sources", i, "client_ca")
		one(&s.TokenFile, "sources", i, "token_file")
	}
	for i := range c.Notify {
		n := &c.Notify[i]
		one(&n.URLFile, "notify", i, "url_file")
		one(&n.SecretFile, "notify", i, "secret_file")
		one(&n.CAFile, "notify", i, "ca_file")
	}
	for i := range c.Scan.Rules {
		one(&c.Scan.Rules[i], "scan", "rules", i)
	}
	for i := range c.Scan.Indicators {
		one(&c.Scan.Indicators[i], "scan", "indicators", i)
	}
	for i := range c.Respond.Backends {
		b := &c.Respond.Backends[i]
		if b.Path != "" && !filepath.IsAbs(b.Path) {
			b.Path = filepath.Join(base, b.Path)
		}
		for key, name := range map[string]*string{"config": &b.Config, "password_file": &b.PasswordFile, "tls_cert": &b.Certificate, "tls_key": &b.Key} {
			one(name, "respond", "backends", i, key)
		}
	}
	return k.faults
}
