package nodeside

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// BenchmarkWarmRun pushes commits whose requirements are those of the one before, and reports
// what passes between the hook's start and the first line of deploy.py, beside what starting
// Python alone takes on the same machine:
//
//	go test ./nodeside -run '^$' -bench WarmRun
func BenchmarkWarmRun(b *testing.B) {
	n := newTestNode(b)
	begun, reached := filepath.Join(filepath.Dir(n.l.Dir), "begun"), filepath.Join(filepath.Dir(n.l.Dir), "reached")
	// git runs it right before the hook that troops has. The shell's own clock: no process more.
	n.check(os.WriteFile(n.l.Hook("pre-receive"), []byte("#!/bin/bash\necho ${EPOCHREALTIME/,/.} >"+begun+"\n"), 0o755))
	deploy := "import time\nopen('" + reached + "', 'w').write(repr(time.time()))\n"
	n.commit("deploy.py", deploy)
	n.mustPush("master") // makes the virtualenv

	var warm, python time.Duration
	runs := 0
	for b.Loop() {
		n.commit()
		n.mustPush("master")
		warm += time.Duration((clock(n, reached) - clock(n, begun)) * float64(time.Second))
		start := time.Now()
		n.check(exec.Command("/usr/bin/python3", "-c", "pass").Run())
		python += time.Since(start)
		runs++
	}
	b.ReportMetric(float64(warm.Milliseconds())/float64(runs), "ms-to-first-line")
	b.ReportMetric(float64(python.Milliseconds())/float64(runs), "ms-of-python")
	b.ReportMetric(float64(warm)/float64(python), "x-python")
}

// clock reads seconds since 1970 from a file.
func clock(n *testNode, path string) float64 {
	b, err := os.ReadFile(path)
	n.check(err)
	at, err := strconv.ParseFloat(strings.TrimSpace(string(b)), 64)
	n.check(err)
	return at
}
