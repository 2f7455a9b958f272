package service

// kind is a Kind with what it does.
type kind struct {
	Kind
	stream func(*visit) error          // one TCP connection
	packet func(*visit, []byte) []byte // one datagram; nil answers nothing
	check  func(Config) error          // of what the scenario says
	decoy  numbers
}

// numbers are OpenCanary's of a connection and a login; 0 = none.
type numbers struct{ opened, login int }

var (
	tcp     = []string{"tcp"}
	linux   = []string{"linux"}
	device  = []string{"device"}
	servers = []string{"linux", "windows"}
)

var kinds = []kind{
	{Kind: Kind{"ssh", 22, tcp, linux, true, "the SSH decoy's own server on a fake host; an ordinary host logs as sshd does"}},
	{Kind: Kind{"telnet", 23, tcp, device, true, "the Telnet decoy's own server on a fake router or camera"}},
	{Kind: Kind{"http", 80, tcp, nil, true, "a web site: intranet, Exchange front end, administration of a device"}, stream: serveHTTP, check: checkSite, decoy: numbers{0, 3001}},
	{Kind: Kind{"ftp", 21, tcp, nil, true, "login, listing and reading of the host's planted files"}, stream: serveFTP, decoy: numbers{0, 2000}},
	{Kind: Kind{"smtp", 25, tcp, servers, false, "takes mail; nothing is forwarded"}, stream: serveSMTP},
}
