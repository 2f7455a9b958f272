package relations

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// Company makes the tables of a small firm's application: customers, orders,
// users, settings. The same seed gives the same rows; nobody in them exists.
func Company(seed uint64, domain string, now time.Time) []*Table {
	r := rand.New(rand.NewPCG(seed, 5432))
	given := []string{"Anna", "Marco", "Julia", "Peter", "Sofie", "Lukas", "Clara", "Tom", "Ines", "Jan", "Mara", "Felix", "Nora", "Paul", "Lea", "Max"}
	family := []string{"Berger", "Lindt", "Novak", "Rossi", "Keller", "Maurer", "Vogel", "Dupont", "Hansen", "Kowalski", "Brandt", "Fischer", "Moser", "Lang"}
	towns := []string{"Altdorf", "Neustadt", "Bergheim", "Seefeld", "Waldkirch", "Oberau", "Steinach", "Lindau"}
	if domain == "" {
		domain = "example.net"
	}
	customers := &Table{Name: "customers", Columns: []Column{{"id", "integer"}, {"name", "text"}, {"email", "text"}, {"city", "text"}, {"created_at", "timestamp"}}}
	n := 60 + r.IntN(80)
	for i := range n {
		g, f := given[r.IntN(len(given))], family[r.IntN(len(family))]
		mail := strings.ToLower(g+"."+f) + strconv.Itoa(r.IntN(90)+10) + "@example." + []string{"com", "net", "org"}[r.IntN(3)]
		customers.Rows = append(customers.Rows, []Value{Int(int64(i + 1)), Text(g + " " + f), Text(mail), Text(towns[r.IntN(len(towns))]), Text(at(r, now, 900))})
	}
	orders := &Table{Name: "orders", Columns: []Column{{"id", "integer"}, {"customer_id", "integer"}, {"total", "numeric"}, {"status", "text"}, {"created_at", "timestamp"}}}
	for i := range 200 + r.IntN(200) {
		total := Value{S: fmt.Sprintf("%d.%02d", 8+r.IntN(900), r.IntN(100)), Numeric: true}
		orders.Rows = append(orders.Rows, []Value{Int(int64(10_000 + i)), Int(int64(1 + r.IntN(n))), total, Text([]string{"paid", "paid", "shipped", "open", "cancelled"}[r.IntN(5)]), Text(at(r, now, 400))})
	}
	users := &Table{Name: "users", Columns: []Column{{"id", "integer"}, {"username", "text"}, {"password", "text"}, {"email", "text"}, {"role", "text"}, {"last_login", "timestamp"}}}
	for i, name := range []string{"admin", "berger", "lindt", "moser", "api"} {
		var b [16]byte
		for k := range b {
			b[k] = byte(r.Uint32())
		}
		sum := sha256.Sum256(b[:]) // of nothing that anybody chose
		role := []string{"admin", "staff", "staff", "accounting", "service"}[i]
		users.Rows = append(users.Rows, []Value{Int(int64(i + 1)), Text(name), Text("sha256$" + hex.EncodeToString(b[:4]) + "$" + hex.EncodeToString(sum[:])), Text(name + "@" + domain), Text(role), Text(at(r, now, 20))})
	}
	settings := &Table{Name: "settings", Columns: []Column{{"name", "text"}, {"value", "text"}}, Rows: [][]Value{
		{Text("company"), Text(domain)}, {Text("currency"), Text("EUR")}, {Text("smtp_host"), Text("mail." + domain)}, {Text("backup_path"), Text("/srv/backup/db")}, {Text("version"), Text("3." + strconv.Itoa(r.IntN(9)) + "." + strconv.Itoa(r.IntN(20)))},
	}}
	return []*Table{customers, orders, users, settings}
}

// at is a time within the last days, as both dialects write one.
func at(r *rand.Rand, now time.Time, days int) string {
	return now.Add(-time.Duration(r.IntN(days*86400)) * time.Second).UTC().Format("2006-01-02 15:04:05")
}
