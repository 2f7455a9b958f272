package indicator

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// reading is one list being read.
type reading struct {
	set      *Set
	name     string
	problems []Problem
	added    int
}

func (r *reading) at(line int) string { return fmt.Sprintf("%s:%d", r.name, line) }

func (r *reading) problem(where, text string) {
	if len(r.problems) < maxProblems {
		r.problems = append(r.problems, Problem{where, text})
	}
}

func (r *reading) add(in Indicator) {
	if err := r.set.Add(in); err != nil {
		r.problem(in.Source, err.Error())
		return
	}
	r.added++
}

// Read adds a list, whose form is told from its content:
//
//	hashdeep     %%%% HASHDEEP-1.0, then size,md5,sha256,filename
//	STIX 2.1     a JSON bundle; indicators whose pattern compares hashes, names, addresses, domains or URLs
//	MISP         a JSON event, or a list of them; attributes but those whose to_ids is false
//	CSV          a first line with names of columns (also ip, domain, url, valid_from, valid_until), or hashes in any column
//	plain        a hash, an address, a network or a URL a line, with a comment behind a space, a comma or a semicolon; the output of sha256sum
//	LOKI         hash;comment and path-regex;score
//
// name stands in the problems and the indicators' Source. A line that is none of
// it is a Problem; an error means that reading failed.
func (s *Set) Read(in io.Reader, name string) ([]Problem, error) {
	r := &reading{set: s, name: name}
	br := bufio.NewReaderSize(in, MaxLine)
	head, err := br.Peek(512)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	head = bytes.TrimPrefix(head, []byte("\xef\xbb\xbf"))
	switch first := bytes.TrimLeft(head, " \t\r\n"); {
	case bytes.HasPrefix(first, []byte("{")), bytes.HasPrefix(first, []byte("[")):
		err = r.json(br)
	default:
		err = r.lines(br)
	}
	if err != nil {
		return r.problems, fmt.Errorf("read %s: %w", name, err)
	}
	if r.added == 0 && len(r.problems) == 0 {
		r.problem(name, "there is no indicator in it")
	}
	return r.problems, nil
}

// lines reads everything but JSON.
func (r *reading) lines(br *bufio.Reader) error {
	var columns []string // of hashdeep, of CSV with a first line of names
	n := 0
	for {
		line, err := br.ReadSlice('\n')
		n++
		if errors.Is(err, bufio.ErrBufferFull) {
			r.problem(r.at(n), fmt.Sprintf("the line is longer than %d bytes", MaxLine))
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = br.ReadSlice('\n')
			}
			line = nil
		}
		if n == 1 {
			line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
		}
		text := strings.TrimSpace(string(line))
		switch {
		case text == "" || strings.HasPrefix(text, "#") || strings.HasPrefix(text, "//") || strings.HasPrefix(text, "%%%% HASHDEEP"):
		case strings.HasPrefix(text, "%%%% "):
			columns = strings.Split(text[5:], ",")
		case n == 1 && header(text) != nil:
			columns = header(text)
		case columns != nil:
			r.row(n, columns, text)
		default:
			r.line(n, text)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// header gives the names of the columns if text is such a line.
func header(text string) []string {
	sep := ","
	if !strings.Contains(text, ",") {
		sep = ";"
	}
	cols := strings.Split(strings.ToLower(text), sep)
	known := false
	for i, c := range cols {
		c = strings.Trim(c, "\" ")
		cols[i] = c
		known = known || columnKind(c) != "" || observed(c) != ""
	}
	if !known || len(cols) < 2 {
		return nil
	}
	return cols
}

func columnKind(c string) Kind {
	switch strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(c, "-", ""), "_", ""), "hash", "") {
	case "md5":
		return MD5
	case "sha1":
		return SHA1
	case "sha256":
		return SHA256
	case "tlsh":
		return TLSH
	case "ssdeep":
		return SSDeep
	}
	return ""
}

// row reads a line under names of columns.
func (r *reading) row(n int, columns []string, text string) {
	cr := csv.NewReader(strings.NewReader(text))
	cr.LazyQuotes, cr.FieldsPerRecord = true, -1
	if strings.Count(text, ";") >= len(columns)-1 && strings.Count(text, ",") < len(columns)-1 {
		cr.Comma = ';'
	}
	cells, err := cr.Read()
	if err != nil {
		r.problem(r.at(n), err.Error())
		return
	}
	if len(cells) > len(columns) && columns[len(columns)-1] == "filename" { // commas in a hashdeep name
		cells = append(cells[:len(columns)-1:len(columns)-1], strings.Join(cells[len(columns)-1:], ","))
	}
	label, found := "", false
	var from, until time.Time
	for i, c := range columns {
		if i < len(cells) {
			switch c {
			case "filename", "name", "comment", "description", "malware", "signature", "family", "label":
				label = strings.TrimSpace(cells[i])
			case "valid_from", "first_seen":
				from = date(strings.TrimSpace(cells[i]))
			case "valid_until", "last_seen":
				until = date(strings.TrimSpace(cells[i]))
			}
		}
	}
	for i, c := range columns {
		k := columnKind(strings.ToLower(c))
		if k == "" {
			k = observed(c)
		}
		if k != "" && i < len(cells) && strings.TrimSpace(cells[i]) != "" {
			found = true
			r.add(Indicator{Kind: k, Value: strings.TrimSpace(cells[i]), Label: label, Source: r.at(n), From: from, Until: until})
		}
	}
	if !found {
		r.problem(r.at(n), "there is no hash, address, domain or URL in the line")
	}
}

// line reads a line without names of columns.
func (r *reading) line(n int, text string) {
	cut := strings.IndexAny(text, " \t,;")
	first, rest := text, ""
	if cut >= 0 {
		first, rest = text[:cut], strings.Trim(text[cut:], " \t,;*\"")
	}
	first = strings.Trim(first, "\"")
	if k := hashKind(len(first)); k != "" && isHex(first) {
		r.add(Indicator{Kind: k, Value: first, Label: rest, Source: r.at(n)})
		return
	}
	if strings.HasPrefix(first, "T1") && checkSimilar(TLSH, first) == nil {
		r.add(Indicator{Kind: TLSH, Value: first, Label: rest, Source: r.at(n)})
		return
	}
	if checkSimilar(SSDeep, first) == nil {
		r.add(Indicator{Kind: SSDeep, Value: first, Label: strings.Trim(rest, "\""), Source: r.at(n)})
		return
	}
	for _, cell := range strings.FieldsFunc(text, func(c rune) bool { return c == ',' || c == ';' || c == '\t' || c == ' ' }) {
		if cell = strings.Trim(cell, "\""); hashKind(len(cell)) != "" && isHex(cell) { // CSV with a hash in a later column
			r.add(Indicator{Kind: hashKind(len(cell)), Value: cell, Label: text, Source: r.at(n)})
			return
		}
	}
	if i := strings.LastIndexByte(text, ';'); i > 0 && strings.Trim(text[i+1:], "0123456789- ") == "" { // LOKI: regex;score
		r.add(Indicator{Kind: Path, Value: text[:i], Label: "path pattern", Source: r.at(n)})
		return
	}
	if k := plainKind(first); k != "" {
		r.add(Indicator{Kind: k, Value: first, Label: rest, Source: r.at(n)})
		return
	}
	r.problem(r.at(n), fmt.Sprintf("%q holds no hash, likeness, pattern, address or URL; write domains under a line of names of columns, such as domain,comment", clip(text)))
}

// plainKind tells an address or a URL from its form.
func plainKind(text string) Kind {
	if _, err := parseNet(text); err == nil {
		return IP
	}
	if strings.HasPrefix(text, "http://") || strings.HasPrefix(text, "https://") || strings.HasPrefix(text, "ftp://") {
		return URL
	}
	return ""
}

func isHex(s string) bool { return strings.Trim(strings.ToLower(s), "0123456789abcdef") == "" }
