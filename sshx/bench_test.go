package sshx

import (
	"io"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/time/rate"
)

// BenchmarkDialExec compares a connection with one command here with the ssh library alone.
func BenchmarkDialExec(b *testing.B) {
	h := newHome(b)
	s := (&server{onExec: echo}).start(b)
	h.knows(s)
	b.Run("sshx", func(b *testing.B) {
		c := h.client(Options{})
		c.pace.rate.SetLimit(rate.Inf)
		b.ReportAllocs()
		for b.Loop() {
			conn, err := c.Dial(b.Context(), s.addr)
			if err != nil {
				b.Fatal(err)
			}
			p, err := conn.Exec(b.Context(), "x")
			if err != nil {
				b.Fatal(err)
			}
			p.Stdin().Close()
			go io.Copy(io.Discard, p.Stderr())
			if _, err := io.ReadAll(p.Stdout()); err != nil {
				b.Fatal(err)
			}
			if err := p.Wait(); err != nil {
				b.Fatal(err)
			}
			conn.Close()
		}
	})
	b.Run("library", func(b *testing.B) {
		config := &ssh.ClientConfig{User: "tester", Auth: []ssh.AuthMethod{ssh.PublicKeys(h.key)}, HostKeyCallback: ssh.FixedHostKey(s.hostKeys[0].PublicKey())}
		b.ReportAllocs()
		for b.Loop() {
			conn, err := ssh.Dial("tcp", s.addr, config)
			if err != nil {
				b.Fatal(err)
			}
			session, err := conn.NewSession()
			if err != nil {
				b.Fatal(err)
			}
			if _, err := session.Output("x"); err != nil {
				b.Fatal(err)
			}
			conn.Close()
		}
	})
}
