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
	term := s.get("TERM")
	title, skel := "", s.p.Caller.UID != 0 || s.p.M.Persona.Family == "ubuntu" // Debian's root has no .bashrc that sets it
	if skel && (strings.HasPrefix(term, "xterm") || strings.HasPrefix(term, "rxvt")) {
		title = "\x1b]0;" + user + "@" + host + ": " + dir + "\a"
	}
	if s.p.Caller.UID != 0 && (term == "xterm-color" || strings.HasSuffix(term, "-256color")) {
		return title + "\x1b[01;32m" + user + "@" + host + "\x1b[00m:\x1b[01;34m" + dir + "\x1b[00m" + mark
	}
	return title + user + "@" + host + ":" + dir + mark
}

// startAliases are those of the start files that the distribution gives people.
func (s *sh) startAliases() {
	ubuntu := s.p.M.Persona.Family == "ubuntu"
	if s.dialect != Bash || s.p.Caller.UID == 0 && !ubuntu || s.aliases != nil {
		return
	}
	s.aliases = map[string]string{"ls": "ls --color=auto"}
	if ubuntu {
		for _, g := range []string{"grep", "egrep", "fgrep"} {
			s.aliases[g] = g + " --color=auto"
		}
		s.aliases["ll"], s.aliases["la"], s.aliases["l"] = "ls -alF", "ls -A", "ls -CF"
	}
}
