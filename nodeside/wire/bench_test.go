package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
)

// BenchmarkReader reads frames as small as a line and as large as they get.
func BenchmarkReader(b *testing.B) {
	for _, size := range []int{40, 4 << 10, MaxPayload} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			var in []byte
			for len(in) < 1<<20 {
				in = AppendFrame(in, Stdout, bytes.Repeat([]byte("x"), size))
			}
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				for r := NewReader(bytes.NewReader(in)); ; {
					if _, err := r.Next(); errors.Is(err, io.EOF) {
						break
					} else if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
