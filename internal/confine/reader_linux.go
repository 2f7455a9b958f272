package confine

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/landlock-lsm/go-landlock/landlock"
	"golang.org/x/sys/unix"
)

// ReaderUID is the uid and gid of the process that reads logs when its parent is
// root. It owns nothing; that it may read files of others is a capability
// (CAP_DAC_READ_SEARCH), and Landlock says which.
const ReaderUID = 61978

// PrepareReader is Prepare for the process that reads logs.
func PrepareReader(cmd *exec.Cmd, level int) {
	prepare(cmd, level, ReaderUID)
	if cmd.SysProcAttr.Credential != nil {
		cmd.SysProcAttr.AmbientCaps = []uintptr{unix.CAP_DAC_READ_SEARCH}
	}
}

// EnterReader is Enter for the process that reads logs: it may open what paths
// name, and hear of changes there. What is not there is left out.
func EnterReader(parentNetNS string, parentUID int, paths Paths) (Report, error) {
	var rules []landlock.Rule
	for _, p := range paths.Read {
		st, err := os.Stat(p)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err == nil && st.IsDir():
			rules = append(rules, landlock.RODirs(p).IgnoreIfMissing())
		default:
			rules = append(rules, landlock.ROFiles(p).IgnoreIfMissing())
		}
	}
	for _, p := range paths.Write {
		rules = append(rules, landlock.RWDirs(p))
	}
	return enter(parentNetNS, parentUID, allowed+readerCalls, rules...)
}

// Own gives a directory and its files to the process that reads logs.
func Own(dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	err = os.Chown(dir, ReaderUID, ReaderUID)
	for _, e := range list {
		err = errors.Join(err, os.Lchown(filepath.Join(dir, e.Name()), ReaderUID, ReaderUID))
	}
	return err
}

// readerCalls are for files: opening, listing, and keeping a position.
const readerCalls = `
openat newfstatat statx statfs fstatfs getdents64 readlinkat readlink faccessat faccessat2 fadvise64
inotify_init1 inotify_add_watch inotify_rm_watch
ftruncate fsync fdatasync renameat renameat2 unlinkat fchmod`
