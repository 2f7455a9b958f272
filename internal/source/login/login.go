// Package login reads what programs say about access: sshd, PAM, sudo, su,
// login, mail servers, FTP servers, web servers and databases.
//
// Names are written into these messages as strangers gave them. Each parser
// therefore starts at the end of the text at which the program itself writes,
// and where strangers write on both sides of an address and more than one reading
// is possible, it names no address rather than a chosen one.
package login

import (
	"bytes"
	"net/netip"

	"github.com/lapwing-defence/lapwing/internal/nets"
)

// Action is what happened.
type Action uint8

// The actions. Each line is at most one.
const (
	None            Action = iota
	Logon                  // a credential was accepted
	LogonFailed            // a credential was refused
	LogonRejected          // refused whatever the credential: no such user, not allowed
	LogonAbandoned         // the visitor left, or was sent away, before he was in
	AuthFailed             // a module refused, of which the program itself tells more
	Logoff                 // who was in is gone
	SessionOpened          // of a module, for a program
	SessionClosed          // likewise
	PrivilegeUsed          // somebody acted as somebody else
	PrivilegeFailed        // he was refused that
	Locked                 // an account was locked
	Password               // a password was changed
	Denied                 // a request was refused: no credential given, or not allowed
	Gone                   // a connection ended that was nobody's
)

// words are an Action's event.action, event.category and event.outcome.
type words struct{ action, category, outcome string }

var actions = [...]words{
	None: {}, Logon: {"logon", "authentication", "success"}, LogonFailed: {"logon-failed", "authentication", "failure"},
	LogonRejected: {"logon-rejected", "authentication", "failure"}, LogonAbandoned: {"logon-abandoned", "authentication", "failure"},
	AuthFailed: {"authentication-failed", "authentication", "failure"}, Logoff: {"logoff", "session", "unknown"},
	SessionOpened: {"session-opened", "session", "success"}, SessionClosed: {"session-closed", "session", "success"},
	PrivilegeUsed: {"privilege-used", "iam", "success"}, PrivilegeFailed: {"privilege-failed", "iam", "failure"},
	Locked: {"account-locked", "iam", "success"}, Password: {"password-changed", "iam", "success"},
	Denied: {"request-denied", "web", "failure"}, Gone: {"disconnected", "network", "unknown"},
}

// String is the word for event.action.
func (a Action) String() string { return actions[a].action }

// Category is the word for event.category.
func (a Action) Category() string { return actions[a].category }

// Outcome is the word for event.outcome.
func (a Action) Outcome() string { return actions[a].outcome }

// Reasons why a login was refused, for event.reason.
const (
	NoSuchUser  = "no such user"
	NotAllowed  = "not allowed"
	Disabled    = "account disabled"
	TooMany     = "too many attempts"
	WrongSecond = "second factor refused"
)

// Message is what a line says. Its bytes are those of the line.
type Message struct {
	Service string // canonical name of the program: sshd, sudo, dovecot
	Action  Action
	User    []byte // who: as the visitor gave it
	Target  []byte // as whom, for sudo and su
	// Addr is where from, without a zone; IPv4 is not mapped. Invalid where the
	// line tells none, or more than one reading of it is possible.
	Addr    netip.Addr
	IP      []byte // Addr as it stands in the line
	Port    []byte
	Host    []byte // where from, in place of an address
	Method  []byte // password, publickey, PLAIN
	Reason  string
	Unknown bool // the program says that there is no such user
	// Count is how often it happened: loggers put repetitions together.
	Count int
}

// MaxCount is the most that one line may say it stands for.
const MaxCount = 100

// Parse reads the message of a program, as syslog names it. It is false for
// what says nothing about access.
func Parse(program, msg []byte, m *Message) bool {
	*m = Message{Count: 1}
	count := 1
	if len(msg) > 0 && msg[0] == 'm' {
		msg, count = repeated(msg)
	}
	ok := parse(program, msg, m)
	m.Count = min(m.Count*count, MaxCount)
	return ok && m.Action != None
}

// repeated undoes "message repeated 3 times: [ text]".
func repeated(msg []byte) (text []byte, n int) {
	rest, ok := bytes.CutPrefix(msg, []byte("message repeated "))
	if !ok {
		return msg, 1
	}
	num, rest := word(rest)
	if rest, ok = bytes.CutPrefix(rest, []byte("times: [ ")); !ok {
		return msg, 1
	}
	n = number(num)
	if n < 1 || len(rest) == 0 || rest[len(rest)-1] != ']' {
		return msg, 1
	}
	return rest[:len(rest)-1], n
}

func parse(program, msg []byte, m *Message) bool {
	if len(msg) > 8 && msg[0] == 'p' && bytes.HasPrefix(msg, []byte("pam_")) {
		return m.pam(msg)
	}
	if len(msg) > 8 && msg[0] == 'P' && bytes.HasPrefix(msg, []byte("PAM ")) {
		return m.pamMore(program, msg)
	}
	switch string(program) {
	case "sshd", "sshd-session", "sshd-auth":
		m.Service = "sshd"
		return m.sshd(msg)
	case "CRON", "cron", "crond", "kernel", "systemd":
		return false
	case "systemd-logind":
		m.Service = "systemd-logind"
		return m.logind(msg)
	case "sudo":
		m.Service = "sudo"
		return m.sudo(msg)
	case "su":
		m.Service = "su"
		return m.su(msg)
	case "login":
		m.Service = "login"
		return m.login(msg)
	case "dropbear":
		m.Service = "dropbear"
		return m.dropbear(msg)
	case "vsftpd":
		m.Service = "vsftpd"
		return m.vsftpd(msg)
	case "proftpd":
		m.Service = "proftpd"
		return m.proftpd(msg)
	case "exim", "exim4":
		m.Service = "exim"
		return m.exim(msg)
	case "mysqld", "mariadbd", "mariadb", "mysql":
		m.Service = "mysql"
		return m.mysql(msg)
	case "postgres", "postgresql":
		m.Service = "postgresql"
		return m.postgres(msg)
	case "nginx":
		m.Service = "nginx"
		return m.nginx(msg)
	case "apache2", "apache", "httpd":
		m.Service = "apache"
		return m.apache(msg)
	case "dovecot", "dovecot:", "imap-login", "pop3-login":
		m.Service = "dovecot"
		return m.dovecot(msg)
	}
	if bytes.HasPrefix(program, []byte("postfix")) && bytes.HasSuffix(program, []byte("smtpd")) {
		m.Service = "postfix"
		return m.postfix(msg)
	}
	return false
}

// from sets where it came from; an address in brackets or with a zone counts.
func (m *Message) from(b []byte) {
	m.Addr, m.IP, m.Host = netip.Addr{}, nil, nil
	if a, ok := nets.Parse(b); ok {
		m.Addr, m.IP = a, b
	} else if len(b) > 0 && string(b) != "UNKNOWN" && string(b) != "unknown" {
		m.Host = b
	}
}
