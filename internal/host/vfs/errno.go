package vfs

// Errno is an error of the fake system. Its text is what strerror gives.
type Errno uint8 //nolint:errname // the word of POSIX

// The errors.
const (
	EPERM Errno = iota + 1
	ENOENT
	EIO
	ENXIO
	ENOEXEC
	EBADF
	EAGAIN
	EACCES
	EBUSY
	EEXIST
	EXDEV
	ENODEV
	ENOTDIR
	EISDIR
	EINVAL
	EMFILE
	ENOTTY
	ETXTBSY
	EFBIG
	ENOSPC
	ESPIPE
	EROFS
	EMLINK
	EPIPE
	ENAMETOOLONG
	ENOTEMPTY
	ELOOP
	EOPNOTSUPP
	ESRCH
	ECHILD
)

var errnoText = [...]string{
	EPERM: "Operation not permitted", ENOENT: "No such file or directory", EIO: "Input/output error",
	ENXIO: "No such device or address", ENOEXEC: "Exec format error", EBADF: "Bad file descriptor",
	EAGAIN: "Resource temporarily unavailable", EACCES: "Permission denied", EBUSY: "Device or resource busy",
	EEXIST: "File exists", EXDEV: "Invalid cross-device link", ENODEV: "No such device",
	ENOTDIR: "Not a directory", EISDIR: "Is a directory", EINVAL: "Invalid argument", EMFILE: "Too many open files",
	ENOTTY: "Inappropriate ioctl for device", ETXTBSY: "Text file busy", EFBIG: "File too large",
	ENOSPC: "No space left on device", ESPIPE: "Illegal seek", EROFS: "Read-only file system",
	EMLINK: "Too many links", EPIPE: "Broken pipe", ENAMETOOLONG: "File name too long",
	ENOTEMPTY: "Directory not empty", ELOOP: "Too many levels of symbolic links",
	EOPNOTSUPP: "Operation not supported", ESRCH: "No such process", ECHILD: "No child processes",
}

// Error is the text of strerror(3).
func (e Errno) Error() string {
	if int(e) < len(errnoText) && errnoText[e] != "" {
		return errnoText[e]
	}
	return "Unknown error"
}
