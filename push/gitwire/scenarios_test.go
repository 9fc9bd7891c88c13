package gitwire

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// scenario is a push to a repository in some state.
type scenario struct {
	name    string
	about   string
	format  string // SHA1 where empty
	command string // plainServer where empty
	env     []string
	// setup prepares the repository "bare" and returns the request.
	setup func(l *lab) Request
}

func onMain(old, new OID) []Command { return []Command{{"refs/heads/main", old, new}} }

// pushed makes "bare" have a first commit on main, and returns it with a second one that it has not.
func pushed(l *lab) (first, second OID) {
	l.bare("bare")
	first = l.commit("a", strings.Repeat("line\n", 100))
	l.git("work", "push", "-q", "../bare", "main")
	second = l.commit("a", strings.Repeat("line\n", 100)+"more\n")
	return first, second
}

func updateMain(l *lab) Request {
	first, second := pushed(l)
	return Request{Commands: onMain(first, second), Agent: "troops/test", Pack: l.pack(second, first)}
}

// updateWith updates main in a repository with a hook.
func updateWith(hook, script string) func(l *lab) Request {
	return func(l *lab) Request {
		req := updateMain(l)
		l.hook("bare", hook, script)
		return req
	}
}

// procReceive is a proc-receive hook's side of its protocol in shell: it answers with the given packets.
func procReceive(answer string) string {
	return `pkt() { printf '%04x%s\n' $((${#1} + 5)) "$1"; }
skip() {
	while n=$(dd bs=1 count=4 2>/dev/null) && [ -n "$n" ] && [ "$n" != 0000 ]; do
		dd bs=1 count=$((0x$n - 4)) >/dev/null 2>&1
	done
}
skip
printf '000eversion=1\n0000'
skip
` + answer + "\nprintf 0000\n"
}

func scenarios() []scenario { return slices.Concat(states(), hooks(), refusals()) }

func one(name, about string, setup func(l *lab) Request) scenario {
	return scenario{name: name, about: about, setup: setup}
}

func create(l *lab) Request {
	l.bare("bare")
	c := l.commit("a", "a\n")
	return Request{Commands: onMain(ZeroOID(l.format), c), Pack: l.pack(c)}
}

// updateConfigured updates main in a repository with a configuration.
func updateConfigured(key, value string) func(l *lab) Request {
	return func(l *lab) Request {
		req := updateMain(l)
		l.git("bare", "config", key, value)
		return req
	}
}

// replace puts one repository in another one's place.
func (l *lab) replace(old, by string) {
	l.t.Helper()
	if err := os.Rename(filepath.Join(l.dir, old), filepath.Join(l.dir, old+"-was")); err != nil {
		l.t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(l.dir, by), filepath.Join(l.dir, old)); err != nil {
		l.t.Fatal(err)
	}
}

// states are servers that differ in what they have and say first.
func states() []scenario {
	return []scenario{
		one("empty", "first push to an empty repository", create),
		{name: "sha256", about: "the same in a sha256 repository", format: SHA256, setup: create},
		one("update", "a fast-forward", updateMain),
		{name: "version1", about: "a server that was asked for protocol 1", env: []string{"GIT_PROTOCOL=version=1"}, setup: updateMain},
		{name: "noise", about: "a shell start-up file that prints", setup: updateMain,
			command: `echo "Welcome to node 7!"; echo 0badc0de; printf 'no line feed'; exec git receive-pack "$0"`},
		one("alternates", "objects that the server has by alternates", func(l *lab) Request {
			first, second := pushed(l)
			l.git("", "clone", "-q", "--bare", "--shared", "bare", "fork")
			l.git("bare", "update-ref", "refs/heads/other", string(first))
			l.git("", "--git-dir=fork", "update-ref", "-d", "refs/heads/main")
			l.replace("bare", "fork")
			alt := filepath.Join(l.dir, "bare/objects/info/alternates")
			if err := os.WriteFile(alt, []byte("../../bare-was/objects\n"), 0o644); err != nil {
				l.t.Fatal(err)
			}
			return Request{Commands: onMain(zeroSHA1, second), Pack: l.pack(second, first)}
		}),
		one("shallow", "a server with a shallow history", func(l *lab) Request {
			l.commit("z", "z\n")
			first, second := pushed(l)
			l.git("", "clone", "-q", "--bare", "--depth=1", "file://"+filepath.Join(l.dir, "bare"), "cut")
			l.replace("bare", "cut")
			return Request{Commands: onMain(first, second), Pack: l.pack(second, first)}
		}),
		one("delete", "only a deletion, so no pack", func(l *lab) Request {
			first, _ := pushed(l)
			l.git("bare", "update-ref", "refs/heads/old", string(first))
			return Request{Commands: []Command{{"refs/heads/old", first, zeroSHA1}}}
		}),
		{name: "no-git", about: "a machine without git", command: "echo 'sh: 1: git-receive-pack: not found'; exit 127", setup: updateMain},
	}
}

// hooks are servers that run something.
func hooks() []scenario {
	return []scenario{
		one("post-receive", "a hook that prints after the report", updateWith("post-receive", "echo one; echo two >&2; printf three\nexit 5\n")),
		one("pre-receive", "a hook that declines", updateWith("pre-receive", "echo no, thank you\nexit 3\n")),
		one("update-hook", "a hook that declines one ref", updateWith("update", "exit 4\n")),
		one("proc-receive-ng", "a proc-receive hook that says no", func(l *lab) Request {
			req := updateWith("proc-receive", procReceive(`echo running >&2; pkt "ng refs/heads/main troops: run 7 exited 7"`))(l)
			l.git("bare", "config", "receive.procReceiveRefs", "refs/heads")
			return req
		}),
		one("proc-receive-ok", "a proc-receive hook that did something else instead", func(l *lab) Request {
			req := updateMain(l)
			l.git("bare", "config", "receive.procReceiveRefs", "refs/heads")
			c := req.Commands[0]
			l.hook("bare", "proc-receive", procReceive(fmt.Sprintf(`pkt "ok refs/heads/main"
pkt "option refname refs/changes/1"
pkt "option old-oid %s"
pkt "option new-oid %s"
pkt "option forced-update"
pkt "ok refs/heads/main"
pkt "option refname refs/changes/2"`, c.Old, c.New)))
			return req
		}),
		one("options", "push options reach the hook", func(l *lab) Request {
			req := updateWith("post-receive", "echo $GIT_PUSH_OPTION_COUNT: $GIT_PUSH_OPTION_0, $GIT_PUSH_OPTION_1\n")(l)
			l.git("bare", "config", "receive.advertisePushOptions", "true")
			req.Options = []string{"troops-host=web-1", "two words"}
			return req
		}),
	}
}

// refusals are servers that do not do what they are asked for.
func refusals() []scenario {
	return []scenario{
		one("atomic", "two refs, one of them stale, all or none", func(l *lab) Request {
			first, second := pushed(l)
			return Request{Atomic: true, Pack: l.pack(second, first), Commands: []Command{
				{"refs/heads/new", zeroSHA1, second}, {"refs/heads/main", second, first}}}
		}),
		one("conflict", "a ref where there is a directory", func(l *lab) Request {
			first, second := pushed(l)
			return Request{Commands: []Command{{"refs/heads/main/x", zeroSHA1, second}}, Pack: l.pack(second, first)}
		}),
		one("max-size", "a pack that is too large", updateConfigured("receive.maxInputSize", "10")),
		one("hidden", "a ref that the server hides", updateConfigured("receive.hideRefs", "refs/heads")),
		one("non-ff", "a server that wants fast-forwards only", func(l *lab) Request {
			_, second := pushed(l)
			l.git("work", "push", "-q", "../bare", "main")
			l.git("work", "checkout", "-q", "--orphan", "other")
			c := l.commit("b", "b\n")
			l.git("bare", "config", "receive.denyNonFastForwards", "true")
			return Request{Commands: onMain(second, c), Pack: l.pack(c)}
		}),
		one("missing-base", "a thin pack whose bases the server lacks", func(l *lab) Request {
			req := updateMain(l)
			second := req.Commands[0].New
			l.git("", "init", "-q", "--bare", "fresh")
			l.replace("bare", "fresh")
			req.Commands = onMain(zeroSHA1, second)
			return req
		}),
	}
}
