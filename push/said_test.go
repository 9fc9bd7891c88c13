package push

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestTailReadsToTheEnd(t *testing.T) {
	text := strings.Repeat("0123456789", tailLimit/5)
	for _, r := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text)), iotest.DataErrReader(strings.NewReader(text))} {
		var got tail
		if n, err := io.Copy(&got, struct{ io.Reader }{r}); err != nil || n != int64(len(text)) {
			t.Errorf("%d of %d bytes, %v", n, len(text), err)
		}
		if got.String() != text[len(text)-tailLimit:] {
			t.Errorf("kept %q", got.String())
		}
	}
	broken := errors.New("broken")
	var got tail
	if _, err := got.ReadFrom(io.MultiReader(strings.NewReader("said"), iotest.ErrReader(broken))); !errors.Is(err, broken) || got.String() != "said" {
		t.Errorf("%q, %v", got.String(), err)
	}
}
