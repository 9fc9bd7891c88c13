package sshx

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// minConfigCases is how many configurations the test must have compared with ssh.
const minConfigCases = 120

// reading counts how the hosts of a configuration were evaluated: strict are those that we
// refuse though the installed ssh does not.
type reading struct{ here, bySSH, refused, strict int }

// TestConfigParity compares what is resolved here with `ssh -G`: every option that bears on
// a connection, and what is refused.
func TestConfigParity(t *testing.T) {
	t.Setenv("SSHX_TEST_DIR", "/x/y")
	t.Setenv("SSHX_TEST_NAME", "web")
	cases, here, bySSH, refused := 0, 0, 0, 0
	for _, table := range []struct {
		name  string
		cases []configCase
		ok    func(reading) bool // whether the configurations were read as they should be
	}{
		{"plain", plainConfigs, func(r reading) bool { return r.bySSH == 0 }},
		{"match", matchConfigs, func(r reading) bool { return r.bySSH == 0 && r.here > 0 }},
		{"algorithms", algorithmConfigs, func(r reading) bool { return r.bySSH == 0 && r.here > 0 }},
		{"options", optionConfigs, func(r reading) bool { return r.bySSH == 0 && r.here > 0 }},
		{"include", includeConfigs(t), func(r reading) bool { return r.bySSH == 0 }},
		{"generated", generatedConfigs(), func(r reading) bool { return r.bySSH == 0 }},
		{"bad", badConfigs, func(r reading) bool { return r.here+r.bySSH == 0 }},
		{"strict", strictConfigs, func(r reading) bool { return r.here+r.bySSH == 0 }},
		{"left to ssh", sshConfigs, func(r reading) bool { return r.here == 0 && r.bySSH > 0 }},
	} {
		for _, tt := range table.cases {
			t.Run(strings.ReplaceAll(table.name+": "+tt.name, " ", "-"), func(t *testing.T) {
				r := compare(t, tt)
				if !table.ok(r) || r.strict > 0 && table.name != "strict" {
					t.Errorf("%d hosts evaluated here, %d by ssh, %d refused, %d only by us\n%s", r.here, r.bySSH, r.refused, r.strict, tt.text)
				}
				cases++
				here, bySSH, refused = here+r.here, bySSH+r.bySSH, refused+r.refused
			})
		}
	}
	t.Logf("%d configurations; %d hosts evaluated here, %d by ssh -G, %d refused by both", cases, here, bySSH, refused)
	if cases < minConfigCases {
		t.Errorf("%d configurations, want at least %d", cases, minConfigCases)
	}
}

// compare resolves the hosts of a configuration by both ways and reports differences, also
// of refusal.
func compare(t *testing.T, c configCase) (n reading) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config")
	writeFile(t, file, c.text)
	l := realLocal(t)
	needs(t, "ssh")
	oracle := &resolver{local: l, sshArgs: []string{"-F", file}, cfg: &config{}}
	hosts := c.hosts
	if hosts == nil {
		hosts = []string{"web"}
	}
	for _, host := range hosts {
		target, err := ParseTarget(host)
		if err != nil {
			t.Fatal(err)
		}
		var want, got *settings
		answer, askErr := oracle.run(t.Context(), target, "the test")
		wantErr := askErr
		if askErr == nil {
			want, wantErr = answer.settings(target, l)
		}
		own, gotErr := newResolver(file, l)
		if gotErr == nil {
			got, gotErr = own.resolve(t.Context(), target)
		}
		switch {
		case (wantErr != nil) != (gotErr != nil):
			t.Errorf("host %s: error %v, of ssh %v\n%s", host, gotErr, wantErr, c.text)
			continue
		case askErr == nil && wantErr != nil:
			n.strict++
			continue
		case wantErr != nil:
			n.refused++
			continue
		case own.answers.len() > 0:
			n.bySSH++
		default:
			n.here++
		}
		a, b := reflect.ValueOf(normal(t, got)), reflect.ValueOf(normal(t, want))
		for i := range a.NumField() {
			if x, y := a.Field(i).Interface(), b.Field(i).Interface(); !reflect.DeepEqual(x, y) {
				t.Errorf("host %s: %s is %q, of ssh %q\n%s", host, a.Type().Field(i).Name, x, y, c.text)
			}
		}
	}
	return n
}

// realLocal is the workstation as ssh itself sees it.
func realLocal(t testing.TB) local {
	t.Helper()
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	hostname, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	return local{home: u.HomeDir, user: u.Username, hostname: hostname, hashesJump: hashesJump}
}

// normal fills in what ssh prints as a default, and reduces the lists of algorithms to the
// names that both this package and the installed ssh know.
func normal(t testing.TB, s *settings) settings {
	n := *s
	for _, d := range []struct {
		value *int
		def   int
	}{{&n.AliveCount, 3}, {&n.ConnectionAttempts, 1}, {&n.RequiredRSASize, minRSABits}} {
		if *d.value == 0 {
			*d.value = d.def
		}
	}
	if n.BatchMode && n.AliveInterval == 5*time.Minute { // Debian's ssh sets that
		n.AliveInterval = 0
	}
	if n.AddressFamily == "" {
		n.AddressFamily = "any"
	}
	n.HostKeyAlias = strings.ToLower(n.HostKeyAlias)
	for kind, value := range map[string]*string{
		"ciphers": &n.Ciphers, "macs": &n.MACs, "kexalgorithms": &n.KexAlgorithms, "hostkeyalgorithms": &n.HostKeyAlgorithms,
		"pubkeyacceptedalgorithms": &n.PubkeyAlgorithms, "casignaturealgorithms": &n.CASignatureAlgorithms,
	} {
		theirs := installedSSH(t)[kind]
		list, err := algorithmList(*value, theirs.defaults, libraryAlgorithms(kind), nil)
		if err != nil {
			list = []string{err.Error()}
		}
		*value = strings.Join(slices.DeleteFunc(list, func(a string) bool { return !slices.Contains(theirs.known, a) }), ",")
	}
	n.IdentityFiles = slices.DeleteFunc(slices.Clone(n.IdentityFiles), func(p string) bool { // of older versions' defaults
		return strings.HasSuffix(p, "/.ssh/id_xmss") || strings.HasSuffix(p, "/.ssh/id_dsa")
	})
	return n
}

// libraryAlgorithms are the names of a kind that can be used here.
func libraryAlgorithms(kind string) []string {
	good, bad := ssh.SupportedAlgorithms(), ssh.InsecureAlgorithms()
	switch kind {
	case "ciphers":
		return append(good.Ciphers, bad.Ciphers...)
	case "macs":
		return append(good.MACs, bad.MACs...)
	case "kexalgorithms":
		return append(good.KeyExchanges, bad.KeyExchanges...)
	case "casignaturealgorithms":
		return defaultCASignatures
	}
	return append(good.HostKeys, bad.HostKeys...)
}

var installed struct {
	once  sync.Once
	kinds map[string]*algorithmKind
}

// installedSSH is what the installed ssh has of each kind of algorithm, and its defaults.
func installedSSH(t testing.TB) map[string]*algorithmKind {
	t.Helper()
	installed.once.Do(func() {
		installed.kinds = make(map[string]*algorithmKind)
		defaults, err := (&resolver{cfg: &config{}, sshArgs: []string{"-F", "none"}}).run(t.Context(), Target{Name: "web"}, "the test")
		if err != nil {
			t.Fatal(err)
		}
		for kind, query := range map[string]string{
			"ciphers": "cipher", "macs": "mac", "kexalgorithms": "kex", "hostkeyalgorithms": "HostKeyAlgorithms",
			"pubkeyacceptedalgorithms": "HostKeyAlgorithms", "casignaturealgorithms": "HostKeyAlgorithms",
		} {
			out, err := exec.Command("ssh", "-Q", query).Output()
			if err != nil {
				t.Fatal(err)
			}
			installed.kinds[kind] = &algorithmKind{defaults: list(defaults.first(kind)), known: strings.Fields(string(out))}
		}
	})
	return installed.kinds
}

// TestDefaultAlgorithms compares the defaults here with those of the installed ssh. Between
// releases their order changes and names are added; what was a default stays one.
func TestDefaultAlgorithms(t *testing.T) {
	needs(t, "ssh")
	for kind, mine := range algorithmKinds {
		theirs := installedSSH(t)[kind]
		for _, name := range theirs.defaults {
			if !slices.Contains(mine.defaults, name) {
				t.Errorf("%s: %s is a default of ssh only", kind, name)
			}
		}
		var order []string
		for _, name := range theirs.known {
			if !slices.Contains(mine.known, name) {
				t.Errorf("%s: %s is not known here", kind, name)
			}
			order = append(order, name)
		}
		both := slices.DeleteFunc(slices.Clone(mine.known), func(a string) bool { return !slices.Contains(theirs.known, a) })
		if !slices.Equal(both, order) {
			t.Errorf("%s: in the order %v, ssh has %v", kind, both, order)
		}
	}
	if got, err := algorithmList("", algorithmKinds["hostkeyalgorithms"].defaults, ssh.SupportedAlgorithms().HostKeys, nil); err != nil || !slices.Equal(got, defaultHostKeyOrder) {
		t.Errorf("host keys: %v, %v", got, err)
	}
}
