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
	udp     = []string{"udp"}
	both    = []string{"tcp", "udp"}
	linux   = []string{"linux"}
	device  = []string{"device"}
	windows = []string{"windows"}
	servers = []string{"linux", "windows"}
)

var kinds = []kind{
	{Kind: Kind{"ssh", 22, tcp, linux, true, "the SSH decoy's own server on a fake host; an ordinary host logs as sshd does"}},
	{Kind: Kind{"telnet", 23, tcp, device, true, "the Telnet decoy's own server on a fake router or camera"}},
	{Kind: Kind{"http", 80, tcp, nil, true, "a web site: intranet, Exchange front end, administration of a device"}, stream: serveHTTP, check: checkSite, decoy: numbers{0, 3001}},
	{Kind: Kind{"ftp", 21, tcp, nil, true, "login, listing and reading of the host's planted files"}, stream: serveFTP, decoy: numbers{0, 2000}},
	{Kind: Kind{"smtp", 25, tcp, servers, false, "takes mail; nothing is forwarded"}, stream: serveSMTP},
	{Kind: Kind{"https", 443, tcp, nil, true, "the same site over TLS with a certificate of its own"}, stream: serveHTTPS, check: checkSite, decoy: numbers{0, 3001}},
	{Kind: Kind{"winrm", 5985, tcp, windows, true, "the door of Windows remote management: it asks for a password, and there is nothing behind"}, stream: serveHTTP},
	{Kind: Kind{"msrpc", 135, tcp, windows, false, "the endpoint mapper: it refuses every interface"}, stream: serveRPC},
	{Kind: Kind{"imap", 143, tcp, servers, true, "reads the host's mailboxes"}, stream: serveIMAP},
	{Kind: Kind{"pop3", 110, tcp, servers, true, "reads the host's mailboxes"}, stream: servePOP},
	{Kind: Kind{"dns", 53, both, nil, false, "answers names of the scenario"}, stream: serveDNS, packet: answerDNS},
	{Kind: Kind{"smb", 445, tcp, servers, true, "negotiation, session setup by NTLM and shares of SMB 2"}, stream: serveSMB, decoy: numbers{0, 5000}},
	{Kind: Kind{"ldap", 389, tcp, servers, true, "simple binds, searches for people and machines"}, stream: serveLDAP},
	{Kind: Kind{"mysql", 3306, tcp, servers, true, "greeting, login and a few questions"}, stream: serveMySQL, decoy: numbers{0, 8001}},
	{Kind: Kind{"postgres", 5432, tcp, servers, true, "start, login and a few questions"}, stream: servePostgres},
	{Kind: Kind{"mssql", 1433, tcp, servers, true, "prelogin, login and a few questions"}, stream: serveMSSQL, decoy: numbers{0, 9001}},
	{Kind: Kind{"rdp", 3389, tcp, servers, false, "negotiation of protocols"}, stream: serveRDP, decoy: numbers{14001, 0}},
	{Kind: Kind{"mqtt", 1883, tcp, nil, true, "connect, subscribe and publish; nothing is passed on"}, stream: serveMQTT},
	{Kind: Kind{"modbus", 502, tcp, nil, false, "reads of coils, registers and identity; writes are refused"}, stream: serveModbus},
	{Kind: Kind{"snmp", 161, udp, nil, true, "reads of the system group; the community is the password of user snmp"}, packet: answerSNMP, decoy: numbers{0, 13001}},
	{Kind: Kind{"sip", 5060, both, nil, true, "options and registrations; nothing is called"}, stream: serveSIP, packet: answerSIP, decoy: numbers{15001, 0}},
	{Kind: Kind{"socks", 1080, tcp, nil, false, "greets and refuses; nothing is relayed"}, stream: serveSOCKS},
	{Kind: Kind{"outside", 443, tcp, nil, false, "a server of the internet inside: a web site, over TLS too, that takes and gives bytes without meaning"}, stream: serveOutside, check: checkSite},
	{Kind: Kind{"banner", 9999, tcp, nil, false, "sends its banner and listens"}, stream: serveBanner},
}
