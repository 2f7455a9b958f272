// Package sigma is the Sigma rule language and its engine: specification 2.1.0
// with correlations, filters and placeholders, and the boolean conditions of
// temporal rules of 2.2.0. It knows no event type of ours: what rules look at
// is a Record, which decoders fill.
//
// # Use
//
//	set := sigma.NewSet(sigma.Options{Placeholders: tables})
//	for each file { set.Add(name, data) }            // parses; problems are collected
//	fields := sigma.NewFields()                      // one per process
//	eng, err := sigma.Compile(set, fields)           // immutable, shared by workers
//	for _, p := range set.Problems() { ... }         // what was refused or is odd: file, line, reason
//
//	w := eng.NewWorker()                             // one per goroutine: scratch memory
//	for _, rule := range w.Match(rec) {              // *Rule; the slice is good until the next call
//		rule.ID, rule.Title, rule.Level, rule.Author ...
//	}
//
// Rules that only feed correlations are not among the matches (unless a
// correlation says generate). What correlations need is taken from the record
// at once, so the record may be reused:
//
//	points = w.Points(points)                        // after Match: appends compact facts (time, rule, keys)
//
// Live, points go to a Correlator, which waits out lateness; offline, the
// points of all files are collected and replayed in order of time:
//
//	cor := sigma.NewCorrelator(eng, sigma.CorrelatorOptions{Lateness: 30 * time.Second, MaxKeys: 1 << 20})
//	alerts := cor.Add(points)                        // each with its rule, group, count, first and last
//	alerts = cor.Close()                             // the end of input: windows that end later are judged
//	alerts := sigma.Replay(eng, points)              // offline
//
// To explain why a rule matches or not: eng.Explain(rule, rec).
//
// A reload compiles a new Engine over the same Fields and swaps a pointer;
// workers of the old engine go on with the old rules until they are replaced.
package sigma
