package sshx

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
)

// ownMaster starts `ssh -M -N` of the user's own, with its socket at path.
func ownMaster(t testing.TB, h *home, path, host string) *exec.Cmd {
	t.Helper()
	w, err := fsnotify.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Add(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(needs(t, "ssh"), "-F", h.path("config"), "-M", "-N", "-S", path, "-oBatchMode=yes", "-oControlPersist=no", host)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for e := range w.Events {
		if e.Name == path {
			return cmd
		}
	}
	t.Fatal("no control socket")
	return nil
}

// realHost is a home with one real server, which is called "node" there.
func realHost(t testing.TB, extra, sshdConfig string) (*home, *sshd) {
	t.Helper()
	s := startSSHD(t, sshdConfig)
	h := realHome(t, fmt.Sprintf("%s\nHost node\n HostName 127.0.0.1\n Port %s\n", extra, s.port), s)
	return h, s
}

// shortDir is a directory whose path is short enough for sockets, whatever the test's name.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "sshx-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// overMaster is a connection over a control socket, of the user's or of our own.
func overMaster(t testing.TB, own bool, sshdConfig string) (*Conn, *Client) {
	t.Helper()
	sock := filepath.Join(shortDir(t), "cm")
	h, _ := realHost(t, "ControlPath "+sock+"\n", sshdConfig)
	options := Options{Transport: TransportOpenSSH}
	if own {
		ownMaster(t, h, sock, "node")
		options.Transport = TransportAuto
	}
	c := h.client(options)
	conn := h.dial(c, "node")
	want := "ssh, for "
	if own {
		want = "the ControlMaster at " + sock
	}
	if !strings.HasPrefix(conn.Transport(), want) {
		t.Fatalf("by %q, want %q", conn.Transport(), want)
	}
	return conn, c
}

func eachMaster(t *testing.T, sshdConfig string, f func(t *testing.T, conn *Conn)) {
	for name, own := range map[string]bool{"ControlPath": true, "started": false} {
		t.Run(name, func(t *testing.T) {
			conn, _ := overMaster(t, own, sshdConfig)
			f(t, conn)
		})
	}
}

func TestMasterCarriesStreamsAndStatus(t *testing.T) {
	eachMaster(t, "", func(t *testing.T, conn *Conn) {
		out, errs, err := output(t.Context(), conn, "cat; echo gone >&2; exit 7", "hello\n")
		var exit *ExitError
		if out != "hello\n" || errs != "gone\n" || !errors.As(err, &exit) || exit.Status != 7 {
			t.Errorf("%q, %q, %v", out, errs, err)
		}
		if _, _, err := output(t.Context(), conn, "exit 255", ""); !errors.As(err, &exit) || exit.Status != 255 {
			t.Errorf("status 255: %v", err)
		}
		if _, _, err := output(t.Context(), conn, "kill -TERM $$", ""); !errors.As(err, &exit) || exit.Signal != "TERM" {
			t.Errorf("signal: %v", err)
		}
		out, _, err = output(t.Context(), conn, "echo agent=$SSH_AUTH_SOCK display=$DISPLAY; tty", "")
		if !strings.HasPrefix(out, "agent= display=\nnot a tty") {
			t.Errorf("forwarded or a terminal: %q, %v", out, err)
		}
	})
}

func TestMasterCarriesMuchBothWays(t *testing.T) {
	eachMaster(t, "RekeyLimit 1M\n", func(t *testing.T, conn *Conn) { carryMuch(t, conn) })
}

// carryMuch sends 8 MiB to a command and has it back.
func carryMuch(t *testing.T, conn *Conn) {
	t.Helper()
	data := bytes.Repeat([]byte("0123456789abcdef"), 8<<16)
	p, err := conn.Exec(t.Context(), "cat; echo end >&2")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := p.Stdin().Write(data); err != nil {
			t.Error(err)
		}
		p.Stdin().Close()
	})
	wg.Go(func() { io.Copy(io.Discard, p.Stderr()) })
	sum := sha256.New()
	n, err := io.Copy(sum, p.Stdout())
	wg.Wait()
	if want := sha256.Sum256(data); err != nil || n != int64(len(data)) || !bytes.Equal(sum.Sum(nil), want[:]) {
		t.Errorf("%d bytes, %v", n, err)
	}
	if err := p.Wait(); err != nil {
		t.Error(err)
	}
}

func TestFiftyCommandsOverOneMaster(t *testing.T) {
	for _, tt := range []struct {
		sshd    string
		refused bool
	}{{"MaxSessions 10\n", true}, {"MaxSessions 100\n", false}} {
		eachMaster(t, tt.sshd, func(t *testing.T, conn *Conn) {
			var wg sync.WaitGroup
			errs := make([]error, 50)
			hold := make(chan struct{})
			var begun sync.WaitGroup
			begun.Add(len(errs))
			for i := range errs {
				wg.Go(func() {
					p, err := conn.Exec(t.Context(), fmt.Sprintf("cat; echo %d", i))
					begun.Done()
					if errs[i] = err; err != nil {
						return
					}
					defer p.Close()
					<-hold // all at once
					p.Stdin().Close()
					go io.Copy(io.Discard, p.Stderr())
					out, err := io.ReadAll(p.Stdout())
					if err != nil || string(out) != fmt.Sprintln(i) {
						t.Errorf("%d: %q, %v", i, out, err)
					}
					errs[i] = p.Wait()
				})
			}
			begun.Wait()
			close(hold)
			wg.Wait()
			refused := 0
			for _, err := range errs {
				var ce *ChannelError
				switch {
				case errors.As(err, &ce) && ce.Op == "open":
					refused++
				case err != nil:
					t.Error(err)
				}
			}
			if want := 40; tt.refused && refused != want || !tt.refused && refused != 0 {
				t.Errorf("%d of 50 refused", refused)
			}
			if _, _, err := output(t.Context(), conn, "true", ""); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

func TestMasterCancelClosesTheChannelOnly(t *testing.T) {
	eachMaster(t, "", func(t *testing.T, conn *Conn) {
		fifo := filepath.Join(t.TempDir(), "fifo")
		if err := syscall.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		p, err := conn.Exec(ctx, "cat; echo end > "+fifo)
		if err != nil {
			t.Fatal(err)
		}
		why := errors.New("the user left")
		cancel(why)
		if err := p.Wait(); !errors.Is(err, why) {
			t.Errorf("Wait: %v", err)
		}
		ended := make(chan string, 1)
		go func() { b, _ := os.ReadFile(fifo); ended <- string(b) }()
		if got := await(t, "the end of the command's input", ended); got != "end\n" {
			t.Errorf("got %q", got)
		}
		if _, _, err := output(t.Context(), conn, "true", ""); err != nil {
			t.Errorf("another command: %v", err)
		}
	})
}

// mastersOf gives the processes of a Client's masters.
func mastersOf(t *testing.T, c *Client) (pids []int) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(files) == 0 {
		t.Skipf("there is no /proc here: %v", err)
	}
	for _, f := range files {
		if line, err := os.ReadFile(f); err == nil && bytes.Contains(line, []byte("\x00-S\x00"+c.other.sockets.path+"/")) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f)))
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
	}
	return pids
}

func TestMasterThatDiesIsALostConnection(t *testing.T) {
	conn, c := overMaster(t, false, "")
	p, err := conn.Exec(t.Context(), "cat")
	if err != nil {
		t.Fatal(err)
	}
	pids := mastersOf(t, c)
	if len(pids) != 1 {
		t.Fatalf("masters: %v", pids)
	}
	if err := syscall.Kill(pids[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	await(t, "the end", conn.Done())
	io.Copy(io.Discard, p.Stdout())
	var lost *LostError
	var pe *ProgramError
	if err := p.Wait(); !errors.As(err, &lost) || !errors.As(err, &pe) || !strings.Contains(err.Error(), "signal: killed") {
		t.Errorf("Wait: %v", err)
	}
	if _, err := conn.Exec(t.Context(), "true"); !errors.As(err, &lost) {
		t.Errorf("Exec: %v", err)
	}
}

func TestUsersMasterThatDiesIsALostConnection(t *testing.T) {
	sock := filepath.Join(shortDir(t), "cm")
	h, _ := realHost(t, "ControlPath "+sock+"\n", "")
	master := ownMaster(t, h, sock, "node")
	c := h.client(Options{})
	conn := h.dial(c, "node")
	p, err := conn.Exec(t.Context(), "cat")
	if err != nil {
		t.Fatal(err)
	}
	master.Process.Kill() // leaves its socket behind
	io.Copy(io.Discard, p.Stdout())
	var lost *LostError
	if err := p.Wait(); !errors.As(err, &lost) || !strings.Contains(err.Error(), "the ControlMaster at "+sock+" closed it") {
		t.Errorf("Wait: %v", err)
	}
	if _, err := os.Lstat(sock); err != nil {
		t.Fatal(err)
	}
	if again := h.dial(c, "node"); again.Transport() != nativeTransport {
		t.Errorf("by %q although the socket is stale", again.Transport())
	}
}

func TestControlPathsThatAreNotUsed(t *testing.T) {
	dir := shortDir(t)
	stale, file, silent, foreign := filepath.Join(dir, "stale"), filepath.Join(dir, "file"), filepath.Join(dir, "silent"), filepath.Join(dir, "foreign")
	for _, path := range []string{stale, silent, foreign} {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		if path == stale {
			l.Close()
			continue
		}
		t.Cleanup(func() { l.Close() }) // nobody answers there
	}
	writeFile(t, file, "")
	if os.Getuid() == 0 {
		if err := os.Lchown(foreign, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	} else {
		foreign = stale
	}
	for path, says := range map[string]string{stale: "connection refused", file: "no socket", silent: "did not answer", foreign: "another user", dir + "/none": "", "none": ""} {
		h, _ := realHost(t, "ControlPath "+path+"\n", "")
		var mu sync.Mutex
		var said strings.Builder
		c := h.client(Options{Logf: func(f string, a ...any) { mu.Lock(); defer mu.Unlock(); fmt.Fprintf(&said, f+"\n", a...) }, ConnectTimeout: time.Second})
		if conn := h.dial(c, "node"); conn.Transport() != nativeTransport {
			t.Errorf("%s: by %q", path, conn.Transport())
		}
		if path == foreign && os.Getuid() != 0 {
			continue
		}
		mu.Lock()
		if !strings.Contains(said.String(), says) || says == "" && said.Len() > 0 {
			t.Errorf("%s: said %q", path, said.String())
		}
		mu.Unlock()
	}
}

func TestMasterWithoutRoomForASessionIsNotUsed(t *testing.T) {
	sock := filepath.Join(shortDir(t), "cm")
	h, _ := realHost(t, "ControlPath "+sock+"\n", "MaxSessions 1\n")
	ownMaster(t, h, sock, "node")
	c := h.client(Options{})
	busy := h.dial(c, "node")
	p, err := busy.Exec(t.Context(), "cat")
	if err != nil {
		t.Fatal(err)
	}
	if conn := h.dial(c, "node"); busy.Transport() == nativeTransport || conn.Transport() != nativeTransport {
		t.Errorf("by %q, then %q", busy.Transport(), conn.Transport())
	}
	p.Close()
}

func TestMastersLeaveNothing(t *testing.T) {
	h, s := realHost(t, "", "")
	parent := shortDir(t)
	t.Setenv("TMPDIR", parent)
	c := h.client(Options{Transport: TransportOpenSSH})
	var conns []*Conn
	for range 4 {
		conns = append(conns, h.dial(c, "node"))
	}
	if st, err := os.Stat(c.other.sockets.path); err != nil || st.Mode().Perm() != 0o700 || filepath.Dir(c.other.sockets.path) != parent {
		t.Errorf("directory of the sockets: %v, %v", st, err)
	}
	left := func() int { e, _ := os.ReadDir(c.other.sockets.path); return len(e) }
	if left() != len(conns) {
		t.Errorf("%d sockets", left())
	}
	s.authorize(t, keyText(newKey(t).PublicKey()))
	if _, err := c.Dial(t.Context(), "node"); err == nil {
		t.Error("let in")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Dial(ctx, "node"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	for _, conn := range conns {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
	if left() != 0 {
		t.Errorf("%d sockets are left", left())
	}
	if pids := mastersOf(t, c); len(pids) > 0 {
		t.Errorf("processes are left: %v", pids)
	}
	c.Close()
	if e, err := os.ReadDir(parent); err != nil || len(e) > 0 {
		t.Errorf("left: %v, %v", e, err)
	}
	if !c.other.programs.TryAcquire(MaxPrograms) {
		t.Error("not all turns were given back")
	}
}

func TestProgramFailuresAreTyped(t *testing.T) {
	h, s := realHost(t, "LogLevel QUIET\n", "") // it says why all the same
	known := string(readFile(t, h.path("known_hosts")))
	options := Options{Transport: TransportOpenSSH}
	fail := func(what string) *DialError {
		t.Helper()
		_, err := h.client(options).Dial(t.Context(), "node")
		var de *DialError
		if !errors.As(err, &de) {
			t.Fatalf("%s: %v", what, err)
		}
		return de
	}
	var key *HostKeyError
	writeFile(t, h.path("known_hosts"), "")
	if e := fail("unknown key"); !errors.As(e, &key) || key.Kind != KeyUnknown || e.Stage != StageHostKey || !isFinal(e) {
		t.Errorf("unknown key: %v", e)
	}
	name := "[127.0.0.1]:" + s.port
	writeFile(t, h.path("known_hosts"), name+" "+keyText(newKey(t).PublicKey())+"\n")
	if e := fail("changed key"); !errors.As(e, &key) || key.Kind != KeyChanged {
		t.Errorf("changed key: %v", e)
	}
	writeFile(t, h.path("known_hosts"), known+"@revoked * "+s.publicLine(t, "ed25519")+"\n")
	if e := fail("revoked key"); !errors.As(e, &key) || key.Kind != KeyRevoked {
		t.Errorf("revoked key: %v", e)
	}
	writeFile(t, h.path("known_hosts"), known)
	s.authorize(t, keyText(newKey(t).PublicKey()))
	var auth *AuthError
	if e := fail("refused"); !errors.As(e, &auth) || !slices.Equal(auth.Methods, []string{"publickey"}) || e.Stage != StageAuth ||
		!strings.Contains(e.Error(), "Permission denied (publickey)") || !strings.Contains(e.Error(), "load the right one with ssh-add") || !strings.Contains(e.Error(), "`ssh -v -o BatchMode=yes node true` shows") {
		t.Errorf("refused: %v", e)
	}
	h.config("Host node\n HostName 127.0.0.1\n Port 1\n")
	if e := fail("closed port"); e.Stage != StageConnect || !strings.Contains(e.Error(), "Connection refused") {
		t.Errorf("closed port: %v", e)
	}
	h.config("Host node\n HostName nowhere.invalid\n")
	if e := fail("no such name"); e.Stage != StageResolve {
		t.Errorf("no such name: %v", e)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	_, port, _ := net.SplitHostPort(silent.Addr().String())
	h.config("Host node\n HostName 127.0.0.1\n Port " + port + "\n")
	options.ConnectTimeout, options.HandshakeTimeout, options.AuthTimeout = 20*time.Millisecond, 20*time.Millisecond, 20*time.Millisecond
	var timeout *TimeoutError
	if e := fail("silence"); !errors.As(e, &timeout) {
		t.Errorf("silence: %v", e)
	}
}

func TestProgramWaitsForAServerThatLimitsConnections(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	tries := 0
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			tries++
			io.WriteString(c, "Exceeded MaxStartups\r\n")
			c.Close()
		}
	})
	_, port, _ := net.SplitHostPort(l.Addr().String())
	h := newHome(t)
	h.config("Host node\n HostName 127.0.0.1\n Port " + port + "\n")
	_, err = h.client(Options{Transport: TransportOpenSSH}).Dial(t.Context(), "node")
	l.Close()
	wg.Wait()
	var throttle *ThrottleError
	if !errors.As(err, &throttle) || throttle.Tries != maxThrottleTries || tries != maxThrottleTries {
		t.Errorf("%d tries: %v", tries, err)
	}
}
