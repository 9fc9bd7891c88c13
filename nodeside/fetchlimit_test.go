package nodeside

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// incompressible is so many bytes that a pack does not make shorter.
func incompressible(n int) string {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{})
	r.Read(b)
	return string(b)
}

// nothingLeft fails the test where the repository has files that git was writing.
func (n *testNode) nothingLeft() {
	n.Helper()
	n.check(filepath.WalkDir(filepath.Join(n.l.Repo(), "objects"), func(path string, _ os.DirEntry, err error) error {
		if strings.HasPrefix(filepath.Base(path), "tmp_") {
			n.Errorf("%s is left", path)
		}
		return err
	}))
	if left, err := os.ReadDir(n.l.quarantines()); err != nil || len(left) > 0 {
		n.Errorf("left of fetches: %v, %v", left, err)
	}
}

// A remote that sends more than the limit is left out by name, whatever the way to it, and nothing
// of it stays; a larger limit takes it.
func TestFetchTooLarge(t *testing.T) {
	n := newTestNode(t)
	origin := n.remote("files")
	small := n.commit("deploy", deployHello)
	n.git("push", "-q", origin, "master")
	n.mustPull()
	n.commit("big", incompressible(1<<20))
	n.git("push", "-q", origin, "master")
	serve := n.gitHTTP(func(b []byte) []byte { return b })
	plain, tls := httptest.NewServer(serve), httptest.NewTLSServer(serve)
	defer plain.Close()
	defer tls.Close()
	n.believe(tls)
	n.addRemote("http", plain.URL+"/files.git")
	n.config("remote.http.troopsInsecure", "true")
	n.addRemote("https", tls.URL+"/files.git")
	n.addRemote("ssh", "ssh://git@"+newGitServer(t, n.l.Key()+".pub").addr+origin)
	n.config("receive.maxInputSize", "100k")
	const says = ": it sends more than 102400 bytes: receive.maxInputSize of the node's repository sets another limit"
	n.refused("remote files"+says, "remote http"+says, "remote https"+says, "remote ssh"+says)
	n.deployed(small)
	n.nothingLeft()
	n.git("--git-dir="+n.l.Repo(), "fsck")

	n.config("receive.maxInputSize", "2m")
	n.mustPull()
	n.deployed(n.git("rev-parse", "HEAD"))
	n.nothingLeft()
	for value, want := range map[string]int64{"0": 0, "5g": 5 << 30, "-1": MaxFetch, "many": MaxFetch} {
		n.config("receive.maxInputSize", value)
		if got := n.l.maxFetch(t.Context()); got != want {
			t.Errorf("receive.maxInputSize %s: %d, want %d", value, got, want)
		}
	}
	n.config("--unset", "receive.maxInputSize")
	if got := n.l.maxFetch(t.Context()); got != MaxFetch {
		t.Errorf("by default %d, want %d", got, MaxFetch)
	}
}

// A remote that stops in the middle of a pack is given up, and nothing is left of the half that came.
func TestFetchHalfAPack(t *testing.T) {
	n := newTestNode(t)
	origin := n.remote("origin")
	oid := n.commit("deploy", deployHello, "big", incompressible(1<<20))
	n.git("push", "-q", origin, "master")
	whole := n.gitHTTP(func(b []byte) []byte { return b })
	ctx, end := context.WithCancel(t.Context())
	defer end()
	stalls := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		whole.ServeHTTP(rec, r)
		body := rec.Body.Bytes()
		w.Header().Set("Content-Type", rec.Header().Get("Content-Type"))
		w.WriteHeader(rec.Code)
		if !bytes.Contains(body, []byte("PACK")) {
			w.Write(body)
			return
		}
		w.Write(body[:len(body)/2])
		http.NewResponseController(w).Flush()
		end()
		<-r.Context().Done() // until the fetch has ended
	}))
	defer stalls.Close()
	n.addRemote("stalls", stalls.URL+"/origin.git")
	n.config("remote.stalls.troopsInsecure", "true")

	r := &remote{name: "stalls"}
	n.check(n.l.fetcher().fetch(ctx, []*remote{r}, "refs/heads/master"))
	if r.err == nil || n.tip(r.ref()) != "" {
		t.Errorf("it was fetched: %v", r.err)
	}
	n.nothingLeft()
	n.git("--git-dir="+n.l.Repo(), "remote", "remove", "stalls")
	n.mustPull()
	n.deployed(oid)
}

// A byte now and then is no life either.
func TestFetchDrip(t *testing.T) {
	n := newTestNode(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	n.check(err)
	defer ln.Close()
	n.addRemote("drips", "git://"+ln.Addr().String()+"/x")
	n.config("remote.drips.troopsInsecure", "true")
	hungUp := make(chan error, 1)
	go func() {
		conn, err := ln.Accept()
		for text := "fff0"; err == nil; text += "x" { // the length of a line, then the line
			_, err = conn.Write([]byte(text[:1]))
			text = text[1:]
			time.Sleep(time.Millisecond)
		}
		hungUp <- nil
	}()
	f := n.l.fetcher()
	f.limit = 500 * time.Millisecond
	r := &remote{name: "drips"}
	n.check(f.fetch(t.Context(), []*remote{r}, "refs/heads/master"))
	if r.err == nil || !strings.Contains(r.err.Error(), "longer than 500ms") {
		t.Errorf("%v", r.err)
	}
	n.await("git's end", func() error { return <-hungUp })
}

// What git prints of a remote does not fill the memory, in either stream.
func TestRemoteSaysTooMuch(t *testing.T) {
	n := newTestNode(t)
	for _, script := range []string{"yes", "yes >&2"} {
		f := n.l.fetcher()
		if _, err := f.output(t.Context(), &remote{name: "chatty"}, f.git, "-c", "alias.flood=!"+script, "flood"); !errors.Is(err, errSaidTooMuch) {
			t.Errorf("%s: %v", script, err)
		}
	}
}
