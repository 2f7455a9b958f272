package token

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"html"
	"strings"
	"time"
)

// link is a URL of the decoy that only this token has. Its style says what is
// behind it.
func (k *maker) link(name string) string {
	path := k.name("style", func() string { return k.pick("/attachments/%s/", "/files/%s/", "/s/%s/", "/media/%s/", "/assets/%s/") })
	return k.origin() + fmt.Sprintf(path, k.m.uuid(k.t.ID)) + name
}

// url is a link alone, for a wiki, a page of the intranet or a robots.txt.
func (k *maker) url() ([]File, error) {
	k.value("url", k.link(k.pick("logo.png", "report.pdf", "minutes.docx", "plan.xlsx", "index.html")))
	return nil, nil
}

// dns is a name below a zone whose queries the operator sees.
func (k *maker) dns() ([]File, error) {
	if k.t.Zone == "" {
		return nil, errors.New("say below which zone, whose queries you see: --zone NAME")
	}
	k.value("name", k.m.word32(k.t.ID)+"."+k.t.Zone)
	return nil, nil
}

// bookmark is a file that browsers read and write their bookmarks in.
func (k *maker) bookmark() ([]File, error) {
	at := k.changed()
	title := k.pick("Intranet", "Admin", "Passwords (old wiki)", "NAS", "Backup console", "HR files", "Wiki")
	text := fmt.Sprintf("<!DOCTYPE NETSCAPE-Bookmark-file-1>\n<META HTTP-EQUIV=\"Content-Type\" CONTENT=\"text/html; charset=UTF-8\">\n<TITLE>Bookmarks</TITLE>\n<H1>Bookmarks Menu</H1>\n\n<DL><p>\n    <DT><A HREF=\"%s\" ADD_DATE=\"%d\" LAST_MODIFIED=\"%d\">%s</A>\n</DL><p>\n",
		html.EscapeString(k.link("index.html")), at.Unix(), at.Unix(), title)
	names := k.shuffled("bookmarks.html", "bookmarks-"+at.Format("2006-01-02")+".html", "Documents/bookmarks.html")
	return []File{{Path: names[0], Content: []byte(text), Mode: 0o644, Time: at, Else: names[1:]}}, nil
}

// paper is what a document says.
type paper struct {
	name, title string
	lines       []string
}

func (k *maker) paper() paper {
	p := paper{title: k.pick("Network plan", "Password list", "Salaries", "Remote access", "Supplier contract", "Emergency contacts", "Budget")}
	p.name = k.name("file", func() string {
		return strings.ReplaceAll(p.title, " ", k.pick("_", "-", " ")) + k.pick("", "_final", "_v2", fmt.Sprintf(" %d", k.t.Created.Year()), "_draft")
	})
	for range 4 + k.rand.IntN(8) {
		first, last := k.person()
		p.lines = append(p.lines, fmt.Sprintf("%s %s, ext. %d, %s", first, last, 100+k.rand.IntN(800), k.pick("plant", "office", "IT", "purchasing", "laboratory", "gate")))
	}
	return p
}

func (k *maker) document(p paper, ending string, content []byte, at time.Time) []File {
	return []File{{Path: p.name + "." + ending, Content: content, Mode: 0o644, Time: at, Else: []string{"Documents/" + p.name + "." + ending, p.name + "-" + k.suffix()[:2] + "." + ending}}}
}

// page is an HTML file whose logo lies on the decoy.
func (k *maker) page() ([]File, error) {
	p := k.paper()
	at := k.changed()
	var b strings.Builder
	fmt.Fprintf(&b, "<!DOCTYPE html>\n<html>\n<head>\n<meta charset=\"utf-8\">\n<title>%[1]s</title>\n</head>\n<body>\n<img src=\"%[2]s\" alt=\"\" width=\"120\">\n<h1>%[1]s</h1>\n<ul>\n", p.title, html.EscapeString(k.link("logo.png")))
	for _, l := range p.lines {
		fmt.Fprintf(&b, "<li>%s</li>\n", html.EscapeString(l))
	}
	b.WriteString("</ul>\n</body>\n</html>\n")
	return k.document(p, "html", []byte(b.String()), at), nil
}

// entry is a file in an archive.
type entry struct{ name, text string }

// pack makes the archive that office documents are.
func pack(at time.Time, entries []entry) ([]byte, error) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		f, err := w.CreateHeader(&zip.FileHeader{Name: e.name, Method: zip.Deflate, Modified: at})
		if err == nil {
			_, err = f.Write([]byte(e.text))
		}
		if err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

const xmlHead = `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>` + "\n"

// relation is one relationship of Office Open XML.
func relation(id, typ, target string, external bool) string {
	mode := ""
	if external {
		mode = ` TargetMode="External"`
	}
	return fmt.Sprintf(`<Relationship Id="%s" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/%s" Target="%s"%s/>`, id, typ, html.EscapeString(target), mode)
}

func relations(of ...string) string {
	return xmlHead + `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">` + strings.Join(of, "") + `</Relationships>`
}

func (k *maker) core(p paper, at time.Time) string {
	first, last := k.person()
	t := at.UTC().Format(time.RFC3339)
	return xmlHead + fmt.Sprintf(`<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><dc:title>%s</dc:title><dc:creator>%s %s</dc:creator><dcterms:created xsi:type="dcterms:W3CDTF">%s</dcterms:created><dcterms:modified xsi:type="dcterms:W3CDTF">%s</dcterms:modified></cp:coreProperties>`, p.title, first, last, t, t)
}

// picture is a linked image in DrawingML; what it shows lies on the decoy.
const picture = `<pic:pic xmlns:pic="http://schemas.openxmlformats.org/drawingml/2006/picture"><pic:nvPicPr><pic:cNvPr id="1" name="logo"/><pic:cNvPicPr/></pic:nvPicPr><pic:blipFill><a:blip r:link="rId1"/><a:stretch><a:fillRect/></a:stretch></pic:blipFill><pic:spPr><a:xfrm><a:off x="0" y="0"/><a:ext cx="%[1]d" cy="%[1]d"/></a:xfrm><a:prstGeom prst="rect"><a:avLst/></a:prstGeom></pic:spPr></pic:pic>`

// docx is a text document with a linked image.
func (k *maker) docx() ([]File, error) {
	p := k.paper()
	at, size := k.changed(), 300_000+k.rand.IntN(400_000)
	var body strings.Builder
	fmt.Fprintf(&body, `<w:p><w:r><w:drawing><wp:inline distT="0" distB="0" distL="0" distR="0"><wp:extent cx="%[1]d" cy="%[1]d"/><wp:docPr id="1" name="logo"/><a:graphic><a:graphicData uri="http://schemas.openxmlformats.org/drawingml/2006/picture">`+picture+`</a:graphicData></a:graphic></wp:inline></w:drawing></w:r></w:p>`, size)
	for _, l := range append([]string{p.title}, p.lines...) {
		fmt.Fprintf(&body, `<w:p><w:r><w:t>%s</w:t></w:r></w:p>`, html.EscapeString(l))
	}
	data, err := pack(at, []entry{
		{"[Content_Types].xml", xmlHead + `<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/><Override PartName="/docProps/core.xml" ContentType="application/vnd.openxmlformats-package.core-properties+xml"/></Types>`},
		{"_rels/.rels", relations(relation("rId1", "officeDocument", "word/document.xml", false), strings.Replace(relation("rId2", "metadata/core-properties", "docProps/core.xml", false), "officeDocument/2006/relationships/metadata", "package/2006/relationships/metadata", 1))},
		{"docProps/core.xml", k.core(p, at)},
		{"word/_rels/document.xml.rels", relations(relation("rId1", "image", k.link("logo.png"), true))},
		{"word/document.xml", xmlHead + `<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships" xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing" xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"><w:body>` + body.String() + `</w:body></w:document>`},
	})
	return k.document(p, "docx", data, at), err
}

// xlsx is a table with a linked image.
func (k *maker) xlsx() ([]File, error) {
	p := k.paper()
	at, size := k.changed(), 300_000+k.rand.IntN(400_000)
	var rows strings.Builder
	for i, l := range p.lines {
		fmt.Fprintf(&rows, `<row r="%[1]d"><c r="A%[1]d" t="inlineStr"><is><t>%[2]s</t></is></c></row>`, i+6, html.EscapeString(l))
	}
	drawing := fmt.Sprintf(xmlHead+`<xdr:wsDr xmlns:xdr="http://schemas.openxmlformats.org/drawingml/2006/spreadsheetDrawing" xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><xdr:oneCellAnchor><xdr:from><xdr:col>0</xdr:col><xdr:colOff>0</xdr:colOff><xdr:row>0</xdr:row><xdr:rowOff>0</xdr:rowOff></xdr:from><xdr:ext cx="%[1]d" cy="%[1]d"/>`+
		strings.NewReplacer(` xmlns:pic="http://schemas.openxmlformats.org/drawingml/2006/picture"`, "", "pic:", "xdr:").Replace(picture)+`<xdr:clientData/></xdr:oneCellAnchor></xdr:wsDr>`, size)
	data, err := pack(at, []entry{
		{"[Content_Types].xml", xmlHead + `<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/><Override PartName="/xl/drawings/drawing1.xml" ContentType="application/vnd.openxmlformats-officedocument.drawing+xml"/></Types>`},
		{"_rels/.rels", relations(relation("rId1", "officeDocument", "xl/workbook.xml", false))},
		{"xl/workbook.xml", xmlHead + `<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="` + k.pick("Sheet1", "List", "Tabelle1", "2025") + `" sheetId="1" r:id="rId1"/></sheets></workbook>`},
		{"xl/_rels/workbook.xml.rels", relations(relation("rId1", "worksheet", "worksheets/sheet1.xml", false))},
		{"xl/worksheets/sheet1.xml", xmlHead + `<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheetData>` + rows.String() + `</sheetData><drawing r:id="rId1"/></worksheet>`},
		{"xl/worksheets/_rels/sheet1.xml.rels", relations(relation("rId1", "drawing", "../drawings/drawing1.xml", false))},
		{"xl/drawings/drawing1.xml", drawing},
		{"xl/drawings/_rels/drawing1.xml.rels", relations(relation("rId1", "image", k.link("logo.png"), true))},
	})
	return k.document(p, "xlsx", data, at), err
}

// pdf is a document that opens a link: readers ask first, so it fires only
// where its reader says yes, or clicks.
func (k *maker) pdf() ([]File, error) {
	p := k.paper()
	at := k.changed()
	text := "BT /F1 16 Tf 60 780 Td (" + p.title + ") Tj /F1 10 Tf 0 -18 Td (" + strings.Join(p.lines, ") Tj 0 -18 Td (") + ") Tj ET"
	link := strings.NewReplacer(`\`, `\\`, "(", `\(`, ")", `\)`).Replace(k.link("index.html"))
	objects := []string{
		"<< /Type /Catalog /Pages 2 0 R /OpenAction << /S /URI /URI (" + link + ") >> >>",
		"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> /Annots [6 0 R] >>",
		fmt.Sprintf("<< /Length %d >>\nstream\n%s\nendstream", len(text), text),
		"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
		"<< /Type /Annot /Subtype /Link /Rect [0 0 595 842] /Border [0 0 0] /A << /S /URI /URI (" + link + ") >> >>",
		"<< /CreationDate (D:" + at.UTC().Format("20060102150405") + "Z) /Title (" + p.title + ") >>",
	}
	b := bytes.NewBufferString("%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
	var table strings.Builder
	for i, o := range objects {
		fmt.Fprintf(&table, "%010d 00000 n \n", b.Len())
		fmt.Fprintf(b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	start := b.Len()
	fmt.Fprintf(b, "xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %[1]d /Root 1 0 R /Info 7 0 R >>\nstartxref\n%[3]d\n%%%%EOF\n", len(objects)+1, table.String(), start)
	return k.document(p, "pdf", b.Bytes(), at), nil
}
