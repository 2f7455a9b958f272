package detect

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/alert"
)

func states() map[string]*item {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_901_234, time.UTC)
	const uuid = "01a2109e-7c87-7cfd-9319-838796ad5c56"
	return map[string]*item{
		"a new source": {key: "s 192.0.2.1/32", source: &source{First: at, Seen: at, Campaign: uuid, Own: uuid}},
		"all of a source": {key: "s 2001:db8::/64", source: &source{
			First: at, Seen: at.Add(time.Hour), Tries: 1 << 40, Users: []uint64{1, 1 << 31}, Got: true, Joined: true, Prints: maxPrints,
			Campaign: uuid, Own: "an id of another kind", Groups: map[string]*group{
				uuid:                                   {ID: uuid, First: at, Last: at, Count: 7, Level: alert.High, Session: uuid},
				"a rule":                               {ID: "x", First: time.Date(1, 2, 3, 4, 5, 6, 7, time.UTC), Last: time.Date(9999, 1, 1, 0, 0, 0, 1, time.UTC), Count: -1},
				"01A2109E-7C87-7CFD-9319-838796AD5C56": {},
			},
		}},
		"what follows from the rest": {key: "s 192.0.2.1/32", source: &source{
			First: at, Seen: at.Add(3 * time.Hour), Tries: 3, Users: []uint64{1<<32 - 1, 2, 3}, Own: ownID("s 192.0.2.1/32", at), derived: true, Campaign: uuid,
			Groups: map[string]*group{
				ruleLogin.ID:     {ID: id(ruleLogin.ID, "s 192.0.2.1/32", stamp(at)), derived: true, First: at, Last: at.Add(time.Hour), Count: 3, Level: alert.High, Session: uuid},
				ruleCommand.ID:   {ID: id(ruleCommand.ID, "s 192.0.2.1/32", stamp(at.Add(time.Second))), derived: true, First: at.Add(time.Second), Last: at, Count: 300, Session: uuid},
				OwnRules + "FFF": {ID: id("of an import", "s 192.0.2.1/32", stamp(at)), First: at, Last: at, Session: uuid},
				uuid:             {ID: uuid, First: at.Add(-time.Hour), Last: at, Count: 1},
			},
		}},
		"its own campaign":        {key: "s 192.0.2.1/32", source: &source{First: at, Seen: at, Own: uuid, Campaign: uuid, Joined: true}},
		"of its owner's campaign": {key: "p 00", print: &imprint{Seen: at, Owner: netip.MustParseAddr("192.0.2.1")}},
		"no times":                {key: "s 192.0.2.1/32", source: &source{}},
		"a print":                 {key: "p 00", print: &imprint{Seen: at, Campaign: uuid, Owner: netip.MustParseAddr("192.0.2.1")}},
		"a print of v6":           {key: "p 00", print: &imprint{Seen: at, Campaign: uuid, Owner: netip.MustParseAddr("2001:db8::")}},
		"nobody's":                {key: "p 00", print: &imprint{Seen: at}},
	}
}

// beside is what is kept of an item beside its data.
func beside(it *item, data []byte) State {
	s := State{Key: it.key, Data: data}
	if it.print != nil {
		s.Seen, s.Source = it.print.Seen, it.print.Owner
	}
	return s
}

// formOne is a print as older versions wrote it.
func formOne(p *imprint) []byte {
	return append(appendID(appendTime([]byte{stateForm}, p.Seen), p.Campaign), p.Owner.AsSlice()...)
}

func TestEncode(t *testing.T) {
	same := cmp.Options{cmp.AllowUnexported(item{}, source{}, group{}, imprint{}), cmp.Comparer(func(x, y netip.Addr) bool { return x == y })}
	for name, it := range states() {
		t.Run(name, func(t *testing.T) {
			data := it.append(nil)
			got := &item{key: it.key}
			if err := got.decode(beside(it, data)); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(it, got, same); d != "" {
				t.Error(d)
			}
			for n := range data { // torn
				if n == 0 && it.print != nil {
					continue // that of its owner
				}
				if err := (&item{key: it.key}).decode(beside(it, data[:n])); err == nil {
					t.Errorf("the first %d of %d bytes are taken", n, len(data))
				}
			}
			if it.print != nil {
				got := &item{key: it.key}
				if err := got.decode(State{Data: formOne(it.print)}); err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(it, got, same); d != "" {
					t.Errorf("from form 1: %s", d)
				}
			}
			var old any = it.source
			if it.print != nil {
				old = it.print
			}
			text, err := json.Marshal(old)
			if err != nil {
				t.Fatal(err)
			}
			got = &item{key: it.key}
			if err := got.decode(State{Data: text}); err != nil {
				t.Fatal(err)
			}
			if s := got.source; s != nil && it.source.derived { // JSON says every id
				for rule, g := range s.Groups {
					g.derived = it.source.Groups[rule].derived
				}
				s.derived = true
			}
			if d := cmp.Diff(it, got, same); d != "" {
				t.Errorf("from JSON: %s", d)
			}
		})
	}
}

// FuzzDecode: what is taken is written again as the same.
func FuzzDecode(f *testing.F) {
	for _, it := range states() {
		f.Add(it.key[0] == 's', it.append(nil))
		if it.print != nil {
			f.Add(false, formOne(it.print))
		}
	}
	f.Fuzz(func(t *testing.T, isSource bool, data []byte) {
		key := "p"
		if isSource {
			key = "s"
		}
		it := &item{key: key}
		if len(data) > 0 && data[0] == '{' || it.decode(State{Data: data}) != nil {
			return
		}
		again := &item{key: key}
		if err := again.decode(beside(it, it.append(nil))); err != nil {
			t.Fatal(err)
		}
		if a, b := it.append(nil), again.append(nil); string(a) != string(b) {
			t.Errorf("%x became %x", a, b)
		}
	})
}
