package sshx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// everyWay runs f over a connection by each transport, to servers that are set up alike.
func everyWay(t *testing.T, f func(t *testing.T, conn *Conn, simple bool)) {
	for _, way := range []string{"native", "ControlPath", "openssh", "like OpenSSH", "simple"} {
		t.Run(way, func(t *testing.T) {
			sock := filepath.Join(shortDir(t), "cm")
			h, _ := realHost(t, "ControlPath "+sock+"\n", "")
			text := fmt.Sprintf("exec ssh -F '%s' -S none -oBatchMode=yes \"$@\"\n", h.path("config"))
			var c *Client
			switch way {
			case "native":
				c = h.client(Options{Transport: TransportNative})
			case "openssh":
				c = h.client(Options{Transport: TransportOpenSSH})
			case "like OpenSSH":
				c = gitClient(t, h, Program{Command: wrapper(t, text), Source: "GIT_SSH"})
			case "simple":
				c = gitClient(t, h, Program{Command: wrapper(t, "case $1 in -*) exit 64;; esac\n"+text), Source: "GIT_SSH"})
			default:
				ownMaster(t, h, sock, "node")
				c = h.client(Options{})
			}
			conn := h.dial(c, "node")
			want := map[string]string{"native": "native", "openssh": "ssh, for the transport openssh", "ControlPath": "the ControlMaster at " + sock,
				"like OpenSSH": "the program of GIT_SSH", "simple": "the program of GIT_SSH, a process for each command"}[way]
			if conn.Transport() != want {
				t.Fatalf("by %q", conn.Transport())
			}
			f(t, conn, way == "simple")
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
			if c.other.sockets.path != "" {
				if pids := mastersOf(t, c); len(pids) > 0 {
					t.Errorf("processes are left: %v", pids)
				}
			}
		})
	}
}

// TestCommandsEndAlikeByEveryTransport has them end as by a connection of our own; only that
// a program run for each command says 255 for what it lost, and for a signal.
func TestCommandsEndAlikeByEveryTransport(t *testing.T) {
	const much = 8 << 20
	everyWay(t, func(t *testing.T, conn *Conn, simple bool) {
		for _, tt := range []struct {
			cmd       string
			status    int
			signal    string
			out, errs string
		}{
			{cmd: "true"}, {cmd: "exit 1", status: 1}, {cmd: "exit 254", status: 254}, {cmd: "/no/such/program 2>/dev/null", status: 127}, {cmd: "/etc/passwd 2>/dev/null", status: 126},
			{cmd: "cat; echo gone >&2; exit 7", status: 7, out: "in\n", errs: "gone\n"},
			{cmd: fmt.Sprintf("head -c %d /dev/zero | tr '\\0' x; head -c %[1]d /dev/zero | tr '\\0' y >&2", much), out: strings.Repeat("x", much), errs: strings.Repeat("y", much)},
			{cmd: "exec >&- 2>&-; cat >/dev/null; exit 3", status: 3},
			{cmd: "kill -KILL $$", status: -1, signal: "KILL"}, // the last: it ends a connection of processes
		} {
			out, errs, err := output(t.Context(), conn, tt.cmd, "in\n")
			if out != tt.out || errs != tt.errs {
				t.Errorf("%s: %d bytes out, %d of errors, want %d and %d", tt.cmd, len(out), len(errs), len(tt.out), len(tt.errs))
			}
			var exit *ExitError
			var lost *LostError
			switch {
			case simple && tt.signal != "":
				if !errors.As(err, &lost) {
					t.Errorf("%s: %v", tt.cmd, err)
				}
			case tt.status == 0 && err != nil,
				tt.status != 0 && (!errors.As(err, &exit) || exit.Status != tt.status || exit.Signal != tt.signal):
				t.Errorf("%s: %v", tt.cmd, err)
			}
		}
	})
}

func TestLinesArriveLiveByEveryTransport(t *testing.T) {
	everyWay(t, func(t *testing.T, conn *Conn, _ bool) {
		p, err := conn.Exec(t.Context(), "echo begun; echo begun >&2; while read line; do echo got $line; done; echo end")
		if err != nil {
			t.Fatal(err)
		}
		sees := func(r io.Reader, want string) {
			t.Helper()
			got := make(chan string, 1)
			go func() {
				b := make([]byte, len(want))
				n, err := io.ReadFull(r, b)
				got <- fmt.Sprint(string(b[:n]), err)
			}()
			if line := await(t, "a line of the command", got); line != want+"<nil>" {
				t.Fatalf("%q, want %q", line, want)
			}
		}
		sees(p.Stdout(), "begun\n")
		sees(p.Stderr(), "begun\n")
		for i := range 20 { // it waits for the next line: none of ours comes too late
			if _, err := fmt.Fprintln(p.Stdin(), i); err != nil {
				t.Fatal(err)
			}
			sees(p.Stdout(), fmt.Sprintln("got", i))
		}
		p.Stdin().Close()
		sees(p.Stdout(), "end\n")
		if err := p.Wait(); err != nil {
			t.Error(err)
		}
	})
}

// TestEndlessCommandsAreCancelledByEveryTransport leaves commands that never end, one of which
// says nothing and one more than anybody reads.
func TestEndlessCommandsAreCancelledByEveryTransport(t *testing.T) {
	why := errors.New("the user left")
	everyWay(t, func(t *testing.T, conn *Conn, _ bool) {
		var wg sync.WaitGroup
		for _, cmd := range []string{"echo begun; exec cat", "echo begun; exec cat /dev/zero"} {
			wg.Go(func() {
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				p, err := conn.Exec(ctx, cmd)
				if err != nil {
					t.Errorf("%s: %v", cmd, err)
					return
				}
				if _, err := io.ReadFull(p.Stdout(), make([]byte, 6)); err != nil {
					t.Errorf("%s: %v", cmd, err)
				}
				cancel(why)
				if err := p.Wait(); !errors.Is(err, why) {
					t.Errorf("%s: %v", cmd, err)
				}
			})
		}
		wg.Wait()
		if out, _, err := output(t.Context(), conn, "echo another", ""); out != "another\n" || err != nil {
			t.Errorf("another command: %q, %v", out, err)
		}
		if _, err := conn.Exec(t.Context(), "exec cat /dev/zero"); err != nil { // for Close to end
			t.Error(err)
		}
	})
}
