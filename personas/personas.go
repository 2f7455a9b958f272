// Package personas holds the templates that fake hosts are drawn from, as
// data: choices that exist in the world and belong together.
package personas

import "embed"

// FS holds one YAML file a template.
//
//go:embed *.yaml
var FS embed.FS

// Packages are the packages of a small Debian 12 server: one line each, its
// fields named in the first line. {release}, {kernel}, {ssh} and {point} stand
// for what differs between hosts.
//
//go:embed debian-12/packages.txt
var Packages string

// Files are what those packages hold, directory by directory. The first line
// says how to read it.
//
//go:embed debian-12/files.txt
var Files string

// Modules are the kernel modules of the kernel's package: path below kernel/,
// bytes, and the names of what each depends on.
//
//go:embed debian-12/modules.txt
var Modules string

// Loaded are the modules that a virtual machine with that kernel has loaded.
//
//go:embed debian-12/loaded.txt
var Loaded string
