package busybox

import (
	"bytes"
	"io"
	"regexp"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

// rewording is a line of a bigger sister's stderr and what BusyBox says there.
type rewording struct {
	applets string // " a b " or "" for all
	from    *regexp.Regexp
	to      string // "" = nothing
}

// rewordings are tried in order; the first that matches counts.
var rewordings = []rewording{
	{"", regexp.MustCompile(`^Try '.*--help'.*$|^Try .*for more information\.$`), ""},
	{" dd ", regexp.MustCompile(`^\d+ bytes .*copied.*$`), ""},
	{" cat ", regexp.MustCompile(`^cat: (?:can't open ')?.*?'?: Is a directory$`), "cat: read error: Is a directory"},
	{" cat md5sum sha1sum sha256sum sha512sum tail uniq dd tar ", regexp.MustCompile(`^(\w+): (?:can't open |failed to open |cannot open )?'?([^':]+)'?(?: for reading)?: (No such file or directory|Permission denied|Not a directory)$`), "$1: can't open '$2': $3"},
	{" md5sum sha256sum ", regexp.MustCompile(`^(\w+): ([^':]+): Is a directory$`), "$1: can't read '$2': Is a directory"},
	{" rm ", regexp.MustCompile(`^rm: cannot remove '(.*)': Is a directory$`), "rm: '$1' is a directory"},
	{" rm ", regexp.MustCompile(`^rm: cannot remove '(.*)': (.*)$`), "rm: can't remove '$1': $2"},
	{" rmdir ", regexp.MustCompile(`^rmdir: failed to remove '(.*)': (.*)$`), "rmdir: '$1': $2"},
	{" mkdir ", regexp.MustCompile(`^mkdir: cannot create directory [‘'](.*)[’']: (.*)$`), "mkdir: can't create directory '$1': $2"},
	{" cp ", regexp.MustCompile(`^cp: cannot stat '(.*)': (.*)$`), "cp: can't stat '$1': $2"},
	{" cp ", regexp.MustCompile(`^cp: -r not specified; omitting directory '(.*)'$`), "cp: omitting directory '$1'"},
	{" cp ", regexp.MustCompile(`^cp: (?:cannot create regular file|cannot create directory|target) '(.*)': (.*)$`), "cp: can't create '$1': $2"},
	{" mv ", regexp.MustCompile(`^mv: cannot (?:stat|move) '(.*?)'(?: to '.*')?: (.*)$`), "mv: can't rename '$1': $2"},
	{" chmod chown chgrp touch ", regexp.MustCompile(`^(\w+): (?:cannot access|cannot touch|changing permissions of|changing ownership of) '(.*)': (.*)$`), "$1: $2: $3"},
	{" chmod ", regexp.MustCompile(`^chmod: invalid mode: ?[‘'](.*)[’']$`), "chmod: invalid mode '$1'"},
	{" chown ", regexp.MustCompile(`^chown: invalid user: [‘'](.*)[’']$`), "chown: unknown user $1"},
	{" ln ", regexp.MustCompile(`^ln: failed to (?:create symbolic link|create hard link|access) '([^']*)'(?: => '.*')?: (.*)$`), "ln: $1: $2"},
	{" id ", regexp.MustCompile(`^id: [‘'](.*)[’']: no such user$`), "id: unknown user $1"},
	{" stat ", regexp.MustCompile(`^stat: cannot statx? '(.*)': (.*)$`), "stat: can't stat '$1': $2"},
	{" find du ", regexp.MustCompile(`^(\w+): (?:cannot access )?[‘'](.*)[’']: (.*)$`), "$1: $2: $3"},
	{" head tail wc sort ", regexp.MustCompile(`^(\w+): (?:cannot open|cannot read:?) '?([^']+)'?(?: for reading)?: (.*)$`), "$1: $2: $3"},
	{" sed ", regexp.MustCompile(`^sed: can't read (.*): (.*)$`), "sed: $1: $2"},
	{" head tail ", regexp.MustCompile(`^(\w+): invalid number of (?:lines|bytes): [‘'](.*)[’']$`), "$1: invalid number '$2'"},
	{" sleep ", regexp.MustCompile(`^sleep: invalid time interval [‘'](.*)[’']$`), "sleep: invalid number '$1'"},
	{" cut ", regexp.MustCompile(`^cut: you must specify a list.*$`), "cut: expected a list of bytes, characters, or fields"},
	{" date ", regexp.MustCompile(`^date: invalid date [‘'](.*)[’']$`), "date: invalid date '$1'"},
	{" env timeout xargs nice ", regexp.MustCompile(`^(\w+): (?:failed to run command )?[‘'](.*)[’']: (.*)$`), "$1: can't execute '$2': $3"},
	{" gunzip gzip zcat ", regexp.MustCompile(`^\w+: (.*): unknown suffix.*$`), "gunzip: $1: unknown suffix - ignored"},
	{" awk ", regexp.MustCompile(`^m?awk: .*(?:syntax error|unexpected).*$`), "awk: cmd. line:1: Unexpected token"},
}

// rewriter passes lines on in BusyBox's words.
type rewriter struct {
	applet string
	w      io.Writer
	part   []byte
}

const maxLine = 16 << 10

func (r *rewriter) Read([]byte) (int, error) { return 0, io.EOF }

// Write keeps an unfinished line until the rest of it comes.
func (r *rewriter) Write(b []byte) (int, error) {
	r.part = append(r.part, b...)
	for {
		i := bytes.IndexByte(r.part, '\n')
		if i < 0 && len(r.part) > maxLine {
			i = len(r.part) - 1
		}
		if i < 0 {
			return len(b), nil
		}
		line := string(r.part[:i+1])
		r.part = r.part[i+1:]
		if _, err := io.WriteString(r.w, r.say(line)); err != nil {
			return 0, err
		}
	}
}

func (r *rewriter) say(line string) string {
	text := strings.TrimSuffix(line, "\n")
	for _, w := range rewordings {
		if w.applets != "" && !strings.Contains(w.applets, " "+r.applet+" ") || !w.from.MatchString(text) {
			continue
		}
		if w.to == "" {
			return ""
		}
		return w.from.ReplaceAllString(text, w.to) + "\n"
	}
	return line
}

// reword makes p's stderr speak as the applet would; done ends that.
func reword(p *kernel.Proc, name string) (done func()) {
	old := p.FDs[2]
	if old == nil || strings.Contains(" sh ash watch ", " "+name+" ") {
		return func() {}
	}
	r := &rewriter{applet: name, w: old}
	p.FDs[2] = kernel.NewFD(old.Path, r, nil)
	return func() {
		if len(r.part) > 0 {
			io.WriteString(old, r.say(string(r.part))) //nolint:errcheck // the visitor's own stderr
		}
		p.FDs[2] = old
	}
}
