// Command pictures makes the terminal pictures of docs/pictures: it runs troops on a
// pseudo-terminal, against nodes in a temporary directory, and draws what the terminal shows
// as SVG. `make pictures` calls it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"

	"troops/nodeside/sandbox"
)

func main() {
	troops := flag.String("troops", "bin/troops", "the program")
	out := flag.String("out", "docs/pictures", "the directory of the pictures")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *troops, *out)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "pictures:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, troops, out string) (err error) {
	if troops, err = filepath.Abs(troops); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "troops-pictures-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	fleet, err := sandbox.Start(ctx, sandbox.Options{Dir: dir, Names: hosts, Binary: troops})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fleet.Close()) }()
	s, err := newStation(ctx, dir, troops, fleet)
	if err != nil {
		return err
	}
	for _, sc := range scenes {
		if err := s.play(ctx, sc, filepath.Join(out, sc.name+".svg")); err != nil {
			return fmt.Errorf("%s: %w", sc.name, err)
		}
	}
	return nil
}

// hosts are the nodes of the pictures.
var hosts = []string{"web-1", "web-2", "web-3", "web-4", "db-1", "db-2"}

// scene is one picture: a commit, perhaps, and a command on a terminal.
type scene struct {
	name    string
	subject string   // of a commit whose deploy.py ends in deploy; empty for none
	deploy  string   //
	args    []string // of troops
	code    int      // that it must exit with
	beside  []string // of another troops, which runs once the terminal shows when
	when    string   //
	drop    string   // the connections to this node break once the terminal shows dropAt
	dropAt  string   //
	until   string   // ends the command by Ctrl-C once the terminal has shown this, and so often
	times   int      //
}

// work is the end of a deploy.py that takes a moment.
const work = `
def steps(*names):
    for name in names:
        print(name, flush=True)
        time.sleep(0.2)

@troops.deployable(roles=['web'])
def frontend():
    steps('unpack site', 'link current', 'reload server')

@troops.deployable(roles=['db'])
def database():
    steps('check disk', 'apply schema %d')
%s`

const full = `    if troops.hostname().startswith('db'):
        sys.exit('no space left for schema 2: 1.2 GB needed, 0.4 GB free')
`

var scenes = []scene{
	{name: "push", subject: "Install the site.", deploy: fmt.Sprintf(work, 1, ""), args: []string{"push"}},
	{name: "canary", subject: "Move to schema 2.", deploy: fmt.Sprintf(work, 2, full), args: []string{"push", "--canary", "2"}, code: 3},
	{name: "status", args: []string{"status"}},
	{name: "tail", subject: "Make room for schema 2.", deploy: fmt.Sprintf(work, 2, ""), args: []string{"tail", "-n", "0", "--role", "db"}, code: 130,
		beside: []string{"push"}, when: "until Ctrl-C", drop: "db-1", dropAt: "check disk", until: ": deployed in ", times: 2},
	{name: "fold", subject: "Warm the cache.", deploy: fmt.Sprintf(work, 3, ""), args: []string{"push", "--output", "fold"}},
}

// station is the workstation of the pictures.
type station struct {
	troops, repo string
	env          []string
	nodes        []*sandbox.Node
}

func newStation(ctx context.Context, dir, troops string, fleet *sandbox.Fleet) (*station, error) {
	s := &station{troops: troops, repo: filepath.Join(dir, "deploy"), nodes: fleet.Nodes}
	s.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TERM=xterm-256color", "LANG=C.UTF-8", "TZ=UTC", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=ann", "GIT_AUTHOR_EMAIL=ann@example.com", "GIT_COMMITTER_NAME=ann", "GIT_COMMITTER_EMAIL=ann@example.com",
	}
	if err := os.Mkdir(s.repo, 0o755); err != nil {
		return nil, err
	}
	for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"config", "troops.sshConfig", fleet.SSHConfig}, {"config", "troops.nodePath", sandbox.RepoPath}} {
		if err := s.command(ctx, "git", args...).Run(); err != nil {
			return nil, fmt.Errorf("git %q: %w", args, err)
		}
	}
	return s, nil
}

func (s *station) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = s.repo, s.env
	return cmd
}

// commit makes a commit whose deploy.py names the hosts and ends in deploy.
func (s *station) commit(ctx context.Context, subject, deploy string) error {
	head := "import sys\nimport time\n\nimport troops\n\n"
	for _, role := range []string{"web", "db"} {
		var names []string
		for _, h := range hosts {
			if strings.HasPrefix(h, role) {
				names = append(names, "'"+h+"'")
			}
		}
		head += fmt.Sprintf("troops.define_role('%s', hosts=[%s])\n", role, strings.Join(names, ", "))
	}
	if err := os.WriteFile(filepath.Join(s.repo, "deploy.py"), []byte(head+deploy), 0o644); err != nil {
		return err
	}
	if err := s.command(ctx, "git", "add", "deploy.py").Run(); err != nil {
		return err
	}
	return s.command(ctx, "git", "commit", "-q", "-m", subject).Run()
}

// play makes one picture.
func (s *station) play(ctx context.Context, sc scene, path string) error {
	if sc.subject != "" {
		if err := s.commit(ctx, sc.subject, sc.deploy); err != nil {
			return err
		}
	}
	t := newTerminal()
	defer t.close()
	t.show("\x1b[1m$ troops " + strings.Join(sc.args, " ") + "\x1b[0m\r\n")
	if err := t.run(ctx, s.command(ctx, s.troops, sc.args...), s.acts(ctx, sc), sc.code); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(t.svg("troops "+sc.args[0])), 0o644)
}

// acts are what happens while the command runs.
func (s *station) acts(ctx context.Context, sc scene) []act {
	var acts []act
	if sc.beside != nil {
		acts = append(acts, act{sc.when, 1, func(*terminal) error { return s.command(ctx, s.troops, sc.beside...).Run() }})
	}
	for _, n := range s.nodes {
		if n.Name == sc.drop {
			acts = append(acts, act{sc.dropAt, 1, func(*terminal) error { n.Drop(); return nil }})
		}
	}
	if sc.until != "" {
		acts = append(acts, act{sc.until, sc.times, func(t *terminal) error { return t.press("\x03") }})
	}
	return acts
}
