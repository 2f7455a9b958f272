package scenario

import (
	"slices"
	"strings"
)

// wordlist is one that is built in.
type wordlist struct {
	name, kind string // kind: passwords, users, paths, communities
	words      []string
}

// Wordlist gives the words of a list, nil where there is none. Words of
// builtin:iot-defaults are USER:PASSWORD; of the other lists of passwords they
// are passwords.
func Wordlist(name string) []string {
	for _, w := range wordlists {
		if w.name == name {
			return slices.Clone(w.words)
		}
	}
	return nil
}

func wordlistNames(kind string) []string {
	var out []string
	for _, w := range wordlists {
		if w.kind == kind {
			out = append(out, w.name)
		}
	}
	return out
}

// wordlists are all there are. They hold what everybody knows and decoys
// expect; a list from outside cannot be named.
var wordlists = []wordlist{
	{"builtin:decoy-20", "passwords", strings.Fields("123456 password admin root 12345678 qwerty 1234 111111 letmein changeme toor raspberry default guest test support user server welcome abc123")},
	{"builtin:decoy-5", "passwords", strings.Fields("123456 password admin root changeme")},
	{"builtin:spray-3", "passwords", strings.Fields("Winter2026! Welcome1 Password1")},
	{"builtin:spray-1", "passwords", strings.Fields("Welcome2026!")},
	{"builtin:iot-defaults", "passwords", strings.Fields("admin:admin root:root root:xc3511 root:vizxv admin:password root:admin admin:1234 root:888888 support:support user:user root:12345 admin:12345 root:default guest:guest admin:admin1234")},
	{"builtin:staff-12", "users", strings.Fields("a.lang b.kaya c.weiss d.novak e.horn f.braun g.peters h.sommer i.vogel j.roth k.brandt l.maier")},
	{"builtin:service-6", "users", strings.Fields("admin backup postgres oracle git deploy")},
	{"builtin:communities-5", "communities", strings.Fields("public private community manager cisco")},
	{"builtin:paths-60", "paths", strings.Fields(`/admin /administrator /backup /backup.zip /bak /cgi-bin/test /config /config.bak /console /db /db.sql /debug /dev
		/.env /.git/HEAD /.svn/entries /actuator /api/v1/users /app /assets/old /cgi-bin/status /dashboard /data /dump.sql /editor /export /files /home.bak
		/include /install /jenkins /jmx-console /log /login.action /logs /mail /manage /manager/html /me /old /owa/old /panel /phpinfo /phpmyadmin
		/portal/old /private /public/old /readme.txt /robots.bak /server-status /setup /shell /sql /status /struts /temp /test /tmp /upload /users
		/web.config /wp-admin /wp-login /www.zip`)},
	{"builtin:exchange-10", "paths", strings.Fields("/ecp/ /ews/exchange.asmx /oab/ /owa/ /rpc/ /api/ /mapi/ /powershell/ /autodiscover/autodiscover.xml /Microsoft-Server-ActiveSync")},
}
