package doctor

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"troops/sshx"
)

func newDoctor(t *testing.T, config string) *Doctor {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := New(Options{SSH: sshx.Options{ConfigFile: path}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// Hosts of which nothing can be reached: each report says where it ended, in the hosts' order.
func TestExamineAllUnreachable(t *testing.T) {
	d := newDoctor(t, "Host loop\n\tProxyJump loop2\nHost loop2\n\tProxyJump loop\nHost *\n\tUser tester\n\tHostName 127.0.0.1\n\tPort 1\n")
	hosts := []string{"-oProxyCommand=x", "loop"}
	for i := range 50 {
		hosts = append(hosts, "host-"+strconv.Itoa(i))
	}
	var got []Report
	for r := range d.ExamineAll(t.Context(), hosts, 8) {
		got = append(got, r)
	}
	if len(got) != len(hosts) {
		t.Fatalf("%d reports", len(got))
	}
	for i, r := range got {
		last := r.Findings[len(r.Findings)-1]
		topic, text := "address", "refused"
		switch i {
		case 0:
			topic, text = "configuration", "-oProxyCommand"
		case 1:
			topic, text = "configuration", "loop"
		}
		if r.Host != hosts[i] || r.Well() || last.Level != Bad || last.Topic != topic || !strings.Contains(last.Text, text) {
			t.Errorf("%+v", r)
		}
		if i > 1 && !strings.Contains(r.Findings[0].Text, "user tester, 127.0.0.1:1") {
			t.Errorf("%+v", r.Findings[0])
		}
	}
}

// Who has enough, or is interrupted, gets no more reports, and nothing is left running.
func TestExamineAllEnds(t *testing.T) {
	d := newDoctor(t, "Host *\n\tHostName 127.0.0.1\n\tPort 1\n")
	seen := 0
	for range d.ExamineAll(t.Context(), []string{"a", "b", "c"}, 1) {
		seen++
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range d.ExamineAll(ctx, []string{"a", "b", "c"}, 1) {
		seen++
		cancel()
	}
	if seen > 3 || seen < 2 {
		t.Errorf("%d reports", seen)
	}
}
