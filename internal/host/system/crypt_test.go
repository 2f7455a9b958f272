package system

import "testing"

// TestCrypt wants the hashes that openssl passwd gives.
func TestCrypt(t *testing.T) {
	for want, got := range map[string]string{
		"$1$abcdefgh$cHJi5PXp/ki/ktXzqlk6I1": md5crypt("$1$", "abcdefgh", "secret"),
		"$6$abcdefgh$ltjgWl6579NluT/Vi1nwEvcil.G5Nbc4NiXZaNGStk8PSwGfQv72N2CKPPrVACtLtip/cZ/1GM/O6IND4WQhG.": shaCrypt(512, "abcdefgh", "secret"),
		"$5$ab$QC5GKcE5kgMGJf0sNCzrqT/sGcwXhEWAp4Sxjx2lFJA":                                                  shaCrypt(256, "ab", "pw"),
	} {
		if got != want {
			t.Errorf("gives %s, want %s", got, want)
		}
	}
}
