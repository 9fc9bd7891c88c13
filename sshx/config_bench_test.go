package sshx

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// manyHosts is the size of the fleet in the tests of cost.
const manyHosts = 10_000

// maxResolveTime is how long that fleet may take, reading the file included. Where it was
// measured first it took 0.13 s.
const maxResolveTime = 2 * time.Second

// bigConfig is a configuration with a block for each host, and what comes with it.
func bigConfig(tb testing.TB, end string) string {
	var text strings.Builder
	for i := range manyHosts {
		fmt.Fprintf(&text, "Host node%d\n HostName 10.0.%d.%d\n User deploy\n IdentityFile ~/.ssh/fleet\n", i, i/250, i%250)
	}
	text.WriteString("Host *.example.com\n ProxyJump bastion\nHost *\n ServerAliveInterval 5\n UserKnownHostsFile ~/.ssh/fleet_hosts\n")
	text.WriteString(end)
	file := filepath.Join(tb.TempDir(), "config")
	writeFile(tb, file, text.String())
	return file
}

// fedoraConfig is what Fedora's system-wide configuration adds.
const fedoraConfig = "Match final all\n GSSAPIAuthentication yes\n Ciphers aes256-gcm@openssh.com,aes256-ctr,aes128-gcm@openssh.com,aes128-ctr\n RequiredRSASize 2048\n"

// resolveAll reads the file and resolves every host once.
func resolveAll(tb testing.TB, file string) {
	r, err := newResolver(file, local{home: "/home/u", user: "u", hostname: "h"})
	if err != nil {
		tb.Fatal(err)
	}
	for i := range manyHosts {
		s, err := r.resolve(tb.Context(), Target{Name: fmt.Sprintf("node%d", i)})
		if err != nil || s.User != "deploy" || s.AliveInterval != 5*time.Second {
			tb.Fatalf("%+v, %v", s, err)
		}
	}
	if r.answers.len() > 0 {
		tb.Fatal("ssh was asked")
	}
}

func BenchmarkResolve10000Hosts(b *testing.B) {
	for name, end := range map[string]string{"plain": "", "fedora": fedoraConfig} {
		b.Run(name, func(b *testing.B) {
			file := bigConfig(b, end)
			b.ReportAllocs()
			for b.Loop() {
				resolveAll(b, file)
			}
			if per := b.Elapsed() / time.Duration(b.N); per > maxResolveTime {
				b.Errorf("%v for %d hosts, want at most %v", per, manyHosts, maxResolveTime)
			}
		})
	}
}

// BenchmarkResolve1000Matches has a Match line for each host, which no index finds.
func BenchmarkResolve1000Matches(b *testing.B) {
	var text strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&text, "Match host node%d\n User deploy\n", i)
	}
	file := filepath.Join(b.TempDir(), "config")
	writeFile(b, file, text.String())
	r, err := newResolver(file, local{home: "/home/u", user: "u", hostname: "h"})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := r.resolve(b.Context(), Target{Name: fmt.Sprintf("node%d", i%1000)}); err != nil {
			b.Fatal(err)
		}
	}
}

// TestResolvingDoesNotSlowDownWithBlocks counts what is looked at: a host's own block and
// the general ones, not the ten thousand of the others.
func TestResolvingDoesNotSlowDownWithBlocks(t *testing.T) {
	r, err := newResolver(bigConfig(t, fedoraConfig), local{home: "/home/u", user: "u", hostname: "h"})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(r.cfg.general); n != 3 || len(r.cfg.literal["node77"]) != 1 {
		t.Errorf("%d general blocks", n)
	}
	resolve := func() {
		if _, err := r.resolve(t.Context(), Target{Name: "node9999"}); err != nil {
			t.Fatal(err)
		}
	}
	if allocs := testing.AllocsPerRun(100, resolve); allocs > 150 {
		t.Errorf("%v allocations for a host", allocs)
	}
}
