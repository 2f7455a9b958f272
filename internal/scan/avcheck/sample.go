package avcheck

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"slices"
	"time"
)

// reversed is the EICAR standard antivirus test file, written backwards: a
// harmless text that every antivirus program takes for malware by agreement
// (eicar.org). Whole it stands only in the files that a check writes.
const reversed = `*H+H$!ELIF-TSET-SURIVITNA-DRADNATS-RACIE$}7)CC7)^P(45XZP\4[PA@%P!O5X`

func eicar() []byte {
	b := []byte(reversed)
	slices.Reverse(b)
	return b
}

// sample is a file that a check writes.
type sample struct {
	name     string
	about    string
	data     []byte
	harmless bool // must not be flagged
}

// samples makes all files. Archives are the same bytes each time.
func samples() ([]sample, error) {
	e := eicar()
	inner, err := zipped("eicar.com", e)
	if err != nil {
		return nil, err
	}
	outer, err := zipped("inner.zip", inner)
	if err != nil {
		return nil, err
	}
	tgz, err := tarred("eicar.com", e)
	if err != nil {
		return nil, err
	}
	return []sample{
		{name: "eicar.com", about: "the EICAR test file", data: e},
		{name: "holiday.jpg", about: "the same, named as a picture", data: e},
		{name: "eicar.zip", about: "in a zip archive", data: inner},
		{name: "eicar-nested.zip", about: "in a zip archive in a zip archive", data: outer},
		{name: "eicar.tar.gz", about: "in a compressed tar archive", data: tgz},
		{name: "harmless.txt", about: "a harmless text, must be left alone", data: []byte("This text is harmless. An antivirus program must leave it alone.\n"), harmless: true},
	}, nil
}

func zipped(name string, data []byte) ([]byte, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create(name)
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = z.Close()
	}
	return b.Bytes(), err
}

func tarred(name string, data []byte) ([]byte, error) {
	var b bytes.Buffer
	g := gzip.NewWriter(&b)
	t := tar.NewWriter(g)
	err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(data)), ModTime: time.Unix(0, 0)})
	if err == nil {
		_, err = t.Write(data)
	}
	if err == nil {
		err = t.Close()
	}
	if err == nil {
		err = g.Close()
	}
	return b.Bytes(), err
}
