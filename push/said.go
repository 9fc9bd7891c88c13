package push

import (
	"errors"
	"io"
)

// tailRead is how much is read at once of what mostly is nothing.
const tailRead = 1 << 10

// ReadFrom implements io.ReaderFrom. The buffer that io.Copy makes without it was more than
// a quarter of all memory that a push to many nodes asks for.
func (t *tail) ReadFrom(r io.Reader) (total int64, err error) {
	buf := make([]byte, tailRead)
	for {
		n, err := r.Read(buf)
		total += int64(n)
		t.Write(buf[:n])
		if errors.Is(err, io.EOF) {
			return total, nil
		} else if err != nil {
			return total, err
		}
	}
}
