package integration

import (
	"regexp"
	"strings"
	"syscall"
	"testing"
	"unicode"
	"unicode/utf8"

	"troops/integration/testnode"
)

// TestForeignRepository pushes to a bare repository with somebody's own hook, on a machine
// that has never seen troops.
func TestForeignRepository(t *testing.T) {
	s := newStation(t)
	n := s.Start(t, testnode.Options{Names: []string{"git.example.com"}})[0]
	makeGates(t, n)
	n.Run(t, `chmod 0666 /run/gate; mkdir /srv/git; chown ubuntu: /srv/git
su ubuntu -c 'git init -q --bare /srv/git/site.git; cd /srv/git/site.git; cat >hooks/post-receive; chmod +x hooks/post-receive' <<'END'
#!/bin/sh
read -r old new ref
echo "building $ref"
read -r _ </run/gate
i=0
while [ $i -lt 2000 ]; do
	i=$((i + 1))
	echo "step $i"
done
echo "warning: on stderr" >&2
printf 'the last line has no end'
END`)
	head := s.commit(map[string]string{"deploy.py": hosts([]*testnode.Node{n}, "")})
	p := s.troops("push", "--repo-path", "/srv/git/site.git")
	p.sees("git.example.com | building refs/heads/master\n")
	open(t, n)
	p.exits(0).shows(
		`^git\.example\.com \| step 1$`, `^git\.example\.com \| step 2000$`,
		`^git\.example\.com [|!] warning: on stderr$`, `^git\.example\.com \| the last line has no end`,
		`^git\.example\.com \* deployed`, `^troops: 1 node: 1 deployed in `,
	)
	if got := strings.Count(p.stdout.String(), "| step "); got != 2000 {
		t.Errorf("%d of 2000 steps are shown", got)
	}
	if got := n.Run(t, "git --git-dir=/srv/git/site.git rev-parse master"); got != head {
		t.Errorf("the branch is at %s, want %s", got, head)
	}
	s.troops("push", "--repo-path", "/srv/git/site.git").exits(0).shows(`1 current in`)

	n.Run(t, `su ubuntu -c 'printf "#!/bin/sh\necho no entry >&2\nexit 1\n" >/srv/git/site.git/hooks/pre-receive; chmod +x /srv/git/site.git/hooks/pre-receive'`)
	s.commit(nil)
	s.troops("push", "--repo-path", "/srv/git/site.git").exits(1).shows(`no entry`, `pre-receive hook declined`)
	if got := n.Run(t, "git --git-dir=/srv/git/site.git rev-parse master"); got != head {
		t.Errorf("after the hook declined the branch is at %s, want %s", got, head)
	}
}

// hostile is a deploy.py that does to a terminal what it can.
const hostile = `
import sys

def say(b):
    sys.stdout.buffer.write(b)
    sys.stdout.buffer.flush()

say(b'plain\n')
say(b'\x1b[2J\x1b[H\x1b]0;owned\x07title\n')
say(b'\x1b[31mred without end\n')
say(b'\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\\n')
say(b'\x90qdevice control\x9c \xc2\x9b2J c1\n')
say(b'hidden\rshown after CR\n')
say(b'over\b\b\b\bback\n')
say(b'invalid \xff\xfe\xc3( utf-8\n')
say(b'cut cha\xe2'); say(b'\x82'); say(b'\xacracter\n')
say('bidi \u202egnirts\u2066 \u2028 line \u0085 next \u200b zero\n'.encode())
say(b'nul \0 byte\n')
say(b'1 MB: ' + b'x' * 1000000 + b'\n')
say(b'victim.example.com | fake\n')
say(b'\nvictim.example.com | fake after an empty line\n')
say(b'\x0bvictim.example.com | fake after VT\x0cvictim.example.com | and FF\n')
say(b'troops: 2 nodes: 2 deployed in 0.1s\n')
sys.stderr.buffer.write(b'\x1b[?1049h\x1bcstderr too\n')
say(b'no line feed at the end \x1b[3')
sys.exit(3)
`

// TestHostileOutput deploys to a node that tries to write outside of its own lines.
func TestHostileOutput(t *testing.T) {
	s := newStation(t)
	nodes := s.nodes(testnode.Options{Names: []string{"hostile.example.com", "victim.example.com"}})
	const deploy = "import socket\nif socket.gethostname() == 'victim':\n    print('honest')\n    raise SystemExit\n"
	s.commit(map[string]string{"deploy.py": hosts(nodes, deploy+hostile)})
	p := s.troops("push").exits(1)
	p.shows(
		`^hostile\.example\.com \| plain$`, `^hostile\.example\.com \| shown after CR$`,
		`^hostile\.example\.com \| cut cha\x{20ac}racter$`, `^hostile\.example\.com ! .*stderr too$`,
		`^hostile\.example\.com \| victim\.example\.com \| fake$`,
		`^hostile\.example\.com \| troops: 2 nodes: 2 deployed`,
		`^hostile\.example\.com \* failed in deploy: exit code 3`,
		`^victim\.example\.com +\| honest$`,
	)
	inert(t, p.stdout.String()+p.stderr.String(), []string{"hostile.example.com", "victim.example.com"})
	if got := regexp.MustCompile(`(?m)^victim\.example\.com +[|!] .*`).FindAllString(p.stdout.String(), -1); len(got) != 1 {
		t.Errorf("lines under the victim's name: %q", got)
	}

	// Coloured output for a terminal: colour and nothing else may pass.
	s.commit(map[string]string{"again": "again"})
	p = s.start(troopsBinary(t), "-F", s.SSHConfig, "--color", "always", "push").exits(1)
	text := p.stdout.String()
	sgr := regexp.MustCompile(`\x1b\[[0-9;:]*m`)
	for line := range strings.Lines(text) {
		if all := sgr.FindAllString(line, -1); len(all) > 0 && all[len(all)-1] != "\x1b[0m" && all[len(all)-1] != "\x1b[m" {
			t.Errorf("colour is left on by %.200q", line)
		}
	}
	inert(t, sgr.ReplaceAllString(text, ""), []string{"hostile.example.com", "victim.example.com"})
}

// inert checks that text holds lines of troops and of the nodes only, which are harmless for
// a terminal and of a length that a screen can bear.
func inert(t *testing.T, text string, names []string) {
	t.Helper()
	begin := regexp.MustCompile(`^(troops: |(` + strings.ReplaceAll(strings.Join(names, "|"), ".", `\.`) + `) *( [|!*] |$| [|!*]$))`)
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if !begin.MatchString(line) {
			t.Errorf("nobody's line: %.200q", line)
		}
		if len(line) > 16<<10 {
			t.Errorf("a line of %d bytes: %.100q", len(line), line)
		}
		if !utf8.ValidString(line) {
			t.Errorf("invalid UTF-8: %.200q", line)
		}
		for _, r := range line {
			if r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == 0x2028 || r == 0x2029) {
				t.Errorf("%U in %.200q", r, line)
				break
			}
		}
	}
}

// TestNoisyLogin pushes to a node whose login shell talks before git does, and in colours.
func TestNoisyLogin(t *testing.T) {
	s := newStation(t)
	n := s.nodes(testnode.Options{Names: []string{"noisy.example.com"}})[0]
	n.Run(t, `printf 'echo "0032 welcome, 0000 unread mails"; printf "\\033[2Jhi\\n"; echo "on stderr" >&2\n' >/home/ubuntu/.bashrc`)
	s.commit(map[string]string{"deploy.py": hosts([]*testnode.Node{n}, "print('deployed')\n")})
	p := s.troops("push").exits(0)
	p.shows(`^noisy\.example\.com \| deployed$`)
	inert(t, p.stdout.String()+p.stderr.String(), []string{"noisy.example.com"})
}

// TestHungNode has one node's git hang as a command on a dead file system does: sshd answers
// for it, and keeps its channel open whatever the client does. The other node deploys, and
// whoever has seen enough can leave, with a summary.
func TestHungNode(t *testing.T) {
	s := newStation(t)
	nodes := s.nodes(testnode.Options{Names: []string{"well.example.com", "hung.example.com"}})
	nodes[1].Run(t, `printf '#!/bin/sh\nexec sleep 1000\n' >/usr/local/bin/git-receive-pack; chmod 0755 /usr/local/bin/git-receive-pack`)
	s.commit(map[string]string{"deploy.py": hosts(nodes, "print('deployed here')")})
	p := s.troops("push")
	p.sees("well.example.com * deployed")
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.exits(130).shows(`^troops: 2 nodes: 1 deployed, 1 not started in `, `^well\.example\.com \| deployed here$`)
}
