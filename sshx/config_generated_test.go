package sshx

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// generatedConfigs are random files; the seed is fixed.
func generatedConfigs() []configCase {
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	line := func() string {
		switch r.IntN(7) {
		case 0:
			patterns := []string{pick("web", "db", "w*", "*", "?b"), pick("!web", "db", "x1", "\"web\"")}
			return "Host " + strings.Join(patterns, pick(" ", "\t", "  "))
		case 1:
			criteria := []string{"host web", "user a", "!user a", "originalhost w*", "host *.ex", "exec true", "!exec \"test %h = db\"", "localuser root", "final", "canonical"}
			return pick("Match ", "match\t") + pick(criteria...) + pick("", " ", " "+pick(criteria...))
		case 2:
			return pick("User", "user", " USER") + pick(" ", "=", " = ") + pick("a", "b", "'c'", `"d e"`)
		case 3:
			return "\t" + pick("Port 1", "Port=2 # x", "HostName %h.ex", "HostName ABC", "HostName 127.1", "ProxyJump j", "ProxyJump a,b:3", "ProxyCommand c %h", "ProxyJump none", "HostKeyAlias K")
		case 4:
			return pick("Ciphers", "MACs", "HostKeyAlgorithms") + " " + pick("-aes128*", "-hmac-sha1*", "-ssh-*", "-*etm*")
		case 5:
			return pick("IdentityFile ", "CertificateFile ", "UserKnownHostsFile /x ", "ControlPath ", "IdentityAgent ") + pick("~/a", "/b_%h_%p_%r", "/c_%n_%k", "none", "${SSHX_TEST_DIR}/d", "\"/e f\"")
		}
		return pick("IdentitiesOnly yes", "Match all", "ConnectTimeout 1m", "StrictHostKeyChecking no", "BatchMode yes", "RequiredRSASize 2048",
			"HashKnownHosts yes", "ServerAliveInterval 7", "AddressFamily inet", "PubkeyAuthentication no", "RekeyLimit 1M")
	}
	var out []configCase
	for i := range 150 {
		var b strings.Builder
		for range 1 + r.IntN(14) {
			b.WriteString(line() + "\n")
		}
		out = append(out, configCase{fmt.Sprint(i), b.String(), []string{"web", "a@db"}})
	}
	return out
}

// includeConfigs are about Include, with files in a directory of the test.
func includeConfigs(t *testing.T) []configCase {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		writeFile(t, filepath.Join(dir, name), text)
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("sub/a.conf", "User fromA\nHost web\n Port 10\n", 0o644)
	write("sub/b.conf", "Host *\n IdentityFile /b\n", 0o600)
	write("sub/.hidden.conf", "User hidden\n", 0o644)
	write("sub/match", "Match user fromA\n Port 5\nMatch final\n IdentityFile /final\n", 0o644)
	write("sub/state", "User x\nHost *\n Port 5\n", 0o644)
	write("loop", "Include "+filepath.Join(dir, "loop")+"\n", 0o644)
	write("open", "User x\n", 0o666)
	write("bad", "\nPort abc\n", 0o644)
	for name, target := range map[string]string{"dangling": "nowhere", "round": "round"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	var out []configCase
	for name, text := range map[string]string{
		"pattern":                  "Include %s/sub/*.conf\nUser late\n",
		"inside a block":           "Host web\n Include %[1]s/sub/*.conf\n HostName inner\nHost *\n Port 20\n",
		"several":                  "Host db\n Include %[1]s/sub/a.conf %[1]s/sub/b.conf\n User d\n",
		"nothing":                  "Include %s/nothing/*\nUser u\n",
		"missing":                  "Include %s/missing\nUser u\n",
		"loop":                     "Include %s/loop\n",
		"writable by others":       "Include %s/open\n",
		"writable, of other hosts": "Host other\n Include %s/open\n",
		"quoted":                   "Host web\nInclude \"%s/sub/a.conf\"\n Port 11\n",
		"match in it":              "User fromA\nInclude %s/sub/match\nPort 6\n",
		"match around it":          "Match user fromA\n Include %[1]s/sub/match\nHost *\n Include %[1]s/sub/a.conf\n Include %[1]s/sub/match\n",
		"match decided once":       "Match !user x\n Include %s/sub/state\n",
		"negated class":            "Include %s/sub/[!a].conf\n",
		"class":                    "Include %s/sub/[a-b].conf\n",
		"directory":                "Include %s/sub\nUser u\n",
		"dangling link":            "Include %s/dangling\n",
		"link to itself":           "Include %s/round\n",
		"error in it":              "Include %s/bad\n",
		"error of other hosts":     "Host other\n Include %s/bad\n",
		"no good pattern":          "Include %s/[\nUser u\n",
		"nobody's home":            "Include ~nobody-such/x\nUser u\n",
	} {
		if strings.Contains(text, "%") {
			text = fmt.Sprintf(text, dir)
		}
		out = append(out, configCase{name, text, []string{"web", "db"}})
	}
	return out
}
