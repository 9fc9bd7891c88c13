package sshx

import (
	"cmp"
	"errors"
	"strings"
	"testing"
	"unicode"
)

func TestClassify(t *testing.T) {
	s := &settings{Alias: "web", HostName: "web.example.com", User: "u", Port: 22}
	for said, want := range map[string]string{
		"u@web: Permission denied (publickey,password).":                                                                          StageAuth,
		"Received disconnect from 192.0.2.1 port 22:2: Too many authentication failures":                                          StageAuth,
		"No ED25519 host key is known for web and you have requested strict checking.\r\nHost key verification failed.":           StageHostKey,
		"kex_exchange_identification: read: Connection reset by peer":                                                             StageHandshake,
		"ssh: connect to host web port 22: Connection refused":                                                                    StageConnect,
		"ssh: Could not resolve hostname web: Name or service not known":                                                          StageResolve,
		"/home/u/.ssh/config: line 3: Bad configuration option: x\n/home/u/.ssh/config: terminating, 1 bad configuration options": StageConfig,
		"": StageHandshake,
	} {
		if stage := classify(said, s, false).stage; stage != want {
			t.Errorf("%q: %s, want %s", said, stage, want)
		}
	}
}

// TestClassifyBehindJumpHosts tells the jump host from the host, and what can be tried again
// from what cannot: ssh says that its connection was closed after all of it.
func TestClassifyBehindJumpHosts(t *testing.T) {
	const closed = "\nkex_exchange_identification: Connection closed by remote host\nConnection closed by UNKNOWN port 65535"
	const changed = "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\nOffending ED25519 key in /k:7\n"
	s := &settings{Alias: "web", HostName: "web.example.com", User: "u", Port: 22}
	for _, tt := range []struct {
		said  string
		proxy bool
		stage string
		err   string // its type
		jump  bool
	}{
		{changed + "Host key for gw has changed and you have requested strict checking.\nHost key verification failed." + closed, false, StageHostKey, "changed", true},
		{changed + "Host key for web has changed and you have requested strict checking.\nHost key verification failed.", false, StageHostKey, "changed", false},
		{changed + "forwarding disabled due to host key check failure" + closed, true, StageHostKey, "changed", true},
		{"stdio forwarding: Error: forwarding disabled due to host key check failure" + closed, false, StageHostKey, "changed", true},
		{"No ED25519 host key is known for [gw]:23 and you have requested strict checking.\nHost key verification failed." + closed, false, StageHostKey, "unknown", true},
		{"REVOKED HOST KEY DETECTED\nHost key verification failed.", false, StageHostKey, "revoked", false},
		{"u@gw: Permission denied (publickey)." + closed, false, StageAuth, "auth", true},
		{"u@gw: Permission denied (publickey)." + closed, true, StageAuth, "auth", true},
		{"u@web: Permission denied (publickey).", true, StageAuth, "auth", false},
		{"Too many authentication failures" + closed, false, StageAuth, "auth", true},
		{"ssh: connect to host gw port 22: Connection refused" + closed, false, StageConnect, "", true},
		{"ssh: Could not resolve hostname gw: Name or service not known" + closed, true, StageResolve, "", true},
		{"channel 0: open failed: connect failed: Connection refused\nstdio forwarding failed" + closed, false, StageConnect, "", false},
		{"channel 0: open failed: administratively prohibited: open failed" + closed, true, StageConnect, "", false},
		{"kex_exchange_identification: read: Connection reset by peer\nConnection reset by 192.0.2.1 port 22" + closed, false, StageHandshake, "throttle", false},
		{"kex_exchange_identification: read: Connection reset by peer\nConnection reset by 192.0.2.1 port 22" + closed, true, StageHandshake, "throttle", false},
		{"Warning: Permanently added 'gw' (ED25519) to the list of known hosts." + closed, false, StageHandshake, "throttle", false},
		{strings.TrimSpace(closed), true, StageHandshake, "throttle", false},
		{"Received disconnect from UNKNOWN port 65535:2: a\nu@gw: Permission denied (publickey)." + closed, false, StageAuth, "auth", false},
		{"nc: no route" + closed, true, StageHandshake, "", false},
	} {
		d := classify(tt.said, s, tt.proxy)
		kind := ""
		switch e := d.err.(type) {
		case *HostKeyError:
			kind = string(e.Kind)
		case *AuthError:
			kind = "auth"
		case *ThrottleError:
			kind = "throttle"
		}
		if d.stage != tt.stage || kind != tt.err || d.jump != tt.jump {
			t.Errorf("%q: %s, %q, jump %v", tt.said, d.stage, kind, d.jump)
		}
	}
}

// TestProgramErrorsSayWhatToDo has each kind of failure, by ssh and by a program of git's.
func TestProgramErrorsSayWhatToDo(t *testing.T) {
	s := &settings{Alias: "web", HostName: "web.example.com", User: "u", Port: 22, UserKnownHosts: []string{"/h/known_hosts"}}
	r := &route{target: Target{Name: "web"}, shown: "web", s: s}
	for said, want := range map[string]struct{ ssh, git string }{
		"No ED25519 host key is known for [gw]:23 and you have requested strict checking.\nHost key verification failed.": {
			"the key of '[gw]:23' is not known: connect once by hand, or add the output of `ssh-keyscan -p 23 gw` to /h/known_hosts after checking it", ""},
		"Offending ED25519 key in /a b:7\nHost key for [gw]:23 has changed and you have requested strict checking.\nHost key verification failed.": {
			"check the fingerprint on the host, then remove the old line with `ssh-keygen -R '[gw]:23' -f '/a b'`", ""},
		"forwarding disabled due to host key check failure":                             {"remove the old line with `ssh-keygen -R web.example.com`", ""},
		"REVOKED HOST KEY\nHost key verification failed.":                               {"is listed as revoked: the host needs a new key", ""},
		"u@web: Permission denied (publickey).":                                         {"it took none of the keys: load the right one with ssh-add, or name it with IdentityFile in the ssh configuration; `ssh -v -o BatchMode=yes web true` shows", "; -v in GIT_SSH_COMMAND shows which"},
		"u@gw: Permission denied (publickey).\nConnection closed by UNKNOWN port 65535": {"its jump host took none of the keys", ""},
		"Exceeded MaxStartups":                                                          {"(tried 3 times): " + throttleHint, ""},
		"open failed: administratively prohibited\nstdio forwarding failed":             {"set AllowTcpForwarding yes", ""},
		"ssh: connect to host web port 22: Connection refused":                          {"it has to work without questions, as in `ssh -o BatchMode=yes web true`", "the native transport does without it"},
	} {
		for source, want := range map[string]string{"": want.ssh, "GIT_SSH_COMMAND": cmp.Or(want.git, want.ssh)} {
			p := &program{Program: Program{Source: source}}
			d := classify(said, s, false)
			e := &ProgramError{Program: p.name(), Why: source, Said: said, Err: d.err, hint: p.hint(d, r, said)}
			if throttle, ok := d.err.(*ThrottleError); ok {
				throttle.Tries = 3
			}
			if !strings.Contains(e.Error(), want) {
				t.Errorf("%s\nhas no %s", e, want)
			}
		}
	}
}

// FuzzProgramError has a program, or the server through it, say anything: the error is one
// that can be shown, on one line, and is short.
func FuzzProgramError(f *testing.F) {
	for _, said := range []string{"u@web: Permission denied (publickey).", "a\x1b[2J\r\n\u202eb", "Host key verification failed.", "Exceeded MaxStartups", strings.Repeat("x\n", 300)} {
		f.Add(said)
	}
	s := &settings{Alias: "web", HostName: "web.example.com", User: "u", Port: 22}
	r := &route{target: Target{Name: "web"}, shown: "web", s: s}
	stages := map[string]bool{StageConfig: true, StageResolve: true, StageConnect: true, StageHandshake: true, StageHostKey: true, StageAuth: true}
	f.Fuzz(func(t *testing.T, said string) {
		d := classify(said, s, len(said)%2 == 0)
		stage, cause := d.stage, d.err
		if !stages[stage] {
			t.Errorf("stage %q", stage)
		}
		err := error(&DialError{Host: "web", Stage: stage, Err: &ProgramError{Program: "ssh", Why: "a reason", Said: said, Err: cause, hint: new(program).hint(d, r, said)}})
		var auth *AuthError
		texts := []string{err.Error()}
		if errors.As(err, &auth) {
			texts = append(texts, auth.Error())
		}
		if cause != nil {
			texts = append(texts, cause.Error())
		}
		for _, text := range texts {
			if len(text) > 40*maxPeerText {
				t.Errorf("%d bytes", len(text))
			}
			for _, r := range text {
				if !unicode.IsPrint(r) {
					t.Fatalf("%q in %q", r, text)
				}
			}
		}
	})
}
