package output

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"
)

// CI is a system that runs jobs, as far as its logs are something of their own.
type CI int

// The systems that are told apart.
const (
	NoCI    CI = iota // a person, or nobody
	OtherCI           // lines, and now and then how far it is
	GitHub            // GitHub Actions, and what speaks its language (Gitea, Forgejo)
	GitLab
)

// CIFor finds out by the environment which system runs the job. getenv is [os.Getenv] or the like.
func CIFor(getenv func(string) string) CI {
	switch {
	case getenv("GITHUB_ACTIONS") == "true":
		return GitHub
	case getenv("GITLAB_CI") == "true":
		return GitLab
	case getenv("TF_BUILD") != "":
		return OtherCI
	}
	switch getenv("CI") {
	case "", "0", "false":
		return NoCI
	}
	return OtherCI
}

// DefuseLog returns a writer that keeps a log's reader, such as the runner of GitHub Actions or Azure
// Pipelines, from obeying what hosts print: `##[` and `##vso[` are commands there, wherever in a
// line they stand. (`::` is one at a line's start only, which is never a host's.) Whoever writes
// to it writes whole lines. A terminal is left as it is.
func DefuseLog(w io.Writer) io.Writer {
	if IsTerminal(w) {
		return w
	}
	return defuser{w}
}

type defuser struct{ w io.Writer }

var commandStarts = strings.NewReplacer("##[", "##<U+005B>", "##vso[", "##vso<U+005B>")

// Write implements io.Writer.
func (d defuser) Write(p []byte) (int, error) {
	if !bytes.Contains(p, []byte("##")) {
		return d.w.Write(p)
	}
	if _, err := commandStarts.WriteString(d.w, string(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// groupFormat is how a log marks lines that can be folded away.
type groupFormat interface {
	// begin appends the start of a group: number is its own, open says that it is not to be
	// folded away at first.
	begin(dst []byte, number int, title string, at time.Time, open bool) []byte
	end(dst []byte, number int, at time.Time) []byte
	// alarm appends what draws attention to a failure; text may have several lines.
	alarm(dst []byte, title, text string) []byte
}

func groupsOf(ci CI) groupFormat {
	switch ci {
	case GitHub:
		return githubGroups{}
	case GitLab:
		return gitlabGroups{}
	}
	return nil
}

// githubGroups are workflow commands.
type githubGroups struct{}

// githubData and githubProperty escape what would end a workflow command's text, or its property.
var (
	githubData     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	githubProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

func (githubGroups) begin(dst []byte, _ int, title string, _ time.Time, _ bool) []byte {
	return fmt.Appendf(dst, "::group::%s\n", githubData.Replace(title))
}

func (githubGroups) end(dst []byte, _ int, _ time.Time) []byte {
	return append(dst, "::endgroup::\n"...)
}

func (githubGroups) alarm(dst []byte, title, text string) []byte {
	return fmt.Appendf(dst, "::error title=%s::%s\n", githubProperty.Replace(title), githubData.Replace(text))
}

// gitlabGroups are sections. Nothing that a host prints can be one: they need an escape and a
// carriage return.
type gitlabGroups struct{}

func (gitlabGroups) begin(dst []byte, number int, title string, at time.Time, open bool) []byte {
	return fmt.Appendf(dst, "\x1b[0Ksection_start:%d:troops_%d[collapsed=%v]\r\x1b[0K%s\n", at.Unix(), number, !open, title)
}

func (gitlabGroups) end(dst []byte, number int, at time.Time) []byte {
	return fmt.Appendf(dst, "\x1b[0Ksection_end:%d:troops_%d\r\x1b[0K\n", at.Unix(), number)
}

// alarm implements groupFormat: a section that is not folded away and the report of --report are
// all that GitLab has.
func (gitlabGroups) alarm(dst []byte, _, _ string) []byte { return dst }
