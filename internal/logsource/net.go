package logsource

import (
	"github.com/lapwing-defence/lapwing/internal/nets"
	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// netIDs are the fields that say where a record came from, best first, and those
// of the prefixes under which that is counted.
type netIDs struct {
	from             []sigma.FieldID
	net, wide, wider sigma.FieldID
}

func (n *netIDs) bind(f *sigma.Fields) {
	n.from = f.Add("source.ip", "src_ip", "c-ip", "IpAddress")
	ids := f.Add("lapwing.net", "lapwing.net56", "lapwing.net48")
	n.net, n.wide, n.wider = ids[0], ids[1], ids[2]
}

// counted tells whether rules count records of a source by where they came from.
func counted(s *sigma.Source) bool {
	for _, l := range s.Logsources {
		if l.Category == "authentication" || l.Category == "webserver" {
			return true
		}
	}
	return false
}

// nets sets the prefixes under which the record's source is counted, unless its
// decoder has, and its address by the name of ECS.
func (w *Worker) nets(rec *sigma.Record) {
	n := &w.r.net
	if rec.Has(n.net) {
		return
	}
	w.arena = w.arena[:0]
	for _, id := range n.from {
		v, _, _ := rec.First(id)
		a, ok := nets.Parse(v.Text)
		if !ok {
			continue
		}
		rec.Alias(n.from[0], id)
		net, wide, wider := nets.Of(a)
		w.arena = nets.Append(w.arena, net)
		rec.Hide(n.net, sigma.Bytes(w.arena))
		if wide.IsValid() {
			from := len(w.arena)
			w.arena = nets.Append(w.arena, wide)
			rec.Hide(n.wide, sigma.Bytes(w.arena[from:]))
			from = len(w.arena)
			w.arena = nets.Append(w.arena, wider)
			rec.Hide(n.wider, sigma.Bytes(w.arena[from:]))
		}
		return
	}
}
