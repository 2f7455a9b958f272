package kernel

// TTY is a pseudo-terminal: a line discipline between the visitor's
// connection (the master side) and the programs (the slave side).
//
// To implement (kernel/tty*.go):
//
//	func NewTTY(path string, out io.Writer, rows, cols int) *TTY   // out: bytes to the visitor
//	func (t *TTY) Input(b []byte)                    // bytes from the visitor; bounded, never blocks for ever
//	func (t *TTY) HangUp()                           // the connection is gone: SIGHUP, reads give EOF
//	func (t *TTY) Resize(rows, cols int); Size() (rows, cols int); OnResize(fn)
//	func (t *TTY) FD() *FD                           // slave side; Read in canonical mode gives lines
//	func (t *TTY) SetRaw(bool) (old bool)            // readline, vi, top: no echo, no canonical, no output post-processing change
//	func (t *TTY) SetEcho(bool) (old bool)           // passwd, sudo
//	func (t *TTY) Foreground(fn func(signal int)) (restore func())  // who gets ^C ^\ ^Z
//	ICRNL, ONLCR, ECHO, ECHOE, ICANON (erase, kill, werase, eof), ISIG, ECHOCTL ("^C"), IXANY off.
type TTY struct{}
