package integration

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"troops/integration/testnode"
)

// TestUserdata has a new machine run the user data at its first boot, as cloud-init does: nobody
// connects to it, and it deploys what its remote has.
func TestUserdata(t *testing.T) {
	t.Parallel()
	s := newStation(t)
	program, err := os.ReadFile(troopsBinary(t))
	if err != nil {
		t.Fatal(err)
	}
	var served atomic.Pointer[[]byte]
	var cut atomic.Bool // the next one breaks off
	serve := func(b []byte) { served.Store(&b) }
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/troops-linux-amd64" && r.URL.Path != "/troops-linux-arm64" {
			http.NotFound(w, r)
			return
		}
		if cut.CompareAndSwap(true, false) {
			w.Header().Set("Content-Length", strconv.Itoa(len(program)))
			w.Write(program[:len(program)/2])
			return
		}
		w.Write(*served.Load())
	}))
	defer web.Close()
	n := s.Start(t, testnode.Options{Names: []string{"cloud-1.example.com"}})[0]
	head := s.commit(map[string]string{"deploy.py": hosts([]*testnode.Node{n}, "open('/run/deployed', 'w').close()\n")})
	n.Run(t, "git init -q --bare /srv/deploy.git")
	s.must(s.repo, "git", "push", "-q", "root@"+n.Name+":/srv/deploy.git", "master")

	p := s.troops("userdata", "--url", web.URL+"/troops-linux-{arch}", "--user", "ubuntu", "--remote", "origin=file:///srv/deploy.git").exits(0)
	script := p.stdout.String()
	if !strings.HasPrefix(script, "#!/bin/sh\n") || !strings.Contains(p.stderr.String(), "will refuse: there is no program for them here (make dist)") {
		t.Errorf("it said\n%s", p.said())
	}
	boot := func() (string, error) {
		out, err := n.Exec(t.Context(), script)
		return string(out), err
	}

	serve(append([]byte("another"), program...))
	if out, err := boot(); err == nil || !strings.Contains(out, "has another program than the one that this userdata was made with") {
		t.Errorf("with another program: %v\n%s", err, out)
	}
	n.Run(t, "test -z \"$(ls -A /usr/local/bin)\" && ! test -e /var/lib/troops && ! getent group troops")

	serve(program)
	cut.Store(true)
	out, err := boot()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"it broke off", "did installed troops ", "did added ubuntu to group troops", "did added remote origin", "ended well", "troops: this node's key: ssh-ed25519 "} {
		if !strings.Contains(out, want) {
			t.Errorf("the console has no %q:\n%s", want, out)
		}
	}
	n.Run(t, "test -e /run/deployed && test \"$(ls -A /usr/local/bin)\" = troops")
	if at := s.deployed(n); at != head {
		t.Errorf("%s is deployed, want %s", at, head)
	}
	later := s.commit(map[string]string{"more": "x"})
	s.troops("push").exits(0)
	if at := s.deployed(n); at != later {
		t.Errorf("a push deployed %s, want %s", at, later)
	}
	if out, err := boot(); err != nil || strings.Contains(strings.ReplaceAll(out, "did installed", ""), "did ") {
		t.Errorf("at a second boot: %v\n%s", err, out)
	}
}
