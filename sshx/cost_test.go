package sshx

import (
	"bufio"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/time/rate"
)

// apartEnv has the test program be a server in a process of its own.
const apartEnv = "SSHX_TEST_SERVER_APART"

// serveApart serves until standard input ends. It prints its address and host key.
func serveApart() {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err == nil {
		err = serveWith(private)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serveWith(private ed25519.PrivateKey) error {
	key, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := &server{hostKeys: []ssh.Signer{key}, onExec: echo}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(c)
		}
	}()
	fmt.Printf("%s %s", l.Addr(), ssh.MarshalAuthorizedKey(key.PublicKey()))
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// startApart starts a server in another process, known to a home.
func startApart(t testing.TB, h *home) (addr string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), apartEnv+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	addr, key, _ := strings.Cut(line, " ")
	_, port, _ := net.SplitHostPort(addr)
	writeFile(t, h.path("known_hosts"), fmt.Sprintf("[127.0.0.1]:%s %s", port, key))
	return addr
}

// connection dials and starts a command that waits for its input.
func connection(t testing.TB, c *Client, addr string) (*Conn, *Process) {
	t.Helper()
	conn, err := c.Dial(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	p, err := conn.Exec(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	return conn, p
}

// finish ends the command of a connection, and the connection.
func finish(t testing.TB, conn *Conn, p *Process) {
	t.Helper()
	p.Stdin().Close()
	out := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, p.Stderr())
		out <- err
	}()
	if b, err := io.ReadAll(p.Stdout()); err != nil || string(b) != "ran x, read " {
		t.Fatalf("%q, %v", b, err)
	}
	if err := <-out; err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
}

// liveKiB measures what each of n connections with a running command holds: heap and stacks.
func liveKiB(t testing.TB, n int) float64 {
	t.Helper()
	h := newHome(t)
	addr := startApart(t, h)
	c := h.client(Options{})
	c.pace.rate.SetLimit(rate.Inf)
	finishOne := func() { conn, p := connection(t, c, addr); finish(t, conn, p) }
	finishOne() // what all of them share is there now
	inUse := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // what sync.Pools hold goes with the second
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	before := inUse()
	conns, processes := make([]*Conn, n), make([]*Process, n)
	for i := range n {
		conns[i], processes[i] = connection(t, c, addr)
	}
	after := inUse()
	for i := range n {
		finish(t, conns[i], processes[i])
	}
	return float64(after-before) / 1024 / float64(n)
}

// cpuTime is what this process has used so far.
func cpuTime(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// maxLiveKiB is what a connection with a running command may hold.
const maxLiveKiB = 64

func TestConnectionsAreSmall(t *testing.T) {
	kib := liveKiB(t, 300)
	t.Logf("%.1f KiB a connection", kib)
	if kib > maxLiveKiB*memoryFactor {
		t.Errorf("that is over %d KiB", maxLiveKiB)
	}
}

// BenchmarkConnection reports the client's part of a connection with one command; the server
// is another process.
func BenchmarkConnection(b *testing.B) {
	b.Run("cpu", func(b *testing.B) {
		h := newHome(b)
		addr := startApart(b, h)
		c := h.client(Options{})
		c.pace.rate.SetLimit(rate.Inf)
		b.ReportAllocs()
		before := cpuTime(b)
		for b.Loop() {
			conn, p := connection(b, c, addr)
			finish(b, conn, p)
		}
		b.ReportMetric(float64(cpuTime(b)-before)/1e6/float64(b.N), "cpu-ms/conn")
	})
	b.Run("live", func(b *testing.B) {
		for b.Loop() {
			b.ReportMetric(liveKiB(b, 500), "live-KiB/conn")
		}
	})
}
