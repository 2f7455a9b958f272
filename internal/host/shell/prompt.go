package shell

import (
	"strings"
)

// prompt is PS1 as the persona's start files set it.
func (s *sh) prompt() string {
	mark := "$ "
	if s.p.Caller.UID == 0 {
		mark = "# "
	}
	if s.dialect == Dash {
		return mark
	}
	ps1, set := s.lookup("PS1")
	dir, home := s.p.Dir, s.get("HOME")
	if home != "" && home != "/" && (dir == home || strings.HasPrefix(dir, home+"/")) {
		dir = "~" + dir[len(home):]
	}
	user, host := s.p.M.UserName(s.p.Caller.UID), s.p.M.Persona.Hostname
	if set {
		base := s.p.Dir[strings.LastIndexByte(s.p.Dir, '/')+1:]
		r := strings.NewReplacer(`\u`, user, `\h`, host, `\w`, dir, `\W`, base, `\$`, mark[:1], `\n`, "\n", `\[`, "", `\]`, "", `\e`, "\x1b", `\033`, "\x1b", `\a`, "\a")
		return r.Replace(ps1)
	}
	if s.dialect == Ash {
		return dir + " " + mark
	}
	title := ""
	if s.p.Caller.UID != 0 && strings.HasPrefix(s.get("TERM"), "xterm") {
		title = "\x1b]0;" + user + "@" + host + ": " + dir + "\a"
	}
	return title + user + "@" + host + ":" + dir + mark
}
