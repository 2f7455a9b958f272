package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// The ends of the long help of commands: what their exit status says.
const (
	statusHelp      = "\n\nExit status: 0 fine, 2 error, 64 wrong usage."
	statusHelpUsage = "\n\nExit status: 0 fine, 64 wrong usage."
)

// group makes c a command that only has commands under it: alone, or with a
// word that is none of them, it is wrong usage.
func group(c *cobra.Command, under ...*cobra.Command) *cobra.Command {
	c.AddCommand(under...)
	names := make([]string, 0, len(under))
	for _, u := range under {
		names = append(names, u.Name())
	}
	last := len(names) - 1
	say := strings.Join(names[:last], ", ") + " or " + names[last]
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usageError{fmt.Errorf("%s: %.80q is not known: say %s", c.Name(), args[0], say)}
		}
		return usageError{fmt.Errorf("%s: say %s", c.Name(), say)}
	}
	return c
}

// newHelp is "lapwing help COMMAND": cobra's own is content with a command
// that there is not.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]...", Short: "Tell what a command does",
		Long:    "Prints the help of a command, as --help does." + statusHelpUsage,
		Example: "  lapwing help events\n  lapwing help session replay",
		ValidArgsFunction: func(c *cobra.Command, args []string, begin string) ([]cobra.Completion, cobra.ShellCompDirective) {
			var out []cobra.Completion
			if at, _, err := c.Root().Find(args); err == nil {
				for _, u := range at.Commands() {
					if u.IsAvailableCommand() && strings.HasPrefix(u.Name(), begin) {
						out = append(out, u.Name()+"\t"+u.Short)
					}
				}
			}
			return out, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			at, rest, err := c.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usageError{fmt.Errorf("help: there is no command %.80q", strings.Join(args, " "))}
			}
			at.InitDefaultHelpFlag()
			return at.Help()
		},
	}
}

// addCompletion adds cobra's completion command, in our words.
func addCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	c, _, err := root.Find([]string{"completion"})
	if err != nil || c == root {
		return
	}
	c.Short = "Write the completion script of a shell"
	c.Long = "Writes a script with which the shell completes commands, flags, and the ids of alerts, sessions and captured files." + statusHelpUsage
	c.Example = "  . <(lapwing completion bash)                                       this shell\n" +
		"  lapwing completion bash > /etc/bash_completion.d/lapwing           every new one"
	into := map[string]string{
		"bash":       "  lapwing completion bash > /etc/bash_completion.d/lapwing     (needs the package bash-completion)",
		"fish":       "  lapwing completion fish > ~/.config/fish/completions/lapwing.fish",
		"powershell": "  lapwing completion powershell | Out-String | Invoke-Expression",
		"zsh":        "  lapwing completion zsh > \"${fpath[1]}/_lapwing\"",
	}
	under := c.Commands()
	for _, u := range under {
		u.Short = "Write the completion script of " + u.Name()
		u.Long = "Writes the script to the standard output." + statusHelpUsage
		u.Example = into[u.Name()]
	}
	group(c, under...)
}
