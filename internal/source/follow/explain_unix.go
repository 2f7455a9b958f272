//go:build unix

package follow

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// explain adds to an error what to do about it.
func explain(path string, err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	st, serr := os.Stat(path)
	if serr != nil {
		return fmt.Errorf("%w; let this user walk through %s", err, filepath.Dir(path))
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return err
	}
	group := strconv.FormatUint(uint64(sys.Gid), 10)
	if g, gerr := user.LookupGroupId(group); gerr == nil {
		group = g.Name
	}
	if st.Mode()&0o040 == 0 {
		return fmt.Errorf("%w; not even its group %q may read it (mode %04o): chmod g+r it, or start lapwing as root", err, group, st.Mode().Perm())
	}
	return fmt.Errorf("%w; its group %q may read it (mode %04o): add the user that lapwing runs as to that group (usermod -aG %s USER) and start it anew", err, group, st.Mode().Perm(), group)
}
