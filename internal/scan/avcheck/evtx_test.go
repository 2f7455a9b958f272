package avcheck

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
)

// eventLog writes an .evtx file as Windows does: records in a chunk, elements
// with their names in place.
type eventLog struct{ chunk []byte }

func (l *eventLog) add(parts ...any) {
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			l.chunk = append(l.chunk, byte(p))
		case string:
			for _, u := range utf16.Encode([]rune(p)) {
				l.chunk = binary.LittleEndian.AppendUint16(l.chunk, u)
			}
		case []byte:
			l.chunk = append(l.chunk, p...)
		default:
			var b bytes.Buffer
			if err := binary.Write(&b, binary.LittleEndian, p); err != nil {
				panic(err)
			}
			l.chunk = append(l.chunk, b.Bytes()...)
		}
	}
}

func (l *eventLog) name(s string) {
	l.add(uint32(len(l.chunk)+4), uint32(0), uint16(0), uint16(len(s)), s, uint16(0))
}

func (l *eventLog) text(s string) { l.add(0x05, 0x01, uint16(len(utf16.Encode([]rune(s)))), s) }

// open begins an element; attributes are names and texts in turn.
func (l *eventLog) open(name string, attributes ...string) {
	token := 0x01
	if len(attributes) > 0 {
		token = 0x41
	}
	l.add(token, uint32(0))
	l.name(name)
	if len(attributes) > 0 {
		l.add(uint32(0))
	}
	for i := 0; i < len(attributes); i += 2 {
		l.add(0x06)
		l.name(attributes[i])
		l.text(attributes[i+1])
	}
	l.add(0x02)
}

func (l *eventLog) element(name, text string, attributes ...string) {
	l.open(name, attributes...)
	l.text(text)
	l.add(0x04)
}

// event adds a record of Defender; data are names and texts in turn.
func (l *eventLog) event(number int, id string, at time.Time, data ...string) {
	begin := len(l.chunk)
	filetime := uint64(at.UnixNano()/100) + 116444736000000000
	l.add([]byte("\x2a\x2a\x00\x00"), uint32(0), uint64(number), filetime, 0x0F, 1, 1, 0)
	l.open("Event", "xmlns", "http://schemas.microsoft.com/win/2004/08/events/event")
	l.open("System")
	l.open("Provider", "Name", "Microsoft-Windows-Windows Defender", "Guid", "{11cd958a-c507-4ef3-b3f2-5fd9dfbd2c78}")
	l.add(0x04)
	l.element("EventID", id)
	l.element("Level", "3")
	l.open("TimeCreated", "SystemTime", at.UTC().Format("2006-01-02T15:04:05.000000Z"))
	l.add(0x04)
	l.element("Channel", "Microsoft-Windows-Windows Defender/Operational")
	l.element("Computer", "PC-7")
	l.add(0x04)
	l.open("EventData")
	for i := 0; i < len(data); i += 2 {
		l.element("Data", data[i+1], "Name", data[i])
	}
	l.add(0x04, 0x04, 0x00)
	size := uint32(len(l.chunk) - begin + 4)
	l.add(size)
	binary.LittleEndian.PutUint32(l.chunk[begin+4:], size)
}

func (l *eventLog) file() []byte {
	binary.LittleEndian.PutUint32(l.chunk[48:], uint32(len(l.chunk)))
	file := make([]byte, 4096+65536)
	copy(file, "ElfFile\x00")
	file[42] = 1 // chunks
	copy(file[4096:], l.chunk)
	return file
}

// detection is the data of 1116 and 1117, in their order.
func detection(path, actionID, action string) []string {
	return []string{
		"Product Name", "Microsoft Defender Antivirus", "Product Version", "4.18.24090.11", "Detection ID", "{9E8A2A41-1A2B-4C3D-8E4F-000000000001}",
		"Detection Time", "2026-01-02T03:04:05.678Z", "Unused", "", "Unused2", "", "Threat ID", "2147519003", "Threat Name", "Virus:DOS/EICAR_Test_File",
		"Severity ID", "5", "Severity Name", "Schwerwiegend", "Category ID", "42", "Category Name", "Virus", "FWLink", "https://go.microsoft.com/fwlink/",
		"Status Code", "1", "Status Description", "", "State", "1", "Source ID", "3", "Source Name", "Echtzeitschutz", "Process Name", `C:\Windows\explorer.exe`,
		"Detection User", `PC-7\anna`, "Unused3", "", "Path", path, "Origin ID", "1", "Origin Name", "Lokaler Computer", "Execution ID", "0",
		"Execution Name", "Unbekannt", "Type ID", "0", "Type Name", "Konkret", "Pre Execution Status", "0", "Action ID", actionID, "Action Name", action,
		"Unused4", "", "Error Code", "0x00000000", "Error Description", "Der Vorgang wurde erfolgreich beendet. ", "Unused5", "", "Post Clean Status", "0",
		"Additional Actions ID", "0", "Additional Actions String", "No additional actions", "Remediation User", `NT-AUTORITÄT\SYSTEM`, "Unused6", "",
		"Security intelligence Version", "AV: 1.421.226.0, AS: 1.421.226.0, NIS: 1.421.226.0", "Engine Version", "AM: 1.1.24090.11, NIS: 1.1.24090.11",
	}
}

// A log as `wevtutil epl` writes it, of a machine that speaks German.
func TestDefendersOwnLog(t *testing.T) {
	events := filepath.Join(t.TempDir(), "defender.evtx")
	if err := os.WriteFile(events, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l := &eventLog{chunk: make([]byte, 512)}
	copy(l.chunk, "ElfChnk\x00")
	now := time.Now()
	l.event(1, "1116", now, detection(`file:_C:\Freigabe\avtest\eicar.com`, "9", "Nicht zutreffend")...)
	l.event(2, "1116", now, detection(`containerfile:_C:\Freigabe\avtest\eicar.zip; file:_C:\Freigabe\avtest\eicar.zip->eicar.com`, "9", "Nicht zutreffend")...)
	l.event(3, "1117", now, detection(`containerfile:_C:\Freigabe\avtest\eicar.zip; file:_C:\Freigabe\avtest\eicar.zip->eicar.com`, "2", "Quarantäne")...)
	l.event(4, "1117", now, detection(`file:_C:\Freigabe\avtest\holiday.jpg`, "10", "Blockieren")...)
	l.event(5, "1117", now, detection(`file:_C:\Freigabe\avtest\eicar.tar.gz`, "6", "Zulassen")...)
	l.event(6, "5001", now, "Product Name", "Microsoft Defender Antivirus", "Product Version", "4.18.24090.11")
	const key = `HKLM\SOFTWARE\Microsoft\Windows Defender\Exclusions\Paths\`
	l.event(7, "5007", now, "Product Name", "Microsoft Defender Antivirus", "Product Version", "4.18.24090.11", "Old Value", "", "New Value", key+`C:\Freigabe = 0x0`)
	l.event(8, "5007", now, "Product Name", "Microsoft Defender Antivirus", "Product Version", "4.18.24090.11", "Old Value", key+`D:\alt = 0x0`, "New Value", "")
	l.event(9, "1000", now, "Product Name", "Microsoft Defender Antivirus")
	rep, err := during(t, Config{Wait: 500 * time.Millisecond, Events: events}, func(string) { os.WriteFile(events, l.file(), 0o600) })
	if err != nil {
		t.Fatal(err)
	}
	got := outcomes(rep)
	for name, want := range map[string]string{
		"eicar.com": Logged, "eicar.zip": Quarantined, "holiday.jpg": Blocked, "eicar.tar.gz": Logged, "eicar-nested.zip": Nothing, "harmless.txt": Nothing,
	} {
		if got[name] != want {
			t.Errorf("%s: %s, want %s", name, got[name], want)
		}
	}
	notes := strings.Join(rep.State.Notes, "\n")
	for _, want := range []string{"turned off (5001", `given an exclusion (5007`, `Exclusions\Paths\C:\Freigabe = 0x0`, `taken away (5007`, `D:\alt`, "AV: 1.421.226.0"} {
		if !strings.Contains(notes, want) {
			t.Errorf("no %q in\n%s", want, notes)
		}
	}
	if rep.Results[0].Name != "Virus:DOS/EICAR_Test_File" || rep.Results[0].By != "Defender event 1116" {
		t.Errorf("%+v", rep.Results[0])
	}
}

// TestEventsBeingWritten takes a file that grows while it is read: that is no
// fault of it.
func TestEventsBeingWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "e.jsonl")
	line := `{"EventID":5001,"Channel":"Microsoft-Windows-Windows Defender/Operational"}` + "\n"
	if err := os.WriteFile(path, []byte(line+`{"EventID":50`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := openEvents(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.each(func(*defenderEvent) {}); err == nil {
		t.Fatal("a line that is cut off is no fault")
	}
	e.size = 0
	grown := false
	err = e.each(func(*defenderEvent) {
		if !grown {
			grown = true
			if err := os.WriteFile(path, []byte(line+line+line), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	})
	if err != nil || !grown {
		t.Errorf("grown %v: %v", grown, err)
	}
	n := 0
	if err := e.each(func(*defenderEvent) { n++ }); err != nil || n != 3 {
		t.Errorf("%d events, not 3: %v", n, err)
	}
}
