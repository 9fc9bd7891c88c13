package sshx

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
)

// A key with a passphrase, a real sshd, and more hosts than one: the passphrase is asked for
// once, and only since the server takes the key.
func TestRealPassphraseKey(t *testing.T) {
	s := startSSHD(t, "")
	h := realHome(t, "", s)
	locked := writeKey(t, h.path("locked"), "open sesame")
	s.authorize(t, keyText(locked.PublicKey()))
	writeFile(t, h.path("config"), "IdentityFile "+h.path("locked")+"\n"+string(readFile(t, h.path("config"))))
	var asked atomic.Int32
	c := h.client(Options{Interactive: true, AskPassphrase: func(_ context.Context, path string) ([]byte, error) {
		asked.Add(1)
		if path != h.path("locked") {
			t.Errorf("asked for %s", path)
		}
		return []byte("open sesame"), nil
	}})
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			conn, err := c.Dial(t.Context(), s.addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			if out, _, err := output(t.Context(), conn, "echo in", ""); out != "in\n" || err != nil {
				t.Errorf("%q, %v", out, err)
			}
		})
	}
	wg.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	// Without anybody to ask, the key is no use.
	if conn, err := h.client(Options{}).Dial(t.Context(), s.addr); err == nil {
		conn.Close()
		t.Error("in without the passphrase")
	}
}
