package sshx

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// knownAs are lines of known_hosts for a server, with its own key or with that of another.
func (s *sshd) knownAs(t testing.TB, changed bool, names ...string) (lines string) {
	t.Helper()
	key := s.publicLine(t, "ed25519")
	if changed {
		key = keyText(newKey(t).PublicKey())
	}
	for _, n := range names {
		lines += fmt.Sprintf("[%s]:%s %s\n", n, s.port, key)
	}
	return lines
}

// trust is how a program of git's is told about host keys.
type trust struct {
	command  string // FILE is a configuration with the keys and jump hosts
	strict   string // StrictHostKeyChecking there; empty for none
	way      string // to the node
	goes     bool   // it connects where all keys are known
	takesNew bool   // and where none is
}

// trusts are the ways to tell it, and what is to become of each.
var trusts = map[string]trust{
	"plain":                  {"ssh -F FILE", "", "", true, false},
	"yes":                    {"ssh -o StrictHostKeyChecking=yes -F FILE", "no", "", true, false},
	"accept-new":             {"ssh -o StrictHostKeyChecking=accept-new -F FILE", "", "", true, true},
	"no":                     {"ssh -o StrictHostKeyChecking=no -F FILE", "", "", true, true},
	"off, in one word":       {" 'ssh' -oStrictHostKeyChecking=off -F FILE", "", "", true, true},
	"no, nothing known":      {"ssh -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -F FILE", "", "", true, true},
	"no, in the file":        {"ssh -F FILE", "no", "", true, true},
	"wrapper, in the file":   {"env X=1 ssh -F FILE", "no", "", true, true},
	"wrapper, yes":           {"env X=1 ssh -o StrictHostKeyChecking=yes -F FILE", "no", "", true, false},
	"wrapper, no":            {"env X=1 ssh -o StrictHostKeyChecking=no -F FILE", "", "", false, false},
	"variable, no":           {"X=1 ssh -o StrictHostKeyChecking=no -F FILE", "", "", false, false},
	"jump":                   {"ssh -F FILE", "no", "ProxyJump first", true, true},
	"jump, wrapper":          {"env X=1 ssh -F FILE", "no", "ProxyJump first", true, true},
	"jump, strict":           {"ssh -o StrictHostKeyChecking=no -F FILE", "", "ProxyJump first", true, false},
	"two hops":               {"ssh -o StrictHostKeyChecking=no -F FILE", "no", "ProxyJump first,second", true, true},
	"jump, by its line":      {"ssh -J first -F FILE", "no", "", false, false},
	"jump, by a strict line": {"ssh -J first -o StrictHostKeyChecking=no -F FILE", "", "", true, false},
}

// TestAChangedKeyNeverGoesOnByGitsProgram changes the key of every host on the way, one at a
// time, whatever the program is told. What it takes otherwise stays the same.
func TestAChangedKeyNeverGoesOnByGitsProgram(t *testing.T) {
	first, second, node := startSSHD(t, ""), startSSHD(t, ""), startSSHD(t, "")
	for name, tt := range trusts {
		t.Run(name, func(t *testing.T) {
			h := bastionHome(t, "User root", node, first, second)
			text := string(readFile(t, h.path("config")))
			strict := ""
			if tt.strict != "" {
				strict = "StrictHostKeyChecking " + tt.strict + "\n"
			}
			writeFile(t, h.path("its-file"), strict+fmt.Sprintf("Host node\n HostName 127.0.0.1\n Port %s\n %s\n", node.port, tt.way)+text)
			servers := []*sshd{node}
			for i, n := range []string{"first", "second"} {
				if strings.Contains(tt.way+tt.command, n) {
					servers = append(servers, []*sshd{first, second}[i])
				}
			}
			try := func(changed int) error {
				var known strings.Builder
				for i, s := range servers {
					known.WriteString(s.knownAs(t, i == changed, "127.0.0.1"))
				}
				if changed == len(servers) {
					known.Reset() // all are new
				}
				writeFile(t, h.path("known_hosts"), known.String())
				program := Program{Command: strings.ReplaceAll(tt.command, "FILE", escapeWord(h.path("its-file"))), Shell: true, Source: "GIT_SSH_COMMAND"}
				conn, err := gitClient(t, h, program).Dial(t.Context(), "node")
				if err == nil {
					conn.Close()
				}
				return err
			}
			if err := try(-1); (err == nil) != tt.goes {
				t.Errorf("known keys: %v", err)
			} else if err != nil && !strings.Contains(err.Error(), "accept-new") {
				t.Errorf("no way out: %v", err)
			}
			if err := try(len(servers)); (err == nil) != tt.takesNew {
				t.Errorf("new keys: %v", err)
			}
			for i := range servers {
				var key *HostKeyError
				err := try(i)
				if name == "no, nothing known" { // no key is another than before
					if err != nil {
						t.Error(err)
					}
				} else if err == nil || tt.goes && (!errors.As(err, &key) || key.Kind != KeyChanged) {
					t.Errorf("server %d has another key: %v", i, err)
				}
			}
		})
	}
}

// TestReadOnlyLeavesKnownHostsAlone has ssh, and programs of git's, told to add keys that are
// new, further keys of the server and those of its address, directly and through a jump host.
func TestReadOnlyLeavesKnownHostsAlone(t *testing.T) {
	first, node := startSSHD(t, ""), startSSHD(t, "")
	commands := map[string]string{
		"openssh": "", "git": "ssh -F FILE", "wrapper": "env X=1 ssh -F FILE",
		"git, by its line":     "ssh -o StrictHostKeyChecking=accept-new -o UpdateHostKeys=yes -o CheckHostIP=yes -F FILE",
		"wrapper, by its line": "env X=1 ssh -o StrictHostKeyChecking=accept-new -o UpdateHostKeys=yes -F FILE",
		"git, jump":            "ssh -J first -F FILE",
	}
	for name, command := range commands {
		for _, jump := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " ", jump), func(t *testing.T) {
				h := bastionHome(t, "User root", node, first)
				servers := []*sshd{node}
				text := fmt.Sprintf("StrictHostKeyChecking accept-new\nUpdateHostKeys yes\nCheckHostIP yes\nHost node\n HostName localhost\n HostKeyAlias node\n Port %s\n", node.port)
				if jump {
					text += " ProxyJump first\n"
					servers = append(servers, first)
				}
				writeFile(t, h.path("config"), text+string(readFile(t, h.path("config"))))
				try := func(known string, readOnly bool) (after string, err error) {
					writeFile(t, h.path("known_hosts"), known)
					options := Options{Transport: TransportOpenSSH, ReadOnly: readOnly, ConfigFile: h.path("config"), Home: h.dir}
					if command != "" {
						options = Options{Program: &Program{Command: strings.ReplaceAll(command, "FILE", h.path("config")), Shell: true, Source: "GIT_SSH_COMMAND"}, ReadOnly: readOnly, Home: h.dir}
					}
					c, err := New(options)
					if err != nil {
						t.Fatal(err)
					}
					defer c.Close()
					conn, err := c.Dial(t.Context(), "node")
					if err == nil {
						if _, _, err := output(t.Context(), conn, "true", ""); err != nil { // by now it has all keys of the server
							t.Error(err)
						}
						conn.Close()
					}
					return string(readFile(t, h.path("known_hosts"))), err
				}
				all := "node " + node.publicLine(t, "ed25519") + "\n" + first.knownAs(t, false, "127.0.0.1")
				refused := strings.HasSuffix(name, "wrapper, by its line") || name == "git, jump"
				if after, err := try(all, true); after != all || (err != nil) != refused {
					t.Errorf("known keys: %v, known_hosts:\n%s", err, after)
				} else if refused && !strings.Contains(err.Error(), "which is not to be changed now") {
					t.Errorf("known keys: %v", err)
				}
				for i, lines := range [][]string{strings.SplitAfter(all, "\n")[1:], strings.SplitAfter(all, "\n")[:1]}[:len(servers)] {
					some := strings.Join(lines, "")
					if after, err := try(some, true); after != some || err == nil {
						t.Errorf("server %d is new: %v, known_hosts:\n%s", i, err, after)
					}
				}
				if after, err := try(all, false); after == all || err != nil {
					t.Errorf("known_hosts would not have been written anyway: %v", err)
				}
			})
		}
	}
}
