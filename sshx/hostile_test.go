package sshx

import (
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

// hostileServer lets everybody in and reaches for what the user has: it opens channels to the
// agent, the display and the user's network, once it is asked for anything.
type hostileServer struct {
	*server
	tried chan struct{} // one for each connection on which it has tried all

	mu  sync.Mutex
	got []string
}

// startHostile starts one.
func startHostile(t *testing.T) *hostileServer {
	t.Helper()
	h := &hostileServer{tried: make(chan struct{}, 100)}
	gets := func(what string) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.got = append(h.got, what)
	}
	origin := struct {
		Addr string
		Port uint32
	}{"127.0.0.1", 1}
	forwarded := struct {
		Addr       string
		Port       uint32
		Origin     string
		OriginPort uint32
	}{"localhost", 22, "127.0.0.1", 1}
	payloads := map[string][]byte{
		"auth-agent@openssh.com": nil, "x11": ssh.Marshal(origin), "forwarded-tcpip": ssh.Marshal(forwarded), "direct-tcpip": ssh.Marshal(forwarded),
		"forwarded-streamlocal@openssh.com": ssh.Marshal(struct{ Path, Reserved string }{"/s", ""}), "tun@openssh.com": ssh.Marshal(struct{ Mode, Unit uint32 }{1, 0}), "session": nil,
	}
	h.server = &server{
		onExec:    func(string, ssh.Channel) int { return 0 },
		onRequest: func(kind string) { gets("request " + kind) },
		onLogin: func(sc *ssh.ServerConn) {
			for kind, payload := range payloads {
				if ch, reqs, err := sc.OpenChannel(kind, payload); err == nil {
					h.wg.Go(func() { ssh.DiscardRequests(reqs) })
					ch.Close()
					gets("channel " + kind)
				}
			}
			h.tried <- struct{}{}
		},
	}
	h.start(t)
	return h
}

// grabbed is what it has got, without what every client sends.
func (h *hostileServer) grabbed() (got []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, what := range h.got {
		if !strings.HasPrefix(what, "request keepalive@") && what != "request no-more-sessions@openssh.com" {
			got = append(got, what)
		}
	}
	return got
}

// TestAHostileServerGetsNothing has hostile hosts, and hostile jump hosts before them, and a
// configuration that would give them all.
func TestAHostileServerGetsNothing(t *testing.T) {
	agent := realAgent(t)
	t.Setenv("DISPLAY", ":0")
	for _, way := range []string{"native", "openssh", "git", "git, by its line"} {
		for _, jump := range []bool{false, true} {
			t.Run(fmt.Sprint(way, " ", jump), func(t *testing.T) {
				node, hop := startHostile(t), startHostile(t)
				dir := shortDir(t)
				hostile, _ := hostileConfig(t, dir)
				if jump && strings.HasPrefix(way, "git") {
					hostile = "ForwardAgent yes\nForwardX11 yes\n" // ssh itself runs all the rest at its jump hosts
				}
				h := newHome(t)
				servers := []*hostileServer{node}
				text := fmt.Sprintf("IdentityAgent none\n%sHost node\n HostName 127.0.0.1\n Port %s\n", hostile, node.port())
				if jump {
					servers = append(servers, hop)
					text += " ProxyJump u@" + hop.addr + "\n"
				}
				h.config(text)
				t.Setenv("SSH_AUTH_SOCK", agent)
				h.knows(node.server)
				h.knows(hop.server)
				var c *Client
				switch way {
				case "native", "openssh":
					c = h.client(Options{Transport: Transport(way)})
				case "git":
					c = gitClient(t, h, Program{Command: "ssh -F " + h.path("config"), Shell: true, Source: "GIT_SSH_COMMAND"})
				default:
					c = gitClient(t, h, Program{Command: "ssh -A -Y -R 1:127.0.0.1:1 -F " + h.path("config"), Shell: true, Source: "GIT_SSH_COMMAND"})
				}
				conn := h.dial(c, "node")
				if _, _, err := output(t.Context(), conn, "x", ""); err != nil {
					t.Error(err)
				}
				for _, s := range servers {
					await(t, "the server's tries", s.tried)
					if got := s.grabbed(); len(got) > 0 && (s == node || !strings.HasPrefix(way, "git")) {
						t.Errorf("it got %q", got)
					}
				}
			})
		}
	}
}

// TestAHostileServerCanGetSomething has plain ssh do as the configuration says, so that the
// test above can fail.
func TestAHostileServerCanGetSomething(t *testing.T) {
	node := startHostile(t)
	h := newHome(t)
	h.config(fmt.Sprintf("ForwardAgent yes\nRemoteForward %s 127.0.0.1:1\nHost node\n HostName 127.0.0.1\n Port %s\n", "127.0.0.1:1", node.port()))
	h.knows(node.server)
	t.Setenv("SSH_AUTH_SOCK", realAgent(t))
	cmd := exec.Command(needs(t, "ssh"), "-F", h.path("config"), "-N", "node")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	await(t, "the server's tries", node.tried)
	cmd.Process.Kill()
	cmd.Wait()
	if got := strings.Join(node.grabbed(), ","); !strings.Contains(got, "channel auth-agent@openssh.com") || !strings.Contains(got, "request tcpip-forward") {
		t.Errorf("it got %q", got)
	}
}
