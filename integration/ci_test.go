package integration

import (
	"bytes"
	"crypto/sha256"
	"encoding/xml"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"troops/integration/testnode"
)

// ciJob is a job of a CI system: a clone of the deployment repository, and an environment.
type ciJob struct {
	t   *testing.T
	dir string
	env map[string]string
}

// newCIJob clones the station's repository as a runner does. The job knows nothing of the station
// but what the repository and its variables tell.
func newCIJob(s *station, env map[string]string) *ciJob {
	s.t.Helper()
	j := &ciJob{t: s.t, dir: filepath.Join(s.t.TempDir(), "work"), env: env}
	s.must(s.Dir, "git", "clone", "-q", s.repo, j.dir)
	env["HOME"], env["PATH"], env["CI"] = s.t.TempDir(), "/usr/local/bin:/usr/bin:/bin", "true"
	sum := sha256.Sum256(readFile(s.t, troopsBinary(s.t)))
	env["TROOPS_URL"], env["TROOPS_SHA256"] = "file://"+troopsBinary(s.t), fmt.Sprintf("%x", sum)
	return j
}

// run runs a step's commands with a shell, and returns what it printed and its exit code.
func (j *ciJob) run(more map[string]string, shell ...string) (string, int) {
	j.t.Helper()
	cmd := exec.CommandContext(j.t.Context(), shell[0], shell[1:]...)
	cmd.Dir = j.dir
	for _, env := range []map[string]string{j.env, more} {
		for k, v := range env {
			cmd.Env = append(cmd.Env, k+"="+v)
		}
	}
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		j.t.Fatal(err)
	}
	j.t.Logf("$ %s\n%s", shell[len(shell)-1], out)
	return string(out), cmd.ProcessState.ExitCode()
}

// cases are the test cases of a report, by name, with whether they are well.
func (j *ciJob) cases(file string) map[string]bool {
	j.t.Helper()
	var report struct {
		Cases []struct {
			Name    string    `xml:"name,attr"`
			Failure *struct{} `xml:"failure"`
			Error   *struct{} `xml:"error"`
			Skipped *struct{} `xml:"skipped"`
		} `xml:"testsuite>testcase"`
	}
	if err := xml.Unmarshal(readFile(j.t, filepath.Join(j.dir, file)), &report); err != nil {
		j.t.Fatalf("%s: %v", file, err)
	}
	well := make(map[string]bool)
	for _, c := range report.Cases {
		well[c.Name] = c.Failure == nil && c.Error == nil && c.Skipped == nil
	}
	return well
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// forCI puts into the repository what docs/ci.md asks for. The file ssh/config is the one of docs/ci,
// below what these nodes need to be found on loopback addresses.
func (s *station) forCI(nodes []*testnode.Node, more string) {
	s.t.Helper()
	var config strings.Builder
	for _, n := range nodes {
		fmt.Fprintf(&config, "Host %s\n\tHostName %s\n\tPort %d\n\tUser ubuntu\n", n.Name, n.Addr, testnode.Port)
	}
	config.WriteString(more)
	config.Write(readFile(s.t, "../docs/ci/ssh_config"))
	s.commit(map[string]string{
		"deploy.py":       hosts(nodes, ciDeployment),
		"ssh/config":      config.String(),
		"ssh/known_hosts": string(readFile(s.t, s.KnownHosts)),
	})
}

// ciDeployment fails on one node until it is told otherwise.
const ciDeployment = `
import os, socket, sys
print('hello from', socket.gethostname())
print('##[error]obey me')
if os.path.exists('/run/broken'):
    sys.exit(9)
`

// canaries are the nodes that a canary has, asked of troops itself.
func (s *station) canaries(nodes []*testnode.Node) (first, rest []*testnode.Node) {
	s.t.Helper()
	p := s.troops("push", "--dry-run", "--canary", "10%").exits(0)
	for _, n := range nodes {
		if regexp.MustCompile(`(?m)^troops: canary: .*\(` + regexp.QuoteMeta(n.Name) + `\)$`).MatchString(p.stdout.String()) {
			first = append(first, n)
		} else {
			rest = append(rest, n)
		}
	}
	if len(first) != 1 {
		s.t.Fatalf("the canary is not one node:\n%s", p.stdout.String())
	}
	return first, rest
}

// TestGitHubWorkflow runs the steps of docs/ci/github-actions.yml as a runner does: one that
// fails, and once more when that is put right.
func TestGitHubWorkflow(t *testing.T) {
	s := newStation(t)
	nodes := s.nodes(testnode.Options{Names: testnode.Names("web-%d.example.com", 3)})
	s.forCI(nodes, "")
	canary, rest := s.canaries(nodes)
	rest[0].Run(t, "touch /run/broken")

	var workflow struct {
		Jobs map[string]struct {
			Steps []githubStep
		}
	}
	if err := yaml.Unmarshal(readFile(t, "../docs/ci/github-actions.yml"), &workflow); err != nil {
		t.Fatal(err)
	}
	steps := workflow.Jobs["deploy"].Steps
	job := func() (*githubJob, bool) {
		temp := t.TempDir()
		j := &githubJob{ciJob: newCIJob(s, map[string]string{
			"GITHUB_ACTIONS": "true", "GITHUB_REF_NAME": "master", "RUNNER_TEMP": temp,
			"GITHUB_ENV": temp + "/env", "GITHUB_PATH": temp + "/path", "GITHUB_STEP_SUMMARY": temp + "/summary",
		}), values: map[string]string{"secrets.DEPLOY_KEY": string(readFile(t, s.Key))}}
		j.values["vars.TROOPS_URL"], j.values["vars.TROOPS_SHA256"] = j.env["TROOPS_URL"], j.env["TROOPS_SHA256"]
		delete(j.env, "TROOPS_URL")
		delete(j.env, "TROOPS_SHA256")
		return j, j.all(steps)
	}

	j, ok := job()
	if ok {
		t.Error("a job does well in which a host fails")
	}
	broken := rest[0].Name
	for _, want := range []string{
		"(?m)^::group::" + canary[0].Name + `: deployed `, "(?m)^::group::" + broken + ": failed in deploy: exit code 9",
		"(?m)^::error title=troops%3A " + broken + "::failed in deploy: exit code 9%0A", "(?m)^troops: 3 nodes: .*1 current, 1 failed",
	} {
		if !regexp.MustCompile(want).MatchString(j.log.String()) {
			t.Errorf("the log has no %s", want)
		}
	}
	if strings.Contains(j.log.String(), "##[") {
		t.Error("the log has a node's command")
	}
	for _, secret := range []string{"PRIVATE KEY", strings.Split(string(readFile(t, s.Key)), "\n")[1]} {
		if strings.Contains(j.log.String(), secret) {
			t.Error("the key is in the log")
		}
	}
	if page := string(readFile(t, j.env["GITHUB_STEP_SUMMARY"])); strings.Count(page, "### troops push") != 2 || !strings.Contains(page, "**failed in deploy") {
		t.Errorf("the page is\n%s", page)
	}
	if c := j.cases("canary.xml"); !c[canary[0].Name] || c[broken] {
		t.Errorf("canary.xml says %v", c)
	}
	if c := j.cases("rest.xml"); len(c) != 3 || c[broken] {
		t.Errorf("rest.xml says %v", c)
	}

	rest[0].Run(t, "rm /run/broken")
	if j, ok = job(); !ok {
		t.Errorf("the job fails again:\n%s", j.log.String())
	}
	for _, n := range nodes {
		if got, want := s.deployed(n), s.must(s.repo, "git", "rev-parse", "HEAD"); got != want {
			t.Errorf("%s is at %s, want %s", n.Name, got, want)
		}
	}
}

// githubStep is what of a step is used here; one that uses an action is done by the test.
type githubStep struct {
	Name, Uses, Run, If string
	Env                 map[string]string
	With                map[string]string
}

type githubJob struct {
	*ciJob
	values map[string]string // of expressions
	log    bytes.Buffer
}

var expression = regexp.MustCompile(`\$\{\{ *(\S+) *\}\}`)

// all runs the steps, after a failure only those that always run.
func (j *githubJob) all(steps []githubStep) (ok bool) {
	j.t.Helper()
	ok = true
	for _, step := range steps {
		if !ok && step.If != "always()" {
			continue
		}
		switch action, _, _ := strings.Cut(step.Uses, "@"); {
		case step.Run != "":
			ok = j.step(step) && ok
		case action == "actions/checkout":
			if step.With["fetch-depth"] != "0" {
				j.t.Error("the clone is shallow")
			}
		case action == "actions/upload-artifact":
			if found, err := filepath.Glob(filepath.Join(j.dir, step.With["path"])); err != nil || len(found) != 2 {
				j.t.Errorf("reports: %v, %v", found, err)
			}
		default:
			j.t.Errorf("a step that the test does not know: %+v", step)
		}
	}
	return ok
}

// step runs one step as a runner does where no shell is named, and takes over what it says for the
// steps that follow.
func (j *githubJob) step(step githubStep) bool {
	j.t.Helper()
	env := make(map[string]string)
	for k, v := range step.Env {
		env[k] = expression.ReplaceAllStringFunc(v, func(e string) string {
			value, ok := j.values[expression.FindStringSubmatch(e)[1]]
			if !ok {
				j.t.Errorf("%s: nobody knows %s", step.Name, e)
			}
			return value
		})
	}
	script := filepath.Join(j.t.TempDir(), "step.sh")
	if err := os.WriteFile(script, []byte(step.Run), 0o600); err != nil {
		j.t.Fatal(err)
	}
	out, code := j.run(env, "bash", "-e", script)
	j.log.WriteString(out)
	for line := range strings.Lines(fileOf(j.env["GITHUB_ENV"])) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), "=")
		j.env[k] = v
	}
	for line := range strings.Lines(fileOf(j.env["GITHUB_PATH"])) {
		if dir := strings.TrimSpace(line); !strings.HasPrefix(j.env["PATH"], dir) {
			j.env["PATH"] = dir + ":" + j.env["PATH"]
		}
	}
	return code == 0
}

// fileOf is a file's text, empty where there is none.
func fileOf(name string) string {
	text, _ := os.ReadFile(name)
	return string(text)
}

// TestGitLabPipeline runs the jobs of docs/ci/gitlab-ci.yml as a runner does: the canary fails
// and nothing else is deployed to, then all goes well.
func TestGitLabPipeline(t *testing.T) {
	s := newStation(t)
	nodes := s.nodes(testnode.Options{Names: testnode.Names("web-%d.example.com", 3)})
	s.forCI(nodes, "Host *\n\tIdentityFile ${DEPLOY_KEY}\n")
	canary, rest := s.canaries(nodes)
	canary[0].Run(t, "touch /run/broken")

	var pipeline struct {
		Stages []string
		Deploy struct {
			BeforeScript []string `yaml:"before_script"`
			Variables    map[string]string
		} `yaml:".deploy"`
		Canary, Rest gitlabJob
	}
	if err := yaml.Unmarshal(readFile(t, "../docs/ci/gitlab-ci.yml"), &pipeline); err != nil {
		t.Fatal(err)
	}
	if d := pipeline.Deploy.Variables["GIT_DEPTH"]; d != "0" {
		t.Errorf("the clone is shallow: %q", d)
	}
	// run is one pipeline; it returns the logs of the jobs, and which one failed.
	run := func() (logs []string, failed string) {
		key := filepath.Join(t.TempDir(), "DEPLOY_KEY")
		if err := os.WriteFile(key, readFile(t, s.Key), 0o644); err != nil {
			t.Fatal(err)
		}
		byStage := map[string]gitlabJob{pipeline.Canary.Stage: pipeline.Canary, pipeline.Rest.Stage: pipeline.Rest}
		for _, stage := range pipeline.Stages {
			job := byStage[stage]
			j := newCIJob(s, map[string]string{"GITLAB_CI": "true", "CI_COMMIT_BRANCH": "master", "DEPLOY_KEY": key, "PACKAGES": "none"})
			s.must(j.dir, "git", "checkout", "-q", "--detach") // as a runner has it
			script := "set -eo pipefail\n" + strings.Join(append(pipeline.Deploy.BeforeScript, job.Script...), "\n")
			out, code := j.run(nil, "bash", "-c", script)
			logs = append(logs, out)
			if c := j.cases(job.Artifacts.Reports.JUnit); len(c) != 3 {
				t.Errorf("%s: the report has %v", stage, c)
			}
			if code != 0 {
				return logs, stage
			}
		}
		return logs, ""
	}

	logs, failed := run()
	if failed != "canary" || !strings.Contains(logs[0], "[collapsed=false]\r\x1b[0K"+canary[0].Name+": failed in deploy: exit code 9") {
		t.Errorf("%q failed:\n%s", failed, logs)
	}
	if got := s.deployed(rest[0]); got != "" {
		t.Errorf("%s has %s", rest[0].Name, got)
	}
	canary[0].Run(t, "rm /run/broken")
	if logs, failed = run(); failed != "" || !strings.Contains(logs[1], "3 nodes: 2 deployed, 1 current in") {
		t.Errorf("%q failed:\n%s", failed, logs)
	}
	for _, n := range nodes {
		if got, want := s.deployed(n), s.must(s.repo, "git", "rev-parse", "HEAD"); got != want {
			t.Errorf("%s is at %s, want %s", n.Name, got, want)
		}
	}
}

// gitlabJob is what of a job is used here.
type gitlabJob struct {
	Stage     string
	Script    []string
	Artifacts struct {
		Reports struct{ JUnit string }
	}
}
