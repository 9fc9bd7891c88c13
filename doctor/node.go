package doctor

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"troops/nodeside"
	"troops/nodeside/python"
	"troops/push"
	"troops/sshx"
)

// script prints `KEY VALUE` lines about a machine. It only looks, and runs in any POSIX shell.
//
//go:embed node.sh
var script string

// maxAnswer is how much of what the script prints is read, in bytes.
const maxAnswer = 64 << 10

// Below these a node's disk is called nearly full.
const (
	lowDisk   = 500 << 20 // bytes
	lowInodes = 10_000
)

// node adds what a push would find behind a connection to a host that ssh knows by these words.
func (d *Doctor) node(ctx context.Context, r *Report, conn *sshx.Conn, ssh string) {
	ctx, cancel := context.WithTimeoutCause(ctx, HostTimeout, fmt.Errorf("the host did not answer within %v", HostTimeout))
	defer cancel()
	answers, err := ask(ctx, conn, d.repoPath)
	// The node's own word goes before what is found in the login's PATH.
	if account, aerr := push.Account(ctx, push.SSHConn(conn), d.repoPath); aerr == nil && err == nil {
		answers["troops"] = "troops " + account.Troops
	}
	if err != nil {
		r.add("system", Bad, cause(err), "a push runs commands on the host by the login shell: does `ssh "+ssh+" true` work?")
	} else {
		answers.tell(r)
	}
	d.repository(ctx, r, conn)
}

// answers are the script's lines: hostile text by key.
type answers map[string]string

// ask has the node's shell run the script.
func ask(ctx context.Context, conn *sshx.Conn, repoPath string) (answers, error) {
	path, err := push.QuotePath(repoPath)
	if err != nil {
		return nil, err
	}
	p, err := conn.Exec(ctx, "sh -s")
	if err != nil {
		return nil, err
	}
	defer p.Close()
	var stdout strings.Builder
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = io.Copy(&stdout, io.LimitReader(p.Stdout(), maxAnswer)) // Wait tells of a lost connection
		_, _ = io.Copy(io.Discard, p.Stdout())
	})
	wg.Go(func() { _, _ = io.Copy(io.Discard, p.Stderr()) })
	_, err = io.WriteString(p.Stdin(), "repo="+path+"\n"+script)
	if cerr := p.Stdin().Close(); err == nil {
		err = cerr
	}
	wg.Wait()
	if werr := p.Wait(); werr != nil {
		return nil, werr
	}
	if err != nil {
		return nil, fmt.Errorf("sending a script to its shell: %w", err)
	}
	return parseAnswers(stdout.String()), nil
}

func parseAnswers(text string) answers {
	a := make(answers)
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		if _, seen := a[key]; !seen {
			a[key] = strings.TrimSpace(value)
		}
	}
	return a
}

// tell adds the findings.
func (a answers) tell(r *Report) {
	system, level, hint := a["system"], Good, ""
	if !strings.HasPrefix(system, "Linux ") {
		level, hint = Bad, "nodes are Linux machines"
	}
	if a["release"] != "" {
		system += ", " + a["release"]
	}
	r.add("system", level, system, hint)
	r.add("login", Good, a["login"], "")
	a.git(r)
	a.python(r)
	a.troops(r)
	if a["verify"] != "" { // what root alone has set is not seen
		r.add("signatures", Good, "troops.verify is "+a["verify"]+": commits have to be signed", "")
	}
	a.disk(r)
}

func (a answers) git(r *Report) {
	switch err := nodeside.CheckGitVersion(a["git"]); {
	case a["git"] == "":
		r.add("git", Bad, "not installed", "on the host: apt-get install git")
	case err != nil:
		r.add("git", Bad, strings.TrimPrefix(err.Error(), "nodeside: "), "")
	default:
		r.add("git", Good, strings.TrimPrefix(a["git"], "git version "), "")
	}
}

func (a answers) python(r *Report) {
	switch {
	case a["python"] == "":
		r.add("python", Warn, "python3 is not installed", "deploy.py needs it; on the host: apt-get install python3 python3-venv")
	case a["venv"] != "yes":
		r.add("python", Warn, a["python"]+" without venv", "requirements.txt needs it; on the host: apt-get install python3-venv")
	default:
		r.add("python", Good, a["python"]+" with venv", "")
	}
}

func (a answers) troops(r *Report) {
	version, found := strings.CutPrefix(a["troops"], "troops ")
	switch {
	case !found && a["node"] == "yes":
		r.add("troops", Warn, "the program was not found in the login's PATH, but the host is a node", "")
	case !found:
		r.add("troops", Warn, "not installed", "`troops bootstrap "+r.Host+"` makes the host a node; a plain repository can be pushed to without")
	case version != python.Version():
		r.add("troops", Warn, fmt.Sprintf("%s, here it is %s", version, python.Version()), "install the same version on both sides")
	default:
		r.add("troops", Good, version, "")
	}
}

// disk reads a line of `df -Pk` (POSIX: blocks of 1024 bytes; total, used, available) and one
// of `df -Pi`.
func (a answers) disk(r *Report) {
	free, ok := column(a["disk"], 3)
	inodes, counted := column(a["inodes"], 3)
	total, _ := column(a["disk"], 1)
	if !ok {
		r.add("disk", Warn, "free space is not known", "")
		return
	}
	free, total = free<<10, total<<10
	text := fmt.Sprintf("%s free of %s", size(free), size(total))
	most, _ := column(a["inodes"], 1) // some filesystems have no fixed number of them, and say 0 of 0
	if counted && most > 0 {
		text += fmt.Sprintf(", %d inodes free", inodes)
	}
	if free < lowDisk || most > 0 && inodes < lowInodes {
		r.add("disk", Warn, text+": nearly full", "a push needs room for the pack, the checkout and the virtualenv")
		return
	}
	r.add("disk", Good, text, "")
}

// column is a number in a line of df, by its place.
func column(line string, i int) (int64, bool) {
	fields := strings.Fields(line)
	if i >= len(fields) {
		return 0, false
	}
	n, err := strconv.ParseInt(fields[i], 10, 53)
	return n, err == nil && n >= 0
}

func size(bytes int64) string {
	if bytes < 10<<30 {
		return fmt.Sprintf("%d MB", bytes>>20)
	}
	return fmt.Sprintf("%d GB", bytes>>30)
}

// repository looks at the repository as a push does.
func (d *Doctor) repository(ctx context.Context, r *Report, conn *sshx.Conn) {
	look, err := push.LookAt(ctx, push.SSHConn(conn), d.repoPath)
	switch {
	case err != nil:
		r.add("repository", Bad, err.Error(), push.Upgrade(err, r.Host, d.repoPath))
	case !look.Troops:
		r.add("repository", Good, d.repoPath+": a plain repository, its own hooks run", "")
	case look.At == "":
		r.add("repository", Good, d.repoPath+": nothing deployed yet", "")
	default:
		r.add("repository", Good, fmt.Sprintf("%s: %.10s is deployed", d.repoPath, look.At), "")
	}
}
