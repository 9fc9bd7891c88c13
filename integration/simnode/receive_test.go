package simnode

import (
	"bytes"
	"crypto/sha1"
	"strings"
	"testing"
	"testing/iotest"
)

func TestReadPack(t *testing.T) {
	body := "PACK" + strings.Repeat("objects ", 10_000)
	sum := sha1.Sum([]byte(body))
	whole := body + string(sum[:])
	for _, tt := range []struct{ name, pack, err string }{
		{"whole", whole, ""},
		{"cut", whole[:len(whole)-1], "sum"},
		{"changed", strings.Replace(whole, "objects", "OBJECTS", 1), "sum"},
		{"no pack", "ERR " + whole, "no pack"},
		{"nothing", "", "sum"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, data := range []string{"at once", "byte by byte"} {
				r := iotest.DataErrReader(strings.NewReader(tt.pack))
				if data == "byte by byte" {
					r = iotest.OneByteReader(bytes.NewReader([]byte(tt.pack)))
				}
				err := readPack(r)
				if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
					t.Errorf("%s: error %v, want %q", data, err, tt.err)
				}
			}
		})
	}
}

// TestTwoFleets has two at once: the second finds addresses of its own.
func TestTwoFleets(t *testing.T) {
	for range 2 {
		f, err := Start(t.Context(), Options{Dir: t.TempDir(), Nodes: 3})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
