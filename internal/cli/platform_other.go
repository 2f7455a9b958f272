//go:build !unix

package cli

import "github.com/spf13/cobra"

// addPlatform adds nothing: here lapwing judges files, it runs no instance.
func addPlatform(root *cobra.Command, _ *globals) {
	root.Example = "  lapwing hunt C:/Windows/System32/winevt/Logs   find intruders in event logs\n  lapwing scan C:/inetpub                        look for malware"
}
