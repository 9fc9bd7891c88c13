package output

import (
	"fmt"
	"strings"
	"time"

	"troops/nodeside/wire"
	"troops/push"
)

// runTime is how a run's begin is told, in the time zone of the workstation.
const runTime = "2006-01-02 15:04:05"

// runBegan and runEnded need l.mu.
func (l *Lines) runBegan(e push.RunBegan) {
	n := l.node(e.Node)
	l.flush(n) // of a run whose end is not known
	l.own(n, Sanitize(beganText(e.Run)), false)
}

func (l *Lines) runEnded(e push.RunEnded) {
	n := l.node(e.Node)
	l.flush(n)
	text := fmt.Sprintf("%s: %s", runName(e.Run), e.Outcome)
	failure := verdictOf(e.Outcome.Kind()) == bad
	if took := e.Run.Ended.Sub(e.Run.Started); !e.Run.Started.IsZero() && took >= 0 {
		format := " in %s"
		if failure {
			format = " (%s)"
		}
		text += fmt.Sprintf(format, duration(took))
	}
	if e.Run.LogError != "" && !strings.Contains(text, e.Run.LogError) {
		text += "; its log is not whole: " + e.Run.LogError
	}
	l.own(n, Sanitize(text), failure)
}

// runName is what a run does, and with which commit.
func runName(r wire.Result) string {
	what := "run"
	if r.Check {
		what = "checks"
	}
	return what + " of " + short(r.Commit)
}

// beganText tells of a run that began.
func beganText(r wire.Result) string {
	var b strings.Builder
	b.WriteString(runName(r))
	if r.By != "" {
		b.WriteString(" by " + r.By)
	}
	began, how := r.Started, "began"
	if began.IsZero() {
		began, how = r.Queued, "queued"
	}
	fmt.Fprintf(&b, ", %s %s: %s", how, began.In(time.Local).Format(runTime), r.Run)
	return b.String()
}
