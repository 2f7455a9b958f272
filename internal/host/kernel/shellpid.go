package kernel

// ShellPID is what $$ gives in the shell process p: the pid of the process
// itself, also in its subshells, which share Root.
func (m *Machine) ShellPID(p *Proc) int {
	if p.Root != 0 {
		return p.Root
	}
	return p.PID
}
