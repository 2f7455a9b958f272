// Package scenarios holds the exercises that are shipped with the program, and
// the JSON Schema of their format (docs/formats/scenario.md).
package scenarios

import "embed"

// FS holds NAME.range.yaml, one scenario each, and the schema.
//
//go:embed *.yaml *.json
var FS embed.FS
