package httpd

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// shape is what requests of one kind of attack look like.
type shape struct {
	name  string
	paths []string // prefixes of the path, lower case
	text  *regexp.Regexp
}

// shapes are looked for in path, query, headers and the beginning of the body,
// after percent-decoding, in lower case. CVE ids name what probes of that path
// are known to be after.
var shapes = []shape{
	{name: "path traversal", text: regexp.MustCompile(`\.\.[/\\]|\.\.%2f|%c0%ae|/etc/(?:passwd|shadow)|\bwin\.ini\b|/proc/self/`)},
	{name: "sql injection", text: regexp.MustCompile(`\bunion\s+(?:all\s+)?select\b|'\s*(?:or|and)\s*'?\d*'?\s*=|\bsleep\(\d|\bwaitfor\s+delay\b|\binformation_schema\b|\bxp_cmdshell\b|\bextractvalue\(|\bupdatexml\(|\bpg_sleep\(`)},
	{name: "template injection", text: regexp.MustCompile(`\{\{[^}]{0,40}\d\s*\*\s*\d|\$\{[^}]{0,40}\d\s*\*\s*\d|\{\{[^}]{0,80}(?:__class__|config|request)|<%=|#\{[^}]{0,40}\d\*\d`)},
	{name: "jndi lookup", text: regexp.MustCompile(`\$\{jndi:|\$\{(?:lower|upper|env|::-)[^}]{0,20}\}?[^}]{0,60}(?:ldap|rmi|dns)`)},
	{name: "command injection", text: regexp.MustCompile("[;|&`\\n]\\s*(?:cat|id|uname|whoami|wget|curl|nc|bash|sh|ping|sleep|rm|chmod|busybox|echo|powershell|tftp)\\b|\\$\\((?:id|cat|curl|wget|whoami|uname|sleep|nslookup)|\\(\\)\\s*\\{\\s*:?;\\s*\\}\\s*;")},
	{name: "deserialisation", text: regexp.MustCompile(`ro0ab[qx]|\xac\xed\x00\x05|aaeaaad/////|\bo:\d+:"[a-z_\\]+":\d+:\{|__viewstate=[^&]{200}|\bjava\.lang\.runtime\b|\bprocessbuilder\b|"@type"\s*:\s*"`)},
	{name: "cross-site scripting", text: regexp.MustCompile(`<script\b|\bonerror\s*=|javascript:`)},
	{name: "file inclusion", text: regexp.MustCompile(`php://(?:input|filter)|data://text|expect://|allow_url_include|auto_prepend_file`)},
	{name: "web shell", text: regexp.MustCompile(`\beval\s*\(\s*(?:\$_|base64_decode|gzinflate)|\bassert\s*\(\s*\$_|passthru\s*\(|shell_exec\s*\(|<\?php|<jsp:|<%@\s*page`)},

	{name: "CVE-2017-9841 (PHPUnit)", text: regexp.MustCompile(`/phpunit/.{0,40}eval-stdin\.php`)},
	{name: "CVE-2018-13379 (FortiOS)", paths: []string{"/remote/fgt_lang"}},
	{name: "CVE-2019-19781 (Citrix ADC)", paths: []string{"/vpn/../vpns/", "/vpn/%2e%2e/vpns/"}},
	{name: "CVE-2019-11510 (Pulse Secure)", paths: []string{"/dana-na/../dana/"}},
	{name: "CVE-2020-5902 (F5 BIG-IP)", paths: []string{"/tmui/login.jsp/..;/"}},
	{name: "CVE-2021-26855 (Exchange)", paths: []string{"/ecp/y.js", "/ecp/default.flt"}},
	{name: "CVE-2021-34473 (Exchange)", paths: []string{"/autodiscover/autodiscover.json"}},
	{name: "CVE-2021-41773 (Apache)", text: regexp.MustCompile(`/cgi-bin/(?:\.|%2e|%%32%65){2}`)},
	{name: "CVE-2022-1388 (F5 BIG-IP)", paths: []string{"/mgmt/tm/util/bash"}},
	{name: "CVE-2022-26134 (Confluence)", text: regexp.MustCompile(`/(?:\$|%24)(?:\{|%7b).{0,80}(?:ognl|@java|nashorn)`)},
	{name: "CVE-2023-22515 (Confluence)", paths: []string{"/setup/setupadministrator.action"}},
	{name: "CVE-2023-46805 (Ivanti)", paths: []string{"/api/v1/totp/user-backup-code/../"}},
	{name: "CVE-2024-3400 (PAN-OS)", paths: []string{"/ssl-vpn/hipreport.esp"}},
	{name: "CVE-2024-4577 (PHP CGI)", text: regexp.MustCompile(`%ad.{0,80}(?:allow_url_include|auto_prepend_file)`)},
	{name: "router login or setup probe", paths: []string{"/hnap1", "/boaform/", "/goform/", "/cgi-bin/luci", "/gponform/", "/setup.cgi", "/currentsetting.htm", "/tmunblock.cgi", "/shell?", "/ctrlt/"}},
	{name: "secrets probe", text: regexp.MustCompile(`^[a-z]+ [^?]*/(?:\.env|\.git/(?:config|head)|\.aws/credentials|\.ssh/id_|wp-config\.php(?:\.|~)|\.svn/|\.ds_store|id_rsa|credentials\.json|actuator/(?:env|heapdump))`)},
	{name: "admin page probe", text: regexp.MustCompile(`^[a-z]+ [^?]*/(?:phpmyadmin|pma|wp-login\.php|xmlrpc\.php|manager/html|solr/admin|jenkins|owa/auth|console/login|vendor/phpunit)`)},
}

// maxLooked is how much of a body is looked at, in bytes.
const maxLooked = 16 << 10

// looked is what shapes are looked for in.
func (r *request) looked() (plain, decoded string) {
	var b strings.Builder
	b.WriteString(r.method + " " + r.target + "\n")
	for _, h := range r.headers {
		if !strings.EqualFold(h.name, "Authorization") {
			b.WriteString(h.name + ": " + h.value + "\n")
		}
	}
	b.Write(r.body[:min(len(r.body), maxLooked)])
	plain = strings.ToLower(b.String())
	decoded = plain
	for range 2 { // doubly encoded is common
		next, err := url.PathUnescape(decoded)
		if err != nil {
			next = unescapeSome(decoded)
		}
		if next == decoded {
			break
		}
		decoded = strings.ToLower(next)
	}
	return plain, decoded
}

// unescapeSome decodes the percent signs that can be decoded.
func unescapeSome(s string) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if hi, lo := nibble(s[i+1]), nibble(s[i+2]); hi >= 0 && lo >= 0 {
				out = append(out, byte(hi<<4|lo))
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}

func nibble(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// attacks names what a request looks like, in the order of shapes.
func (r *request) attacks() []string {
	plain, decoded := r.looked()
	path := strings.ToLower(r.path())
	var out []string
	for _, s := range shapes {
		hit := slices.ContainsFunc(s.paths, func(p string) bool {
			return strings.HasPrefix(path, p) || strings.HasPrefix(strings.ToLower(r.target), p)
		})
		if !hit && s.text != nil {
			hit = s.text.MatchString(decoded) || plain != decoded && s.text.MatchString(plain)
		}
		if hit {
			out = append(out, s.name)
		}
	}
	return out
}
