package cli

import "testing"

func TestRecordLine(t *testing.T) {
	t.Setenv("TZ", "UTC")
	for line, want := range map[string]string{
		`{"@timestamp":"x","event.action":"request","event.dataset":"nginx.access","lapwing.host":"www01","source.ip":"10.0.0.1","source.port":4000,"destination.ip":"10.0.0.2","destination.port":80,"http.request.method":"GET","url.original":"/a","http.response.status_code":404}`:
		/**/ "--:--:-- www01 nginx.access 10.0.0.1:4000 -> 10.0.0.2:80 request GET /a status=404",
		`{"@timestamp":"x","event.action":"logged","event.dataset":"windows.sysmon_operational","host.name":"gis01","EventID":1,"Image":"C:\\a.exe","OriginalFileName":"-","CommandLine":"a  b"}`:
		/**/ `--:--:-- gis01 windows.sysmon_operational event=1 Image=C:\a.exe CommandLine=a b`,
		`{"@timestamp":"x","source.ip":"10.0.0.1"}`: "--:--:-- 10.0.0.1 ->",
		`no JSON`:               "no JSON",
		`{"user.name":[1,"x"]}`: "--:--:-- user=[1 x]",
	} {
		if got := recordLine([]byte(line)); got != want {
			t.Errorf("%s\n is %q,\nwant %q", line, got, want)
		}
	}
}
