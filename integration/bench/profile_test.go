package main

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/pprof/profile"

	"troops/integration/simnode"
)

// TestProfile reads the profile that troops writes of a push.
func TestProfile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cpu")
	const nodes = 100
	newMachine(t).run(t, scenario{nodes: nodes, work: simnode.Work{Lines: lines}, args: []string{"--cpuprofile", path}})
	s, err := readShares(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d samples:\n%s", s.total, s)
	if s.total == 0 {
		t.Error("the profile has no samples")
	}
}

// TestShares sorts samples by what is on their stacks.
func TestShares(t *testing.T) {
	const ssh = "golang.org/x/crypto/ssh.(*handshakeTransport).client"
	p := &profile.Profile{}
	for value, stack := range [][]string{
		1: {"crypto/internal/fips140/edwards25519/field.feMul", "golang.org/x/crypto/curve25519.X25519", ssh},
		2: {"runtime.memmove", "golang.org/x/crypto/internal/poly1305.update", ssh},
		3: {"internal/runtime/syscall/linux.Syscall6", "net.(*conn).Write", ssh},
		4: {"runtime.nextFreeFast", "runtime.mallocgc", ssh},
		5: {"runtime.memmove", ssh},
		6: {"crypto/hmac.(*hmac).Write", "troops/sshx.(*knownFile).named"},
		7: {"syscall.Write", "os.(*File).Write", "troops/output.(*page).write"},
		8: {"runtime.futex", "runtime.findRunnable", "runtime.schedule", "runtime.mcall"},
		9: nil,
	} {
		sample := &profile.Sample{Value: []int64{int64(value)}}
		for _, name := range stack {
			sample.Location = append(sample.Location, &profile.Location{Line: []profile.Line{{Function: &profile.Function{Name: name}}}})
		}
		p.Sample = append(p.Sample, sample)
	}
	s := sharesOf(p)
	if want := []int64{1 + 2, 3, 4, 0, 5}; !slices.Equal(s.ssh, want) {
		t.Errorf("in SSH: %d, want %d", s.ssh, want)
	}
	if want := []int64{6, 7, 0, 8, 9}; !slices.Equal(s.other, want) {
		t.Errorf("elsewhere: %d, want %d", s.other, want)
	}
	if s.total != 45 {
		t.Errorf("%d samples", s.total)
	}
}
