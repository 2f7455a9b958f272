// Package geo says where an address lies: country, place and network operator,
// out of MMDB files (MaxMind DB format 2.0) that the operator supplies:
// GeoLite2-City, -Country, -ASN, DB-IP's of the same layout. Without any file
// every answer is empty and nothing fails.
package geo

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
)

// MaxFile is the size in bytes up to which a database is taken; it is held in
// memory whole, so that a file which is written over in place can do no harm.
const MaxFile = 512 << 20

// maxCache bounds the addresses whose answer is remembered.
const maxCache = 8192

// ErrBroken says that a file is no MMDB database, or a damaged one.
var ErrBroken = errors.New("no usable MMDB database")

// Place is what is known of an address. Fields that no file knows are zero.
type Place struct {
	Country string // ISO 3166-1, two letters
	City    string
	// Lat, Lon in degrees and Radius, the accuracy in km, hold where Point is set.
	Lat, Lon, Radius float64
	Point            bool
	ASN              uint32
	Org              string
}

// Reader answers from the files. It serves one goroutine.
type Reader struct {
	files []file
	cache map[netip.Addr]Place
}

type file struct {
	path string
	db   *maxminddb.Reader
	mod  time.Time
	size int64
}

// Open reads the files. Where two know the same thing the first counts. A file
// that is missing or broken is an error with its name.
func Open(paths ...string) (*Reader, error) {
	r := &Reader{cache: map[netip.Addr]Place{}}
	for _, p := range paths {
		f, err := load(p)
		if err != nil {
			return nil, err
		}
		r.files = append(r.files, f)
	}
	return r, nil
}

func load(path string) (file, error) {
	in, err := os.Open(path)
	if err != nil {
		return file{}, fmt.Errorf("read geo database: %w: give the path of an MMDB file (GeoLite2-City.mmdb and the like)", err)
	}
	defer in.Close() //nolint:errcheck // it was only read
	info, err := in.Stat()
	if err != nil {
		return file{}, fmt.Errorf("read geo database %s: %w", path, err)
	}
	if !info.Mode().IsRegular() || info.Size() > MaxFile {
		return file{}, fmt.Errorf("read geo database %s: %w: it has to be a file of at most %d MB", path, ErrBroken, MaxFile>>20)
	}
	var buf bytes.Buffer
	buf.Grow(int(info.Size()) + bytes.MinRead)
	if _, err := buf.ReadFrom(io.LimitReader(in, MaxFile)); err != nil {
		return file{}, fmt.Errorf("read geo database %s: %w", path, err)
	}
	db, err := maxminddb.OpenBytes(buf.Bytes())
	if err != nil {
		return file{}, fmt.Errorf("read geo database %s: %w: %w: download it again", path, ErrBroken, err)
	}
	return file{path: path, db: db, mod: info.ModTime(), size: info.Size()}, nil
}

// Refresh reads files again that have changed. One that is broken now keeps
// answering from what it was before, and the error says so; the others are
// renewed all the same.
func (r *Reader) Refresh() error {
	var errs []error
	for i := range r.files {
		f := &r.files[i]
		info, err := os.Stat(f.path)
		if err != nil {
			errs = append(errs, fmt.Errorf("geo database is gone, its last state is used: %w", err))
			continue
		}
		if info.ModTime().Equal(f.mod) && info.Size() == f.size {
			continue
		}
		next, err := load(f.path)
		if err != nil {
			errs = append(errs, fmt.Errorf("%w (its last state is used)", err))
			continue
		}
		*f = next
		clear(r.cache)
	}
	return errors.Join(errs...)
}

// Ready tells whether there is any file.
func (r *Reader) Ready() bool { return r != nil && len(r.files) > 0 }

// record is the part of the usual databases that is read.
type record struct {
	Country struct {
		ISO string `maxminddb:"iso_code"`
	} `maxminddb:"country"`
	Registered struct {
		ISO string `maxminddb:"iso_code"`
	} `maxminddb:"registered_country"`
	City struct {
		Names struct {
			English string `maxminddb:"en"`
		} `maxminddb:"names"`
	} `maxminddb:"city"`
	Location struct {
		Lat    *float64 `maxminddb:"latitude"`
		Lon    *float64 `maxminddb:"longitude"`
		Radius uint32   `maxminddb:"accuracy_radius"`
	} `maxminddb:"location"`
	ASN uint32 `maxminddb:"autonomous_system_number"`
	Org string `maxminddb:"autonomous_system_organization"`
}

// Look finds what the files know of an address. Records that are damaged count
// as unknown.
func (r *Reader) Look(a netip.Addr) Place {
	if !r.Ready() {
		return Place{}
	}
	a = a.Unmap().WithZone("")
	if p, ok := r.cache[a]; ok {
		return p
	}
	var p Place
	for i := range r.files {
		var rec record
		if err := r.files[i].db.Lookup(a).Decode(&rec); err == nil {
			p.add(&rec)
		}
	}
	if len(r.cache) >= maxCache {
		clear(r.cache)
	}
	r.cache[a] = p
	return p
}

func (p *Place) add(rec *record) {
	if p.Country == "" {
		p.Country = rec.Country.ISO
	}
	if p.Country == "" {
		p.Country = rec.Registered.ISO
	}
	if p.City == "" {
		p.City = rec.City.Names.English
	}
	if lat, lon := rec.Location.Lat, rec.Location.Lon; !p.Point && lat != nil && lon != nil && sane(*lat, 90) && sane(*lon, 180) {
		p.Lat, p.Lon, p.Radius, p.Point = *lat, *lon, float64(rec.Location.Radius), true
	}
	if p.ASN == 0 {
		p.ASN, p.Org = rec.ASN, rec.Org
	}
}

func sane(x, limit float64) bool { return x >= -limit && x <= limit }
