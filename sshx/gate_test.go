package sshx

import (
	"net"
	"sync"
	"testing"
)

// gate is a TCP relay that can stop to carry what the server says.
type gate struct {
	addr    string
	backend *server

	mu      sync.Mutex
	open    *sync.Cond
	blocked bool
	ended   bool
}

// newGate puts a gate before a server.
func newGate(t testing.TB, s *server) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{addr: l.Addr().String(), backend: s}
	g.open = sync.NewCond(&g.mu)
	var wg sync.WaitGroup
	var conns []net.Conn
	wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", s.addr)
			if err != nil {
				in.Close()
				return
			}
			g.mu.Lock()
			conns = append(conns, in, out)
			g.mu.Unlock()
			wg.Go(func() { g.carry(out, in, false) })
			wg.Go(func() { g.carry(in, out, true) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		g.mu.Lock()
		g.ended = true
		for _, c := range conns {
			c.Close()
		}
		g.open.Broadcast()
		g.mu.Unlock()
		wg.Wait()
	})
	return g
}

// carry copies from src to dst; gated stops while the gate is blocked.
func (g *gate) carry(dst, src net.Conn, gated bool) {
	defer dst.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := src.Read(buf)
		if err != nil {
			return
		}
		g.mu.Lock()
		for gated && g.blocked && !g.ended {
			g.open.Wait()
		}
		g.mu.Unlock()
		if _, err := dst.Write(buf[:n]); err != nil {
			return
		}
	}
}

// block stops what the server says from now on.
func (g *gate) block() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.blocked = true
}

// server is the backend as clients see it: at the gate's address.
func (g *gate) server() *server {
	return &server{t: g.backend.t, hostKeys: g.backend.hostKeys, addr: g.addr}
}
