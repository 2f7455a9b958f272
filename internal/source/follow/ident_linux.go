package follow

import (
	"os"

	"golang.org/x/sys/unix"
)

// identify tells which file an open one is.
func identify(f *os.File) (ident, error) { return statx(int(f.Fd()), "", unix.AT_EMPTY_PATH) }

// identifyName tells which file is called name.
func identifyName(name string) (ident, error) { return statx(unix.AT_FDCWD, name, 0) }

func statx(fd int, name string, flags int) (ident, error) {
	var st unix.Statx_t
	if err := unix.Statx(fd, name, flags, unix.STATX_INO|unix.STATX_BTIME, &st); err != nil {
		return ident{}, err
	}
	id := ident{dev: unix.Mkdev(st.Dev_major, st.Dev_minor), ino: st.Ino}
	if st.Mask&unix.STATX_BTIME != 0 {
		id.born = st.Btime.Sec*1e9 + int64(st.Btime.Nsec)
	}
	return id, nil
}

// remote names the file system of a directory where the kernel does not hear of
// all writes.
func remote(dir string) (string, bool) {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return "", false
	}
	switch uint32(st.Type) {
	case unix.NFS_SUPER_MAGIC:
		return "NFS", true
	case unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC:
		return "SMB", true
	case unix.FUSE_SUPER_MAGIC:
		return "FUSE", true
	case unix.V9FS_MAGIC:
		return "9P", true
	case unix.CEPH_SUPER_MAGIC:
		return "Ceph", true
	case unix.AFS_SUPER_MAGIC:
		return "AFS", true
	}
	return "", false
}
