package pemod

import "testing"

// TestOrdinalName holds numbers of both lists, and numbers that have no name.
func TestOrdinalName(t *testing.T) {
	for _, c := range []struct {
		library string
		n       int64
		want    string
	}{
		{"ws2_32.dll", 1, "accept"},
		{"wsock32.dll", 116, "WSACleanup"},
		{"ws2_32.dll", 117, ""},
		{"ws2_32.dll", 151, "__WSAFDIsSet"},
		{"ws2_32.dll", 500, "WEP"},
		{"oleaut32.dll", 1, ""},
		{"oleaut32.dll", 2, "SysAllocString"},
		{"oleaut32.dll", 151, "DllRegisterServer"},
		{"oleaut32.dll", 187, "VarDecFix"},
		{"oleaut32.dll", 205, "VarI2FromI1"},
		{"oleaut32.dll", 240, "VarUI1FromDec"},
		{"oleaut32.dll", 256, "VarI1FromDec"},
		{"oleaut32.dll", 283, "BSTR_UserSize"},
		{"oleaut32.dll", 302, ""},
		{"oleaut32.dll", 319, "VarDateFromUdateEx"},
		{"oleaut32.dll", 345, "VarI8FromDec"},
		{"oleaut32.dll", 349, "VarI4FromUI8"},
		{"oleaut32.dll", 350, ""},
		{"oleaut32.dll", 379, "VarUI2FromUI8"},
		{"oleaut32.dll", 424, "OleLoadPicturePath"},
		{"oleaut32.dll", 443, "UnRegisterTypeLibForUser"},
		{"oleaut32.dll", 444, ""},
		{"kernel32.dll", 2, ""},
	} {
		if got := ordinalName(c.library, c.n); got != c.want {
			t.Errorf("%s %d is %q, not %q", c.library, c.n, got, c.want)
		}
	}
}
