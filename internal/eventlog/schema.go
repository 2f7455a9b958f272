package eventlog

import (
	"maps"
	"slices"
)

// kind is what a column holds. The store knows text alone.
type kind uint8

const (
	kindText kind = iota + 1
	kindInt
	kindFloat
	kindBool
	kindList
)

// The store's own columns and ours beside the event's.
const (
	columnTime  = "_time"
	columnMark  = "lapwing.mark"  // name of the stretch between two checkpoints
	columnOther = "lapwing.other" // fields that have no column, as one JSON object
)

// MaxColumns is the most columns that the table may grow to.
const MaxColumns = 400

// places are for the columns, for lapwing.mark and for none.
const places = MaxColumns + 2

// kinds are the fields that get a column of their own, by name. A field that
// is not here, or whose value is of another kind, is kept in columnOther:
// nobody outside can add columns.
var kinds = map[string]kind{
	"@timestamp": kindText, // only where the sensor's clock was not believed
	"event.id":   kindText, "event.ingested": kindText, "event.kind": kindText, "event.category": kindText,
	"event.type": kindText, "event.action": kindText, "event.outcome": kindText, "event.dataset": kindText,
	"event.reason": kindText, "event.duration": kindInt, "event.original": kindText, "event.code": kindText,
	"event.provider": kindText, "event.module": kindText, "event.severity": kindInt, "event.sequence": kindInt,
	"event.created": kindText, "event.start": kindText, "event.end": kindText, "event.risk_score": kindFloat,

	"source.ip": kindText, "source.port": kindInt, "source.bytes": kindInt, "source.packets": kindInt,
	"source.domain": kindText, "source.mac": kindText, "source.geo.country_iso_code": kindText, "source.geo.city_name": kindText,
	"source.as.number": kindInt, "source.as.organization.name": kindText, "source.user.name": kindText,
	"destination.ip": kindText, "destination.port": kindInt, "destination.bytes": kindInt, "destination.packets": kindInt,
	"destination.domain": kindText, "destination.mac": kindText, "destination.user.name": kindText,
	"network.transport": kindText, "network.protocol": kindText, "network.bytes": kindInt, "network.community_id": kindText,
	"network.direction": kindText, "network.type": kindText, "network.vlan.id": kindText,
	"client.ip": kindText, "client.port": kindInt, "server.ip": kindText, "server.port": kindInt,
	"observer.name": kindText, "observer.type": kindText, "observer.version": kindText, "observer.hostname": kindText,

	"user.name": kindText, "user.id": kindText, "user.domain": kindText, "user.target.name": kindText, "user.effective.name": kindText,
	"user.roles": kindList, "group.name": kindText, "user_agent.original": kindText,
	"process.command_line": kindText, "process.exit_code": kindInt, "process.name": kindText, "process.executable": kindText,
	"process.args": kindList, "process.pid": kindInt, "process.working_directory": kindText, "process.hash.sha256": kindText,
	"process.parent.name": kindText, "process.parent.executable": kindText, "process.parent.command_line": kindText,
	"process.parent.pid": kindInt, "process.entity_id": kindText, "process.parent.entity_id": kindText, "process.user.name": kindText,
	"file.path": kindText, "file.size": kindInt, "file.hash.sha256": kindText, "file.hash.md5": kindText, "file.hash.sha1": kindText,
	"file.name": kindText, "file.extension": kindText, "file.mode": kindText, "file.owner": kindText, "file.target_path": kindText,
	"file.mime_type": kindText, "file.directory": kindText,
	"registry.path": kindText, "registry.value": kindText, "registry.data.strings": kindList, "service.name": kindText,
	"url.original": kindText, "url.domain": kindText, "url.path": kindText, "url.query": kindText, "url.scheme": kindText,
	"http.request.method": kindText, "http.request.body.content": kindText, "http.request.body.bytes": kindInt, "http.request.referrer": kindText,
	"http.response.status_code": kindInt, "http.response.body.bytes": kindInt, "http.version": kindText,
	"dns.question.name": kindText, "dns.question.type": kindText, "dns.response_code": kindText, "dns.answers": kindList,
	"tls.version": kindText, "tls.cipher": kindText, "tls.client.ja3": kindText, "tls.client.ja4": kindText, "tls.client.server_name": kindText,
	"email.from.address": kindText, "email.to.address": kindList, "email.subject": kindText,
	"host.name": kindText, "host.hostname": kindText, "host.ip": kindList, "host.os.type": kindText,
	"log.file.path": kindText, "log.level": kindText, "log.syslog.appname": kindText, "log.syslog.procid": kindText,
	"log.syslog.facility.code": kindInt, "log.syslog.severity.code": kindInt, "log.offset": kindInt,
	"message": kindText, "tags": kindList, "error.message": kindText,
	"rule.id": kindText, "rule.name": kindText, "rule.category": kindText, "rule.level": kindText, "rule.description": kindText,
	"rule.author": kindText, "rule.reference": kindText, "rule.license": kindText, "threat.technique.id": kindList, "threat.tactic.id": kindList,
	"threat.indicator.type": kindText, "related.ip": kindList, "related.user": kindList, "related.hash": kindList,
	"winlog.channel": kindText, "winlog.event_id": kindText, "winlog.record_id": kindText, "winlog.provider_name": kindText,
	"winlog.computer_name": kindText, "winlog.logon.type": kindText,

	"logtype":      kindInt,
	"lapwing.host": kindText, "lapwing.decoy": kindText, "lapwing.persona": kindText, "lapwing.connection.id": kindText,
	"lapwing.session.id": kindText, "lapwing.session.kind": kindText, "lapwing.session.commands": kindInt, "lapwing.session.captures": kindInt,
	"lapwing.session.terminal": kindText, "lapwing.session.environment": kindText,
	"lapwing.depth": kindText, "lapwing.exercise.id": kindText, "lapwing.exercise.forged": kindText, "lapwing.token.id": kindText, "lapwing.capture.how": kindText, "lapwing.query.text": kindText, "lapwing.ldap.dn": kindText, "lapwing.database": kindText, "lapwing.mysql.plugin": kindText, "lapwing.mysql.capabilities": kindText, "lapwing.http.attack": kindText, "lapwing.http.headers": kindText, "lapwing.http.ja4h": kindText, "lapwing.http.line": kindText, "lapwing.tls.alpn": kindText, "lapwing.query.length": kindInt,
	"lapwing.token.kind": kindText, "lapwing.token.host": kindText, "lapwing.token.path": kindText, "lapwing.token.owner": kindText,
	"lapwing.token.by": kindText, "lapwing.token.state": kindText, "lapwing.token.late": kindBool, "lapwing.token.since": kindText,
	"lapwing.token.test": kindBool, "lapwing.token.tester": kindText, "lapwing.spoofable": kindBool,
	"lapwing.login.method": kindText, "lapwing.password.hmac": kindText, "lapwing.password.length": kindInt,
	"lapwing.password.class": kindText, "lapwing.password.value": kindText, "lapwing.command.length": kindInt, "lapwing.file.verb": kindText,
	"lapwing.ssh.hassh": kindText, "lapwing.ssh.kex": kindText, "lapwing.ssh.ciphers": kindText, "lapwing.ssh.macs": kindText,
	"lapwing.ssh.host_key_algorithms": kindText, "lapwing.ssh.public_key": kindText, "lapwing.ssh.public_key_type": kindText,
	"lapwing.tunnel.host": kindText, "lapwing.tunnel.port": kindInt, "lapwing.tunnel.kind": kindText, "lapwing.tunnel.payload": kindText,
	"lapwing.scan.inside": kindText, "lapwing.scan.offset": kindInt,
	columnOther: kindText,
}

// role is what a column means to this package.
type role uint8

const (
	rolePlain role = iota
	roleTime
	roleID
	roleIngested
	roleOther
	roleMark
)

// column is a row of the table, in which columns are in the order of names.
type column struct {
	name string
	key  string // as it stands in a line: in quotes, a colon behind
	kind kind
	role role
	n    uint16 // its number, from 1
}

var (
	table      = number(kinds)         //nolint:gochecknoglobals // nobody writes it
	columns    = byName(table)         //nolint:gochecknoglobals // as above; without lapwing.mark, which events cannot have
	markColumn = uint16(markOf(table)) //nolint:gochecknoglobals // as above
)

func number(kinds map[string]kind) []column {
	names := append(slices.Sorted(maps.Keys(kinds)), columnMark)
	slices.Sort(names)
	out := make([]column, 1, len(names)+1)
	for i, name := range names {
		c := column{name: name, key: `"` + name + `":`, kind: kinds[name], n: uint16(i + 1)}
		switch name {
		case "@timestamp":
			c.role = roleTime
		case "event.id":
			c.role = roleID
		case "event.ingested":
			c.role = roleIngested
		case columnOther:
			c.role = roleOther
		case columnMark:
			c.kind, c.role = kindText, roleMark
		}
		out = append(out, c)
	}
	return out
}

func byName(table []column) map[string]*column {
	out := make(map[string]*column, len(table))
	for i := range table {
		if c := &table[i]; c.n > 0 && c.role != roleMark {
			out[c.name] = c
		}
	}
	return out
}

func markOf(table []column) int {
	return slices.IndexFunc(table, func(c column) bool { return c.role == roleMark })
}
