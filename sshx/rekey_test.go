package sshx

import "testing"

func TestRekeyBytes(t *testing.T) {
	for in, want := range map[string]int64{
		"default": 0, "0": 0, "16": 16, "1000": 1000, "64K": 64 << 10, "1m": 1 << 20, "1.5G": 3 << 29, "2T": 2 << 40, "32B": 32,
		"": -1, "15": -1, "1K1": -1, "-1": -1, "1e3": -1, "0x10": -1, "inf": -1, "1Z": -1, "K": -1, "9E": -1, "1.2.3": -1,
	} {
		got, err := parseRekeyBytes(in)
		if (err != nil) != (want < 0) || err == nil && got != want {
			t.Errorf("%q: %d, %v", in, got, err)
		}
	}
}
