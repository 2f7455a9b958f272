package track

import "math"

// rhythm is what is remembered of the times at which something happens: a
// histogram of the pauses, and how many fell into slots of four lengths. It takes
// the same room for twenty times and for a million.
type rhythm struct {
	Start, Last int64
	N           uint32
	Pauses      [pauseBuckets]uint16 // by powers of √2, from 2 s on
	Slots       [4]slots
}

const (
	pauseBuckets = 28 // up to 9 hours
	together     = 3  // seconds within which several count as one
)

// slots counts by spans of one length; the first, of which only a part was seen,
// does not count.
type slots struct {
	First, At int64 // numbers of spans
	Cur       uint32
	Full      uint32 // spans in which there was something, without the one at At
	Sum       uint64
	Squares   uint64
}

// slotLengths are in seconds.
func slotLengths() [4]int64 { return [4]int64{300, 1200, 3600, 14400} }

// add takes the next time; it tells whether a judgement is due.
func (y *rhythm) add(at int64) bool {
	pause := at - y.Last
	if y.N > 0 && pause < together {
		return false // several at once, or late
	}
	if y.N == 0 || y.broken(pause) {
		*y = rhythm{Start: at, Last: at, N: 1}
		for i, n := range slotLengths() {
			y.Slots[i] = slots{First: at / n, At: at / n}
		}
		return false
	}
	y.Last = at
	y.N++
	if b := &y.Pauses[bucket(pause)]; *b < math.MaxUint16 {
		*b++
	}
	for i, n := range slotLengths() {
		y.Slots[i].add(at / n)
	}
	return y.N >= beaconCount && y.N%4 == 0 && at-y.Start >= beaconTime
}

// broken tells a pause after which a rhythm begins anew.
func (y *rhythm) broken(pause int64) bool {
	if y.N < 8 {
		return pause > 3*3600
	}
	mean := (y.Last - y.Start) / int64(y.N-1)
	return pause > 12*3600 || pause > 1800 && pause > 8*mean
}

func (c *slots) add(at int64) {
	if at != c.At {
		if c.At != c.First {
			c.Full++
			c.Sum += uint64(c.Cur)
			c.Squares += uint64(c.Cur) * uint64(c.Cur)
		}
		c.At, c.Cur = at, 0
	}
	c.Cur++
}

func bucket(pause int64) int {
	return max(0, min(pauseBuckets-1, int(2*math.Log2(float64(pause)))-2))
}

// floor is the shortest pause of a bucket in seconds.
func floor(bucket int) float64 { return math.Pow(2, float64(bucket+2)/2) }

// beat is what a rhythm looks like.
type beat struct {
	score    int     // 0 to 100
	interval float64 // median pause in seconds
	jitter   float64 // half the width of a uniform jitter that spreads as much, in percent of interval
}

// judge says how even a rhythm is, from three measures that each stand up to a few
// odd pauses: in how many slots there was something at all, how much the counts of
// slots vary against what chance would give, and how far the quartiles of the
// pauses are apart. What people do comes in bursts and leaves slots empty; a
// program that waits a random time each round does neither, however wide the jitter.
func (y *rhythm) judge() (beat, bool) {
	full, fano, ok := y.evenness()
	if !ok {
		return beat{}, false
	}
	q1, q2, q3 := y.quantile(0.25), y.quantile(0.5), y.quantile(0.75)
	spread := (q3 - q1) / (q3 + q1)
	score := 40*max(0, (full-0.6)/0.4) + 30*max(0, 1-fano/1.5) + 30*max(0, 1-spread/0.8)
	return beat{score: int(math.Round(score)), interval: q2, jitter: 100 * (q3 - q1) / q2}, true
}

// evenness judges the shortest slots that hold three on average: the share of
// those that are not empty, and the variance over the mean.
func (y *rhythm) evenness() (full, fano float64, ok bool) {
	for i := range y.Slots {
		c := &y.Slots[i]
		n := float64(c.At - c.First - 1) // whole ones
		if n < 6 || float64(c.Sum) < 3*n {
			continue
		}
		mean := float64(c.Sum) / n
		variance := (float64(c.Squares) - n*mean*mean) / (n - 1)
		return float64(c.Full) / n, variance / mean, true
	}
	return 0, 0, false
}

// quantile of the pauses, even inside a bucket.
func (y *rhythm) quantile(q float64) float64 {
	total := 0.0
	for _, n := range y.Pauses {
		total += float64(n)
	}
	want, sum := q*total, 0.0
	for i, n := range y.Pauses {
		if sum+float64(n) >= want && n > 0 {
			return floor(i) + (floor(i+1)-floor(i))*(want-sum)/float64(n)
		}
		sum += float64(n)
	}
	return floor(pauseBuckets)
}
