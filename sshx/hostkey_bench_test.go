package sshx

import (
	"bytes"
	"crypto/sha1"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// benchHosts is how many lines the known_hosts file of the benchmarks has.
const benchHosts = 10_000

// manyHashed writes a known_hosts file with n hashed lines and gives the key of each node.
func manyHashed(b testing.TB, path string, n int) []ssh.PublicKey {
	b.Helper()
	var text strings.Builder
	keys := make([]ssh.PublicKey, n)
	for i := range keys {
		keys[i] = newKey(b).PublicKey()
		text.WriteString(formatKnownLine(fmt.Sprintf("node%d", i), bytes.Repeat([]byte{byte(i), byte(i >> 8)}, sha1.Size/2), keys[i]))
	}
	writeFile(b, path, text.String())
	return keys
}

// BenchmarkHostKey10000Hashed is all that a dial does about a host key, with a file of 10,000
// hashed lines: each time for another host, so that nothing is known from the time before, but
// for "unknown-again". "load" is the first check of a Client, which reads the file; x-crypto is
// the package that the ssh library comes with, for one known host.
func BenchmarkHostKey10000Hashed(b *testing.B) {
	path := filepath.Join(b.TempDir(), "known_hosts")
	shown := manyHashed(b, path, benchHosts)
	other := newKey(b).PublicKey()
	addr := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 22}
	check := func(b *testing.B, keys *hostKeys, host, strict string, key ssh.PublicKey) error {
		c := keys.newCheck(&settings{HostName: host, Port: 22, UserKnownHosts: []string{path}, StrictHostKey: strict}, host, false)
		if _, err := c.algorithms(); err != nil {
			b.Fatal(err)
		}
		return c.verify("", addr, key)
	}
	b.Run("load", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if err := check(b, newHostKeys(b.TempDir(), b.Logf), fmt.Sprintf("node%d", i%benchHosts), "yes", shown[i%benchHosts]); err != nil {
				b.Fatal(err)
			}
		}
	})
	loaded := func() *hostKeys {
		keys := newHostKeys(b.TempDir(), b.Logf)
		keys.load(&settings{UserKnownHosts: []string{path}})
		return keys
	}
	b.Run("known", func(b *testing.B) {
		keys := loaded()
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if err := check(b, keys, fmt.Sprintf("node%d", i%benchHosts), "yes", shown[i%benchHosts]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("unknown", func(b *testing.B) {
		keys := loaded()
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if err := check(b, keys, fmt.Sprintf("new%d", i), "yes", other); err == nil {
				b.Fatal("accepted")
			}
		}
	})
	b.Run("unknown-again", func(b *testing.B) {
		keys := loaded()
		check(b, keys, "new", "yes", other)
		b.ReportAllocs()
		for b.Loop() {
			if err := check(b, keys, "new", "yes", other); err == nil {
				b.Fatal("accepted")
			}
		}
	})
	b.Run("accept-new", func(b *testing.B) {
		keys := loaded()
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if err := check(b, keys, fmt.Sprintf("new%d", i), "accept-new", other); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("x-crypto", func(b *testing.B) {
		verify, err := knownhosts.New(path)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if err := verify(fmt.Sprintf("node%d:22", i%benchHosts), addr, shown[i%benchHosts]); err != nil {
				b.Fatal(err)
			}
		}
	})
}
