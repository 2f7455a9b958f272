// Package host is the fake host itself: built once from a persona, seen by
// each visitor through his own copy-on-write view, kept for him for a while.
package host

// Host: to implement.
//
//	type Config struct {
//		Name     string                      // the host's name in the config
//		Persona  *persona.Persona
//		Programs map[string]kernel.Program   // shared, read-only
//		Clock    clock.Clock
//		Seed     uint64                      // for kernel.Rand
//		Net      kernel.Net
//		Keep     time.Duration               // how long a visitor's changes stay (24 h)
//		Visitors int                         // views kept at most (1,000); the longest unused goes first
//		Memory   int64                       // bytes in all views (256 MiB)
//		FS       vfs.Options                 // per visitor
//		Limits   kernel.Limits               // per session
//		OnState  func(key string, snapshot []byte) // may be nil: a view was changed and its session ended
//	}
//	func New(Config) (*Host, error)          // builds the vfs.Base from the persona
//	func (h *Host) Name() string
//	func (h *Host) Persona() *persona.Persona
//	func (h *Host) Visit(source netip.Addr) *Visit       // O(1) for a new source; IPv6 by /64
//	func (h *Host) Restore(key string, snapshot []byte) error // from an earlier run
//	type Visit struct{ M *kernel.Machine; ... }; func (v *Visit) Close() // last Close starts the Keep clock
//	func (v *Visit) Open(ctx context.Context, in Login) (*kernel.Session, context.Context, context.CancelFunc, error)
//	   // Login{User string; From, To netip.AddrPort; Service, Term string; TTY *kernel.TTY; Recorder kernel.Recorder}
//	   // resolves the user in the view's /etc/passwd, takes a pts, writes utmp-like state for w/who/last, makes the budget, ctx ends with the budget
//	func (s) environment: kernel.LoginEnv(s *kernel.Session) map[string]string // HOME SHELL USER LOGNAME PATH PWD LANG SSH_CLIENT SSH_CONNECTION SSH_TTY TERM MAIL XDG_*
//	func (v *Visit) Password(user, password string) bool   // a password that this visitor set (chpasswd, passwd)
//	func (v *Visit) SetPassword(user, password string)     // kernel.Machine reaches it by a func field SetPassword
type Host struct{}
