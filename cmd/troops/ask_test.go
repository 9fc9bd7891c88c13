package main

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"troops/output"
	"troops/push"
	"troops/sshx"
)

// fakeKeys has rounds of unknown keys.
type fakeKeys struct {
	rounds  [][]sshx.HostKeyQuestion
	err     error // of TrustKeys
	trusted []string
}

func (f *fakeKeys) UnknownKeys(ctx context.Context, hosts []string) ([]sshx.HostKeyQuestion, error) {
	if err := context.Cause(ctx); err != nil || len(f.rounds) == 0 {
		return nil, err
	}
	if !slices.Equal(hosts, []string{"a", "b"}) {
		return nil, errors.New("other hosts")
	}
	return f.rounds[0], nil
}

func (f *fakeKeys) TrustKeys(keys []sshx.HostKeyQuestion) error {
	for _, q := range keys {
		f.trusted = append(f.trusted, q.Name)
	}
	f.rounds = f.rounds[1:]
	return f.err
}

func TestAskHostKeys(t *testing.T) {
	question := func(name, host, file string) sshx.HostKeyQuestion {
		return sshx.HostKeyQuestion{Name: name, Host: host, KeyType: "ssh-ed25519", Fingerprint: "SHA256:" + name, File: file}
	}
	jump := question("gate", "gate", "/kh")
	jump.Jump = true
	one := []sshx.HostKeyQuestion{question("a", "a", "/kh")}
	two := []sshx.HostKeyQuestion{question("a", "[10.0.0.1]:22", "/kh"), question("longer", "longer", "/kh")}
	var many []sshx.HostKeyQuestion
	for range 100 {
		many = append(many, question("x", "x", "/kh"))
	}
	hostile := []sshx.HostKeyQuestion{question("a", "a\x1b[2J", ""), {Name: "b", Host: "b", KeyType: "ssh-rsa", Fingerprint: "SHA256:b", File: "/other", Reason: "bad\rtext"}}
	for _, tt := range []struct {
		name     string
		rounds   [][]sshx.HostKeyQuestion
		answers  []string
		fails    error // of TrustKeys
		trusted  string
		want     string // error
		shows    []string
		showsNot string
	}{
		{"nothing unknown", nil, nil, nil, "", "", nil, "known"},
		{"yes", [][]sshx.HostKeyQuestion{one}, []string{"yes\n"}, nil, "a", "", []string{"  a  ssh-ed25519  SHA256:a\n", "Accepted keys go to /kh.\n", "Add this key and go on? [yes/no] "}, "(a)"},
		{"yes in capitals and blanks", [][]sshx.HostKeyQuestion{one}, []string{" YES \n"}, nil, "a", "", nil, "Please"},
		{"no", [][]sshx.HostKeyQuestion{one}, []string{"no\n"}, nil, "", "nothing was deployed", nil, "Please"},
		{"nothing typed", [][]sshx.HostKeyQuestion{one}, []string{"\n"}, nil, "", "nothing was deployed", nil, "Please"},
		{"end of input", [][]sshx.HostKeyQuestion{one}, nil, nil, "", "nothing was deployed", nil, "Please"},
		{"y is not yes", [][]sshx.HostKeyQuestion{one}, []string{"y\n", "yes please\n", "yes\n"}, nil, "a", "", []string{"Please type yes or no: Please type yes or no: "}, ""},
		{"two", [][]sshx.HostKeyQuestion{two}, []string{"yes\n"}, nil, "a longer", "", []string{"2 hosts are not known", "  a ([10.0.0.1]:22)  ssh-ed25519  SHA256:a\n  longer             ssh-ed25519  SHA256:longer\n", "Add these 2 keys and go on?"}, ""},
		{"jump host", [][]sshx.HostKeyQuestion{{jump}}, []string{"yes\n"}, nil, "gate", "", []string{"  jump host gate  ssh-ed25519  SHA256:gate\n"}, ""},
		{"two rounds", [][]sshx.HostKeyQuestion{one, two}, []string{"yes\n", "yes\n"}, nil, "a a longer", "", nil, ""},
		{"no in the second round", [][]sshx.HostKeyQuestion{one, two}, []string{"yes\n", "no\n"}, nil, "a", "nothing was deployed", nil, ""},
		{"not written", [][]sshx.HostKeyQuestion{one}, []string{"yes\n"}, errors.New("adding\nadding more"), "a", "", []string{"troops: warning: adding\ntroops: warning: adding more\n"}, ""},
		{"hostile text and two files", [][]sshx.HostKeyQuestion{hostile}, []string{"no\n"}, nil, "", "nothing was deployed", []string{"SHA256:b  -> /other", "-> no file"}, "\x1b"},
		{"many", [][]sshx.HostKeyQuestion{many}, []string{"no\n"}, nil, "", "nothing was deployed", []string{strings.Repeat("  x  ssh-ed25519  SHA256:x\n", 100)}, ""},
	} {
		t.Run(strings.ReplaceAll(tt.name, " ", "-"), func(t *testing.T) {
			var out strings.Builder
			lines := output.NewLines(&out, output.Options{})
			c := &console{out: &out, forget: func() {}, readLine: func(context.Context) (string, error) {
				if len(tt.answers) == 0 {
					return "", io.EOF
				}
				line := tt.answers[0]
				tt.answers = tt.answers[1:]
				return line, nil
			}}
			keys := &fakeKeys{rounds: tt.rounds, err: tt.fails}
			err := c.askHostKeys(t.Context(), lines, keys, []string{"a", "b"})
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v", err)
			}
			if err != nil && exitCode(err, io.Discard) != exitUsage {
				t.Errorf("exit code %d", exitCode(err, io.Discard))
			}
			if got := strings.Join(keys.trusted, " "); got != tt.trusted {
				t.Errorf("trusted %q", got)
			}
			for _, part := range tt.shows {
				if !strings.Contains(out.String(), part) {
					t.Errorf("does not show %q", part)
				}
			}
			if tt.showsNot != "" && strings.Contains(out.String(), tt.showsNot) || strings.Contains(out.String(), "\r") {
				t.Errorf("shows %q", tt.showsNot)
			}
			if t.Failed() {
				t.Log(out.String())
			}
		})
	}
}

func TestNobodyIsAskedWithoutATerminal(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, in := range []io.Reader{null, strings.NewReader("yes\n")} {
		keys := &fakeKeys{rounds: [][]sshx.HostKeyQuestion{{{Name: "a"}}}}
		if err := askHostKeys(t.Context(), in, output.NewLines(io.Discard, output.Options{}), keys, []push.Target{{Host: "a"}, {Host: "b"}}); err != nil || keys.trusted != nil {
			t.Errorf("%v, trusted %q", err, keys.trusted)
		}
	}
}

func TestReadTTYLine(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	fd := int(r.Fd())
	say := func(text string) {
		t.Helper()
		if _, err := w.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	say("yes\n")
	if line, err := readTTYLine(ctx, fd); line != "yes\n" || err != nil {
		t.Errorf("%q, %v", line, err)
	}
	say("typed before\n")
	drainTTY(fd)
	drainTTY(fd) // does not wait for more
	say("after\n")
	if line, err := readTTYLine(ctx, fd); line != "after\n" || err != nil {
		t.Errorf("%q, %v", line, err)
	}
	go cancel(errInterrupted)
	if _, err := readTTYLine(ctx, fd); !errors.Is(err, errInterrupted) {
		t.Errorf("interrupted: %v", err)
	}
	w.Close()
	drainTTY(fd) // nor at the end
	if _, err := readTTYLine(t.Context(), fd); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

// silentLines know whether they are kept from being printed.
type silentLines struct {
	*output.Lines
	silent bool
}

func (l *silentLines) Silence() func() {
	resume := l.Lines.Silence()
	l.silent = true
	return func() { l.silent = false; resume() }
}

func TestNothingIsPrintedIntoAQuestion(t *testing.T) {
	lines := &silentLines{Lines: output.NewLines(io.Discard, output.Options{})}
	var silent []bool
	c := &console{out: io.Discard, forget: func() {}, readLine: func(context.Context) (string, error) {
		silent = append(silent, lines.silent)
		return []string{"what?\n", "yes\n", "no\n"}[len(silent)-1], nil
	}}
	unknown := []sshx.HostKeyQuestion{{Name: "a"}}
	keys := &fakeKeys{rounds: [][]sshx.HostKeyQuestion{unknown, unknown}, err: errors.New("not written")} // which is printed
	if err := c.askHostKeys(t.Context(), lines, keys, []string{"a", "b"}); err == nil {
		t.Error("no was no answer")
	}
	if !slices.Equal(silent, []bool{true, true, true}) || lines.silent {
		t.Errorf("silent at the answers: %v, and at the end: %v", silent, lines.silent)
	}
}

// TestASlowSurveySaysWhatItWaitsFor has hosts show their keys only when that was said.
func TestASlowSurveySaysWhatItWaitsFor(t *testing.T) {
	said := make(chan string, 1)
	lines := output.NewLines(chanWriter(said), output.Options{})
	slow := surveyFunc(func() { said <- <-said })
	if keys, err := unknownKeys(t.Context(), lines, slow, nil); err != nil || keys != nil {
		t.Errorf("%v, %v", keys, err)
	}
	if got := <-said; got != "troops: "+waitingForKeys+"\n" {
		t.Errorf("%q", got)
	}
}

// chanWriter gives each write to who waits for it.
type chanWriter chan string

func (w chanWriter) Write(b []byte) (int, error) {
	w <- string(b)
	return len(b), nil
}

// surveyFunc is hosts whose keys come when it returns.
type surveyFunc func()

func (f surveyFunc) UnknownKeys(context.Context, []string) ([]sshx.HostKeyQuestion, error) {
	f()
	return nil, nil
}

func (f surveyFunc) TrustKeys([]sshx.HostKeyQuestion) error { return nil }
