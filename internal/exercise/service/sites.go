package service

import (
	"bytes"
	"fmt"
	"html/template"
	"slices"
	"strings"
)

// site is what an http service shows.
type site struct {
	server, title, welcome string
	login, home            string   // where the form goes to, and who logged in
	guarded                []string // directories behind a password
	bytes                  bool     // /transfer takes and gives bytes without meaning
	pages                  []webPage
}

type webPage struct {
	path, title, text, typ string
	form                   bool
}

// render is the page as the host shows it.
func (p webPage) render(v *visit) []byte {
	if p.typ != "" {
		return []byte(strings.ReplaceAll(p.text, "{host}", v.c.Host.fqdn()))
	}
	s := sites[v.site()]
	var b strings.Builder
	b.WriteString("<p>" + template.HTMLEscapeString(strings.ReplaceAll(p.text, "{host}", v.c.Host.fqdn())) + "</p>")
	if p.form {
		b.WriteString(loginForm(s.login))
	}
	for _, o := range s.pages {
		if o.typ == "" && o.path != p.path && s.login == "" {
			fmt.Fprintf(&b, "<li><a href=%q>%s</a></li>", o.path, template.HTMLEscapeString(o.title))
		}
	}
	return page(p.title, b.String())
}

func page(title, body string) []byte {
	var b bytes.Buffer
	t := template.HTMLEscapeString(title)
	fmt.Fprintf(&b, "<!DOCTYPE html>\n<html><head><title>%s</title></head>\n<body><h1>%s</h1>\n%s\n</body></html>\n", t, t, body)
	return b.Bytes()
}

func loginForm(action string) string {
	return `<form method="post" action="` + template.HTMLEscapeString(action) + `"><input name="username"><input name="password" type="password"><button>Sign in</button></form>`
}

// exchangeDirs are the directories of an Exchange front end.
var exchangeDirs = []string{"/ecp", "/ews", "/oab", "/rpc", "/api", "/mapi", "/powershell", "/autodiscover", "/Microsoft-Server-ActiveSync", "/owa/calendar", "/owa/service.svc"}

// sites by name. What they show is inert: no page takes a parameter but the
// user name and password of a form.
var sites = map[string]site{
	"intranet": {server: "nginx", title: "Intranet", pages: []webPage{
		{path: "/", title: "Intranet", text: "Welcome to {host}."},
		{path: "/news", title: "News", text: "The canteen is closed on Friday. The new holiday form is online."},
		{path: "/phonebook", title: "Phone book", text: "Reception 100, Workshop 210, Accounts 320, IT 400."},
		{path: "/forms", title: "Forms", text: "Holiday, travel, expenses, broken equipment."},
		{path: "/it", title: "IT help", text: "Call 400, or write to helpdesk."},
		{path: "/robots.txt", typ: "text/plain", text: "User-agent: *\nDisallow: /\n"},
	}},
	"exchange": {server: "Microsoft-IIS/10.0", title: "Outlook", welcome: "Mailbox", login: "/owa/auth.owa", home: "/owa/", guarded: exchangeDirs, pages: []webPage{
		{path: "/", title: "Outlook", text: "Sign in to {host}.", form: true},
		{path: "/owa", title: "Outlook", text: "Sign in to {host}.", form: true},
		{path: "/owa/", title: "Outlook", text: "Sign in to {host}.", form: true},
		{path: "/owa/auth/logon.aspx", title: "Outlook", text: "Sign in to {host}.", form: true},
	}},
	"router": {server: "lighttpd/1.4.39", title: "Router", welcome: "Status: connected", login: "/login.cgi", home: "/status.htm", guarded: []string{"/cgi-bin", "/backup"}, pages: []webPage{
		{path: "/", title: "Router login", text: "Sign in to manage this device.", form: true},
		{path: "/login.htm", title: "Router login", text: "Sign in to manage this device.", form: true},
	}},
	"camera": {server: "App-webs/", title: "Network camera", welcome: "Channel 1", login: "/doc/page/login.asp", home: "/doc/page/preview.asp", guarded: []string{"/ISAPI", "/cgi-bin", "/snapshot.jpg"}, pages: []webPage{
		{path: "/", title: "Network camera", text: "Live view needs a user.", form: true},
		{path: "/doc/page/login.asp", title: "Network camera", text: "Live view needs a user.", form: true},
	}},
	"nas": {server: "http server 1.0", title: "Storage", welcome: "Shares: public, backup", login: "/cgi-bin/authLogin.cgi", home: "/cgi-bin/", guarded: []string{"/cgi-bin", "/share"}, pages: []webPage{
		{path: "/", title: "Storage", text: "Sign in to {host}.", form: true},
	}},
	"printer": {server: "Virata-EmWeb/R6_2_1", title: "Printer", welcome: "Ready", guarded: []string{"/hp/device/set", "/admin"}, pages: []webPage{
		{path: "/", title: "HP LaserJet", text: "{host}: ready. Toner 62 %, tray 2 is empty."},
		{path: "/hp/device/this.LCDispatcher", title: "HP LaserJet", text: "{host}: ready."},
	}},
	"plc": {server: "GoAhead-Webs", title: "Controller", welcome: "Run", guarded: []string{"/rokform", "/admin"}, pages: []webPage{
		{path: "/", title: "Controller", text: "{host}: mode RUN, no faults. Values are read by the control system."},
		{path: "/index.html", title: "Controller", text: "{host}: mode RUN, no faults."},
	}},
	"portal": {server: "Apache-Coyote/1.1", title: "ArcGIS Portal", welcome: "Services", login: "/arcgis/sharing/signin", home: "/arcgis/home/", guarded: []string{"/arcgis/admin", "/arcgis/manager"}, pages: []webPage{
		{path: "/", title: "Portal", text: "Maps and layers of {host}."},
		{path: "/arcgis/home/", title: "Portal", text: "Maps and layers of {host}.", form: true},
		{path: "/arcgis/rest/services", title: "Folder: /", text: "Current version: 10.9.1. Services: Basemap (MapServer), Parcels (FeatureServer)."},
		{path: "/arcgis/rest/info", typ: "application/json", text: `{"currentVersion":10.91,"owningSystemUrl":"https://{host}/portal"}`},
	}},
	"winrm":   {server: "Microsoft-HTTPAPI/2.0", title: "WinRM", welcome: "wsman", guarded: []string{"/wsman"}},
	"empty":   {server: "nginx", title: "Welcome to nginx!", pages: []webPage{{path: "/", title: "Welcome to nginx!", text: "If you see this page, the web server is successfully installed."}}},
	"outside": {server: "nginx", title: "Welcome to nginx!", bytes: true, pages: []webPage{{path: "/", title: "Welcome to nginx!", text: "If you see this page, the web server is successfully installed."}}},
}

// Sites are the names of sites that an http service may show, sorted.
func Sites() []string {
	out := make([]string, 0, len(sites))
	for n := range sites {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

func checkSite(c Config) error {
	if _, ok := sites[c.Site]; c.Site != "" && !ok {
		return fmt.Errorf("no site %q: use one of %s", c.Site, strings.Join(Sites(), ", "))
	}
	return nil
}

// site is the name of what is shown, by the persona where nothing is said.
func (v *visit) site() string {
	p := v.c.Host.persona
	switch {
	case v.c.Site != "":
		return v.c.Site
	case v.kind.Name == "winrm":
		return "winrm"
	case slices.Contains([]string{"camera", "nas", "printer", "plc"}, p.Product):
		return p.Product
	case p.Family == "device":
		return "router"
	case p.Family == "windows":
		return "exchange"
	}
	return "intranet"
}
