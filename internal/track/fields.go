package track

import (
	"bytes"
	"net/netip"
	"strconv"
	"time"

	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// fields are the ids of what trackers read and write, in the table of the
// records that come.
type fields struct {
	of *sigma.Fields

	category, action, outcome, dataset                   sigma.FieldID
	user, domain, host, service, method, factors         sigma.FieldID
	srcIP, srcPort, dstIP, dstPort, proto                sigma.FieldID
	srcBytes, dstBytes, bytes, srcPackets, dstPackets    sigma.FieldID
	start, duration, zeekDuration, zeekOut, zeekIn       sigma.FieldID
	zeekPath, zeekState, app, zeekService                sigma.FieldID
	question, srcCountry, srcASN, srcOrg, dstCountry     sigma.FieldID
	oldSrc, oldDst, oldPort, oldQuery                    sigma.FieldID
	learning, geo, firstCountry, siteCountry             sigma.FieldID
	firstUser, firstNetwork, firstHour, dormant          sigma.FieldID
	kmh, km, between, known, outside                     sigma.FieldID
	single, dropped                                      sigma.FieldID
	beaconScore, beaconInterval, beaconJitter            sigma.FieldID
	beaconHours, beaconCount                             sigma.FieldID
	sessionHours, sessionRate, sessionTwoWay             sigma.FieldID
	fresh, hosts, kind, server                           sigma.FieldID
	firstDest, usual, outward, fanout, fanUsual, fanSide sigma.FieldID
	tunnel, tunnelNames, tunnelParent                    sigma.FieldID
}

// bind looks the names up; they get ids also where no rule reads them.
func (f *fields) bind(of *sigma.Fields) {
	f.of = of
	list := append(f.read(), f.written()...)
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].name
	}
	for i, id := range of.Add(names...) {
		*list[i].id = id
	}
}

type named struct {
	id   *sigma.FieldID
	name string
}

func (f *fields) read() []named {
	return []named{
		{&f.category, "event.category"},
		{&f.action, "event.action"},
		{&f.outcome, "event.outcome"},
		{&f.dataset, "event.dataset"},
		{&f.user, "user.name"},
		{&f.domain, "user.domain"},
		{&f.host, "host.name"},
		{&f.service, "service.name"},
		{&f.method, "lapwing.auth.method"},
		{&f.factors, "lapwing.auth.factors"},
		{&f.srcIP, "source.ip"},
		{&f.srcPort, "source.port"},
		{&f.dstIP, "destination.ip"},
		{&f.dstPort, "destination.port"},
		{&f.proto, "network.transport"},
		{&f.srcBytes, "source.bytes"},
		{&f.dstBytes, "destination.bytes"},
		{&f.bytes, "network.bytes"},
		{&f.srcPackets, "source.packets"},
		{&f.dstPackets, "destination.packets"},
		{&f.start, "event.start"},
		{&f.duration, "event.duration"},
		{&f.zeekDuration, "duration"},
		{&f.zeekOut, "orig_bytes"},
		{&f.zeekIn, "resp_bytes"},
		{&f.zeekPath, "_path"},
		{&f.zeekState, "conn_state"},
		{&f.app, "network.protocol"},
		{&f.zeekService, "service"},
		{&f.question, "dns.question.name"},
		{&f.oldSrc, "src_ip"},
		{&f.oldDst, "dst_ip"},
		{&f.oldPort, "dst_port"},
		{&f.oldQuery, "query"},
		{&f.srcCountry, "source.geo.country_iso_code"},
		{&f.srcASN, "source.as.number"},
		{&f.srcOrg, "source.as.organization.name"},
		{&f.dstCountry, "destination.geo.country_iso_code"},
	}
}

func (f *fields) written() []named {
	return []named{
		{&f.learning, "lapwing.track.learning"},
		{&f.geo, "lapwing.track.geo"},
		{&f.firstCountry, "lapwing.track.first_country"},
		{&f.siteCountry, "lapwing.track.site_country"},
		{&f.firstUser, "lapwing.track.first_user"},
		{&f.firstNetwork, "lapwing.track.first_network"},
		{&f.firstHour, "lapwing.track.first_hour"},
		{&f.dormant, "lapwing.track.dormant_days"},
		{&f.kmh, "lapwing.track.travel_kmh"},
		{&f.km, "lapwing.track.travel_km"},
		{&f.between, "lapwing.track.travel_from"},
		{&f.known, "lapwing.track.travel_known"},
		{&f.outside, "lapwing.track.outside"},
		{&f.single, "lapwing.track.single_factor"},
		{&f.dropped, "lapwing.track.factor_dropped"},
		{&f.beaconScore, "lapwing.track.beacon.score"},
		{&f.beaconInterval, "lapwing.track.beacon.interval"},
		{&f.beaconJitter, "lapwing.track.beacon.jitter"},
		{&f.beaconHours, "lapwing.track.beacon.hours"},
		{&f.beaconCount, "lapwing.track.beacon.count"},
		{&f.sessionHours, "lapwing.track.session.hours"},
		{&f.sessionRate, "lapwing.track.session.rate"},
		{&f.sessionTwoWay, "lapwing.track.session.two_way"},
		{&f.fresh, "lapwing.track.fresh"},
		{&f.hosts, "lapwing.track.hosts"},
		{&f.kind, "lapwing.track.known_kind"},
		{&f.server, "lapwing.track.server"},
		{&f.firstDest, "lapwing.track.first_destination"},
		{&f.usual, "lapwing.track.usual_per_week"},
		{&f.outward, "lapwing.track.outward_first"},
		{&f.fanout, "lapwing.track.fanout"},
		{&f.fanUsual, "lapwing.track.fanout_usual"},
		{&f.fanSide, "lapwing.track.fanout_side"},
		{&f.tunnel, "lapwing.track.tunnel"},
		{&f.tunnelNames, "lapwing.track.tunnel_names"},
		{&f.tunnelParent, "lapwing.track.tunnel_domain"},
	}
}

// reading is one record with the ids of its fields.
type reading struct {
	*fields
	rec *sigma.Record
	at  time.Time
}

// text is the value of the first of the fields that has one.
func (r *reading) text(ids ...sigma.FieldID) []byte {
	for _, id := range ids {
		if v, _, ok := r.rec.First(id); ok && len(v.Text) > 0 {
			return v.Text
		}
	}
	return nil
}

// has tells whether one of the values of a field is word.
func (r *reading) has(id sigma.FieldID, word string) bool {
	for v := range r.rec.Values(id) {
		if string(v.Text) == word {
			return true
		}
	}
	return false
}

// addr reads an address; ok only for a valid one.
func (r *reading) addr(ids ...sigma.FieldID) (netip.Addr, bool) {
	b := r.text(ids...)
	if len(b) < 2 || len(b) > 64 {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(string(b))
	return a.Unmap().WithZone(""), err == nil
}

// number reads a number that is not negative; 0 for others.
func (r *reading) number(ids ...sigma.FieldID) uint64 {
	b := r.text(ids...)
	n, plain := uint64(0), len(b) < 19
	for _, c := range b {
		if c < '0' || c > '9' {
			plain = false
			break
		}
		n = n*10 + uint64(c-'0')
	}
	if plain {
		return n
	}
	if x, err := strconv.ParseFloat(string(b), 64); err == nil && x > 0 && x < 1e18 {
		return uint64(x)
	}
	return 0
}

// seconds reads a number of seconds with a fraction.
func (r *reading) seconds(id sigma.FieldID) float64 {
	x, err := strconv.ParseFloat(string(bytes.TrimSpace(r.text(id))), 64)
	if err != nil || !(x > 0) || x > 1e9 {
		return 0
	}
	return x
}

func (r *reading) yes(id sigma.FieldID) {
	r.rec.Hide(id, sigma.Value{Text: []byte("true"), Type: sigma.Bool})
}

func (r *reading) say(id sigma.FieldID, word string) { r.rec.Hide(id, sigma.String(word)) }

func (r *reading) count(id sigma.FieldID, n int64) { r.rec.Hide(id, sigma.Int(n)) }
