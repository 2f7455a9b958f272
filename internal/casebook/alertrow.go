package casebook

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/alert"
)

// An alert lies in its shelf under the time of its first event, 8 bytes whose
// order is that of time, and its id, so that the shelf is in the order in which
// alerts are read.
func alertKey(first time.Time, id string) []byte {
	key := binary.BigEndian.AppendUint64(make([]byte, 0, 25), uint64(nano(first))^1<<63)
	return append(key, idKey(id)...)
}

func keyAlert(key []byte) (first int64, id string, err error) {
	if len(key) < 9 {
		return 0, "", errChunk
	}
	id, err = keyID(key[8:])
	return int64(binary.BigEndian.Uint64(key) ^ 1<<63), id, err
}

// What a record of an alert is.
const (
	rowWhole    = 1 // all of it, and the events that came with the batch
	rowCampaign = 2 // only that it belongs to another campaign now
)

// alertRow is an alert as it is stored.
type alertRow struct {
	source        netip.Addr
	rule          int64 // its row in rules
	level         int64
	retrospective bool
	host, user    string
	log           string // where the source of the alert is one of logs
	title         string
	session       storedID
	campaign      storedID
	textKey       bool // key does not follow from the rest
	key           string
	keyTime       int64 // else the second that it ends with
	count         int64
	last          int64
	refs          []reference
}

// formLog is the bit of a row's form that says that the name of a source of logs follows.
const formLog = 16

const titleSource = "\x01" // stands in a title for the address of the source

// encode writes a row whose first event is of a time.
func (r *alertRow) encode(first int64) []byte {
	b := appendAddr(append(make([]byte, 0, 160+16*len(r.refs)), rowWhole), r.source)
	b = appendUint(appendUint(b, uint64(r.rule)), uint64(r.level))
	form := byte(0)
	if r.retrospective {
		form |= 1
	}
	if r.textKey {
		form |= 2
	}
	title := r.title
	if from := r.source.String(); !strings.Contains(title, titleSource) && strings.Contains(title, from) {
		form |= 4
		title = strings.Replace(title, from, titleSource, 1)
	}
	if r.log != "" {
		form |= formLog
	}
	b = appendText(appendText(appendText(append(b, form), r.host), r.user), title)
	if r.log != "" {
		b = appendText(b, r.log)
	}
	b = appendShortID(appendShortID(b, &r.session), &r.campaign)
	if r.textKey {
		b = appendText(b, r.key)
	} else {
		b = appendInt(b, first/1e9-r.keyTime)
	}
	b = appendInt(appendInt(b, r.count), r.last-first)
	return appendRefs(b, r.refs)
}

func parseAlertRow(first int64, value []byte) (*alertRow, error) {
	r, d := &alertRow{}, reader{b: value}
	if d.byte() != rowWhole {
		return nil, errChunk
	}
	r.source = d.addr()
	r.rule, r.level = int64(d.uint()), int64(d.uint())
	form := d.byte()
	r.retrospective = form&1 != 0
	r.host, r.user, r.title = d.text(), d.text(), d.text()
	if form&4 != 0 {
		r.title = strings.Replace(r.title, titleSource, r.source.String(), 1)
	}
	if form&formLog != 0 {
		r.log = d.text()
	}
	r.session, r.campaign = d.id(), d.id()
	if r.textKey = form&2 != 0; r.textKey {
		r.key = d.text()
	} else {
		r.keyTime = first/1e9 - d.int()
	}
	r.count, r.last = d.int(), first+d.int()
	r.refs = d.refs()
	if d.bad || form > formLog|7 {
		return nil, errChunk
	}
	return r, nil
}

// readAlert reads a record of the shelf of alerts; r is nil where it says only
// what campaign an alert belongs to now.
func readAlert(key, value []byte) (first int64, id string, r *alertRow, err error) {
	if first, id, err = keyAlert(key); err != nil || isCampaign(value) {
		return first, id, nil, err
	}
	r, err = parseAlertRow(first, value)
	return first, id, r, err
}

// appendShortID appends an id: one more than the length of a text, or 0 and the 16
// bytes of a UUID.
func appendShortID(b []byte, id *storedID) []byte {
	if id.isUUID() {
		return append(append(b, 0), id.uuid[:]...)
	}
	return append(appendUint(b, uint64(len(id.text))+1), id.text...)
}

func (d *reader) id() (id storedID) {
	if n := d.uint(); n > 0 {
		id.text = string(d.take(n - 1))
		return id
	}
	copy(id.uuid[:], d.take(16))
	d.bad = d.bad || !id.isUUID()
	return id
}

// campaignRow says that an alert belongs to another campaign now.
func campaignRow(campaign string) []byte {
	id := idOf(campaign)
	return appendShortID([]byte{rowCampaign}, &id)
}

func parseCampaignRow(value []byte) (storedID, error) {
	d := reader{b: value[1:]}
	c := d.id()
	if d.bad || len(d.b) > 0 {
		return c, errChunk
	}
	return c, nil
}

// isCampaign tells of a record that it is no whole alert.
func isCampaign(value []byte) bool { return len(value) > 0 && value[0] == rowCampaign }

// joinAlerts is what an alert is after it grew, or moved to another campaign.
// lost are the references that it let go of.
func joinAlerts(key, old, fresh []byte, lost func(reference)) ([]byte, error) {
	if isCampaign(old) { // of an alert that is gone, or not written yet
		return fresh, nil
	}
	first, _, err := keyAlert(key)
	if err != nil {
		return nil, err
	}
	o, err := parseAlertRow(first, old)
	if err != nil {
		return nil, err
	}
	if isCampaign(fresh) {
		if o.campaign, err = parseCampaignRow(fresh); err != nil {
			return nil, err
		}
		return o.encode(first), nil
	}
	f, err := parseAlertRow(first, fresh)
	if err != nil {
		return nil, err
	}
	keep, gone := kept(o.refs, f.refs, f.count)
	if lost != nil {
		for _, r := range gone {
			lost(r)
		}
	}
	f.refs = keep
	f.source, f.rule, f.retrospective = o.source, o.rule, o.retrospective
	f.textKey, f.key, f.keyTime = o.textKey, o.key, o.keyTime
	return f.encode(first), nil
}

// alert makes the Alert of a row; rules are by their rows.
func (r *alertRow) alert(id string, first int64, rules map[int64]alert.Rule) *alert.Alert {
	a := &alert.Alert{
		ID: id, Rule: rules[r.rule], Source: r.source, Host: r.host, Session: r.session.String(), User: r.user, Title: r.title,
		Campaign: r.campaign.String(), Count: r.count, First: fromNano(first), Last: fromNano(r.last), Retrospective: r.retrospective,
		Log: r.log,
	}
	a.Rule.Level = alert.Level(r.level)
	if a.Key = r.key; !r.textKey {
		a.Key = wholeKey(r.keyTime, a)
	}
	for _, ref := range r.refs {
		a.Events = append(a.Events, ref.event.String())
	}
	return a
}

// rowOf is a as it is stored, without its events.
func rowOf(a *alert.Alert, rule int64) *alertRow {
	r := &alertRow{
		source: a.Source.Unmap().WithZone(""), rule: rule, level: int64(a.Rule.Level), retrospective: a.Retrospective,
		host: cut(a.Host, maxText), user: cut(a.User, maxText), title: cut(a.Title, maxText), session: idOf(a.Session), campaign: idOf(a.Campaign),
		count: a.Count, last: nano(a.Last), log: cut(a.Log, maxText),
	}
	r.textKey, r.key, r.keyTime = shortKey(a)
	return r
}

// asked tells whether an alert is what a query asks for.
func (q *Query) askedAlert(r *alertRow, id string) bool {
	switch {
	case !strings.HasPrefix(id, strings.ToLower(q.ID)),
		q.Source.Session() != "" && r.session != idOf(q.Source.Session()),
		q.Source.Net().IsValid() && !q.Source.Has(r.source),
		r.level < int64(q.Level):
		return false
	}
	return q.Since.IsZero() || r.last >= nano(q.Since)
}

// alertSpan are all alerts but those that, by what they are stored under and by
// their source, are of another id or another source.
func (q *Query) alertSpan() span {
	ids := idSpans(strings.ToLower(q.ID))
	return span{skip: func(key, value []byte) bool {
		if q.ID != "" && (len(key) < 8 || !slices.ContainsFunc(ids, func(p span) bool { return p.has(key[8:]) })) {
			return true
		}
		if !q.Source.Net().IsValid() || len(value) < 2 || isCampaign(value) {
			return false
		}
		d := reader{b: value[1:]}
		return !q.Source.Has(d.addr())
	}}
}
