package deployment

import (
	"bufio"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// standardPath is the PATH of root on Debian, with the directories of administrators first.
const standardPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// CleanEnv is the environment that a deployment starts from: PATH, HOME, USER, LOGNAME
// and SHELL of the user that runs, as the user database has them, and LANG=C.UTF-8.
// Nothing else of the process's environment gets through: no PIP_*, PYTHON*, GIT_*,
// LD_*, SUDO_*.
//
// PATH is the standard one. A user other than root gets the process's own PATH appended,
// since a node without root may have its python3 in a directory of that user's.
func CleanEnv() []string {
	uid := os.Getuid()
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil { // a container's uid without a name
		home := os.Getenv("HOME")
		if !filepath.IsAbs(home) {
			home = "/"
		}
		u = &user.User{Username: strconv.Itoa(uid), HomeDir: home}
	}
	path := standardPath
	if uid != 0 {
		path = joinPath(standardPath, os.Getenv("PATH"))
	}
	return []string{
		"PATH=" + path, "HOME=" + u.HomeDir, "USER=" + u.Username, "LOGNAME=" + u.Username,
		"SHELL=" + loginShell("/etc/passwd", uid), "LANG=C.UTF-8",
	}
}

// ownEnv is CleanEnv with PATH, HOME, USER, LOGNAME and SHELL as the user has them now.
func ownEnv() []string {
	env := CleanEnv()
	for _, name := range []string{"PATH", "HOME", "USER", "LOGNAME", "SHELL"} {
		if value := os.Getenv(name); value != "" {
			env = setEnv(env, name, value)
		}
	}
	return env
}

// joinPath appends the directories of b that a lacks. Relative ones are left out:
// in a checkout they would be the repository's.
func joinPath(a, b string) string {
	dirs := filepath.SplitList(a)
	for _, dir := range filepath.SplitList(b) {
		if filepath.IsAbs(dir) && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return strings.Join(dirs, ":")
}

// loginShell reads a user's shell from a file like /etc/passwd; os/user does not tell it.
func loginShell(passwd string, uid int) string {
	const fallback = "/bin/sh"
	f, err := os.Open(passwd)
	if err != nil {
		return fallback
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), ":")
		if len(fields) == 7 && fields[2] == strconv.Itoa(uid) && fields[6] != "" {
			return fields[6]
		}
	}
	return fallback
}

// setEnv returns env with one variable set to value.
func setEnv(env []string, name, value string) []string {
	out := slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
		return strings.HasPrefix(kv, name+"=")
	})
	return append(out, name+"="+value)
}

// getEnv returns a variable's value in env, the last one if there are several.
func getEnv(env []string, name string) string {
	for _, kv := range slices.Backward(env) {
		if n, value, ok := strings.Cut(kv, "="); ok && n == name {
			return value
		}
	}
	return ""
}

// activate returns env as it is inside a virtualenv.
func activate(env []string, venv string) []string {
	if venv == "" {
		return env
	}
	env = setEnv(env, "VIRTUAL_ENV", venv)
	return setEnv(env, "PATH", filepath.Join(venv, "bin")+":"+getEnv(env, "PATH"))
}

// lookPath finds a program on the PATH of env; empty where there is none.
func lookPath(env []string, name string) string {
	for _, dir := range filepath.SplitList(getEnv(env, "PATH")) {
		file := filepath.Join(dir, name)
		fi, err := os.Stat(file)
		if filepath.IsAbs(dir) && err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0 {
			return file
		}
	}
	return ""
}
