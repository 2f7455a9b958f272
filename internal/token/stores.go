package token

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// login draws who is to log in to a store: nobody of that name exists.
func (k *maker) login() (user, password string) {
	user = k.user("backup", "svc_backup", "app", "report", "etl", "sync", "readonly", "bi", "crm", "migrate", "svc_report", "nightly")
	return user, k.m.word62(k.t.ID)
}

// database is the name of one that does not exist.
func (k *maker) database() string {
	return k.name("database", func() string {
		return k.pick("crm", "billing", "wiki", "shop", "erp", "stock", "hr", "portal", "ticket", "archive") + k.pick("_", "") + k.suffix()
	})
}

// pgpass is a line of the file that libpq takes passwords from: it counts for
// this one server, database and user.
func (k *maker) pgpass() ([]File, error) {
	user, password := k.login()
	quote := strings.NewReplacer(`\`, `\\`, ":", `\:`).Replace
	line := quote(k.host) + ":" + k.port + ":" + k.database() + ":" + user + ":" + password + "\n"
	return []File{{Path: ".pgpass", Content: []byte(line), Mode: 0o600, Time: k.changed(), Append: true, Guard: []string{k.host}}}, nil
}

// mycnf is an option file under a name that no client reads by itself: ~/.my.cnf
// would change what its owner's clients do.
func (k *maker) mycnf() ([]File, error) {
	user, password := k.login()
	var b strings.Builder
	fmt.Fprintf(&b, "[client]\nhost=%s\nport=%s\nuser=%s\npassword=%s\n", k.host, k.port, user, password)
	if k.rand.IntN(2) == 0 {
		fmt.Fprintf(&b, "\n[mysql]\ndatabase=%s\n", k.database())
	} else {
		fmt.Fprintf(&b, "\n[mysqldump]\n%s\n", k.pick("single-transaction", "quick", "single-transaction\nquick"))
	}
	names := k.shuffled(".my.cnf.bak", ".my-backup.cnf", ".my.cnf.old", ".mylogin-"+k.short()+".cnf")
	return []File{{Path: names[0], Content: []byte(b.String()), Mode: 0o600, Time: k.changed(), Else: names[1:]}}, nil
}

// ldap is a configuration of nslcd with a name and password to bind with.
func (k *maker) ldap() ([]File, error) {
	user := k.user("svc_ldap", "ldap-read", "svc_bind", "nslcd", "ldapsync", "svc_auth")
	base := "dc=" + strings.Join(strings.Split(k.mailDomain(), "."), ",dc=")
	text := fmt.Sprintf("uid nslcd\ngid nslcd\nuri ldap://%s/\nbase %s\nbinddn cn=%s,%s,%[2]s\nbindpw %[5]s\n", strings.TrimSuffix(k.t.Door.Address, ":389"), base, user,
		k.pick("ou=services", "ou=system", "ou=people"), k.m.word62(k.t.ID))
	names := k.shuffled("nslcd.conf.bak", "nslcd.conf.old", "ldap/nslcd.conf")
	return []File{{Path: names[0], Content: []byte(text), Mode: 0o600, Time: k.changed(), Else: names[1:]}}, nil
}

// env is the file of settings of an application, set aside.
func (k *maker) env() ([]File, error) {
	user, password := k.login()
	var lines []string
	for _, d := range append([]Door{k.t.Door}, k.t.More...) {
		u := url.URL{Host: d.Address, User: url.UserPassword(user, password)}
		switch d.Type {
		case "postgres":
			u.Scheme, u.Path = "postgres", "/"+k.database()
			lines = append(lines, "DATABASE_URL="+u.String())
		case "mysql":
			u.Scheme, u.Path = "mysql", "/"+k.database()
			name := "DATABASE_URL="
			if len(lines) > 0 {
				name = "MYSQL_URL="
			}
			lines = append(lines, name+u.String())
		case "redis":
			u.Scheme, u.Path = "redis", fmt.Sprintf("/%d", k.rand.IntN(4))
			lines = append(lines, "REDIS_URL="+u.String())
		case "mongo":
			u.Scheme, u.Path, u.RawQuery = "mongodb", "/"+k.database(), "authSource=admin"
			lines = append(lines, "MONGO_URL="+u.String())
		}
	}
	if len(lines) == 0 {
		return nil, errors.New("it leads to no store")
	}
	head := k.pick("APP_ENV=production\nAPP_DEBUG=false\n", "NODE_ENV=production\nPORT=3000\n", "DEBUG=0\nALLOWED_HOSTS=*\n", "RAILS_ENV=production\nRAILS_LOG_TO_STDOUT=1\n", "")
	tail := k.pick("MAIL_FROM=noreply@"+k.domain()+"\n", "TZ=Europe/Berlin\n", "LOG_LEVEL=warn\n", "WORKERS=4\n", "")
	names := k.shuffled(".env.bak", ".env.old", ".env.production", ".env.prod", "env.txt")
	return []File{{Path: names[0], Content: []byte(head + strings.Join(lines, "\n") + "\n" + tail), Mode: 0o600, Time: k.changed(), Else: names[1:]}}, nil
}

// domain is that of the machine, else one that belongs to nobody.
func (k *maker) domain() string {
	if _, d, ok := strings.Cut(k.t.Host, "."); ok && d != "" && net.ParseIP(k.t.Host) == nil {
		return d
	}
	return "example.com"
}

// shuffled gives the words in an order of the token's own.
func (k *maker) shuffled(words ...string) []string {
	k.rand.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
	return words
}

// people are names for rows and mail addresses.
func (k *maker) person() (first, last string) {
	return k.pick("Anna", "Marie", "Lukas", "Jonas", "Laura", "Peter", "Eva", "Martin", "Julia", "Thomas", "Nina", "Simon", "Clara", "Felix", "Ida", "Paul"),
		k.pick("Berger", "Keller", "Novak", "Lange", "Weiss", "Moreau", "Lindgren", "Costa", "Jansen", "Huber", "Fischer", "Brandt", "Olsen", "Ricci", "Vogel", "Krause")
}

// mailbox is an address that was given to nobody.
func (k *maker) mailbox() string {
	return k.name("mail", func() string {
		first, last := k.person()
		return strings.ToLower(first+k.pick(".", "_", "")+last) + "." + k.suffix() + "@" + k.mailDomain()
	})
}

// mailDomain is the domain whose mail the operator sees.
func (k *maker) mailDomain() string {
	if k.t.Zone != "" {
		return k.t.Zone
	}
	return k.domain()
}

// dump is a part of a dump of a database: rows of people, one of whom exists
// nowhere else, and a table of settings with a login.
func (k *maker) dump() ([]File, error) {
	user, password := k.login()
	mail := k.mailbox()
	name := k.database()
	at := k.changed()
	var b strings.Builder
	fmt.Fprintf(&b, "-- MariaDB dump 10.19  Distrib 10.11.%d-MariaDB, for debian-linux-gnu (x86_64)\n--\n-- Host: %s    Database: %s\n", 3+k.rand.IntN(8), k.host, name)
	b.WriteString("-- ------------------------------------------------------\n\n/*!40101 SET NAMES utf8mb4 */;\n\n")
	b.WriteString("DROP TABLE IF EXISTS `customers`;\nCREATE TABLE `customers` (\n  `id` int(11) NOT NULL AUTO_INCREMENT,\n  `name` varchar(120) NOT NULL,\n  `email` varchar(190) NOT NULL,\n  `phone` varchar(40) DEFAULT NULL,\n  PRIMARY KEY (`id`)\n) ENGINE=InnoDB;\n\nINSERT INTO `customers` VALUES\n")
	n := 20 + k.rand.IntN(30)
	own := k.rand.IntN(n)
	for i := range n {
		first, last := k.person()
		address := strings.ToLower(first+"."+last) + fmt.Sprintf("%d@example.com", k.rand.IntN(90))
		if i == own {
			address = mail
		}
		end := ","
		if i == n-1 {
			end = ";"
		}
		fmt.Fprintf(&b, "(%d,'%s %s','%s','+49 30 5550%04d')%s\n", 1000+i, first, last, address, k.rand.IntN(10_000), end)
	}
	fmt.Fprintf(&b, "\nDROP TABLE IF EXISTS `settings`;\nCREATE TABLE `settings` (\n  `name` varchar(64) NOT NULL,\n  `value` text,\n  PRIMARY KEY (`name`)\n) ENGINE=InnoDB;\n\nINSERT INTO `settings` VALUES\n('db_host','%s:%s'),\n('db_user','%s'),\n('db_password','%s');\n", k.host, k.port, user, password)
	fmt.Fprintf(&b, "\n-- Dump completed on %s\n", at.Format("2006-01-02 15:04:05"))
	names := k.shuffled(name+".sql", "backup-"+at.Format("2006-01-02")+".sql", k.short()+"-db.sql")
	return []File{{Path: names[0], Content: []byte(b.String()), Mode: 0o640, Time: at, Else: names[1:]}}, nil
}

// rows are people for a table of the operator's own: one address is unique.
func (k *maker) rows() ([]File, error) {
	mail := k.mailbox()
	first, last := k.person()
	at := k.changed()
	row := fmt.Sprintf("%d,%s %s,%s,+49 30 5550%04d,%s\n", 1000+k.rand.IntN(9000), first, last, mail, k.rand.IntN(10_000), at.Format("2006-01-02"))
	k.value("mail", mail)
	return []File{{Path: k.pick("contacts", "customers", "members", "export") + ".csv", Content: []byte("id,name,email,phone,since\n" + row), Mode: 0o640, Time: at}}, nil
}

// mail is an address alone.
func (k *maker) mail() ([]File, error) {
	k.value("mail", k.mailbox())
	return nil, nil
}

// account is one of the directory service that nobody logs on with: its use is
// told by the logs of the real one.
func (k *maker) account() ([]File, error) {
	user := k.user("svc_sql", "svc_backup", "svc_scan", "adm_backup", "svc_print", "svc_sccm", "svc_exchange", "sqlagent")
	password := k.m.word62(k.t.ID)
	base := "DC=" + strings.Join(strings.Split(k.mailDomain(), "."), ",DC=")
	ldif := fmt.Sprintf("dn: CN=%[1]s,OU=Service Accounts,%[2]s\nobjectClass: user\nsAMAccountName: %[1]s\nuserPrincipalName: %[1]s@%[3]s\ndescription: %[4]s\nservicePrincipalName: %[5]s/%[6]s\n",
		user, base, k.mailDomain(), k.pick("Nightly backup", "SQL agent", "Print queue", "Inventory scan", "Mail relay"), k.pick("MSSQLSvc", "HTTP", "CIFS"), k.short())
	k.value("user", user)
	k.value("password", password)
	return []File{{Path: "account.ldif", Content: []byte(ldif), Mode: 0o600, Time: k.t.Created}}, nil
}
