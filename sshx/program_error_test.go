package sshx

import (
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
		if stage, _ := classify(said, s); stage != want {
			t.Errorf("%q: %s, want %s", said, stage, want)
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
	stages := map[string]bool{StageConfig: true, StageResolve: true, StageConnect: true, StageHandshake: true, StageHostKey: true, StageAuth: true}
	f.Fuzz(func(t *testing.T, said string) {
		stage, cause := classify(said, s)
		if !stages[stage] {
			t.Errorf("stage %q", stage)
		}
		err := error(&DialError{Host: "web", Stage: stage, Err: &ProgramError{Program: "ssh", Why: "a reason", Said: said, Err: cause, hint: "a hint"}})
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
