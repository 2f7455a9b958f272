// Package personas holds the templates that fake hosts are drawn from, as
// data: choices that exist in the world and belong together.
package personas

import "embed"

// FS holds one YAML file a template.
//
//go:embed *.yaml
var FS embed.FS
