package nodeside

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// WriteKey writes the public key with which the node pulls, as authorized_keys has it.
func WriteKey(l Layout, out io.Writer) error {
	key, err := os.ReadFile(l.Key() + ".pub")
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("nodeside: there is no key %s: troops node init makes it", l.Key()+".pub")
	}
	if err == nil {
		_, err = out.Write(key)
	}
	if err != nil {
		return fmt.Errorf("nodeside: showing the node's key: %w", err)
	}
	return nil
}
