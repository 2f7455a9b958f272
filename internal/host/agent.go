package host

import (
	"fmt"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// ForwardAgent gives p the socket of an agent where sshd puts it. Nothing
// answers on it. undo removes it.
func ForwardAgent(p *kernel.Proc) (undo func()) {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	name := make([]byte, 10)
	for i := range name {
		name[i] = letters[p.M.Rand.IntN(len(letters))]
	}
	dir := "/tmp/ssh-" + string(name)
	socket := fmt.Sprintf("%s/agent.%d", dir, p.PPID)
	p.Env["SSH_AUTH_SOCK"] = socket
	fs, who := p.M.FS, p.Caller
	if fs.Mkdir(who, dir, 0o700) == nil {
		fs.Mknod(who, socket, vfs.Socket, 0o600, 0, 0) //nolint:errcheck // a full view has none
	}
	return func() {
		fs.Unlink(who, socket) //nolint:errcheck // he may have done it
		fs.Rmdir(who, dir)     //nolint:errcheck // as above
	}
}
