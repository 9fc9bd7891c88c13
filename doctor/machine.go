package doctor

import (
	"context"
	"strings"

	"troops/push"
	"troops/sshx"
)

// The topics of [Machine.Finding].
const (
	TopicSystem = "system"
	TopicGit    = "git"
	TopicPython = "python"
	TopicDisk   = "disk"
)

// Machine is what a host says about itself when it is examined. All of it is the host's text.
type Machine struct {
	answers answers
	report  Report
}

// Ask has a host's shell run the script of [Doctor.Examine], which only looks.
func Ask(ctx context.Context, conn *sshx.Conn) (*Machine, error) {
	a, err := ask(ctx, conn, push.DefaultRepoPath)
	if err != nil {
		return nil, err
	}
	m := &Machine{answers: a, report: Report{Host: conn.Host()}}
	a.tell(&m.report)
	return m, nil
}

// Finding is what a report says about one of the topics.
func (m *Machine) Finding(topic string) Finding {
	for _, f := range m.report.Findings {
		if f.Topic == topic {
			return f
		}
	}
	return Finding{Topic: topic, Level: Bad, Text: "not known"}
}

// Arch is the machine's architecture by the name that uname has for it, such as x86_64.
func (m *Machine) Arch() string {
	fields := strings.Fields(m.answers["system"])
	if len(fields) == 0 {
		return ""
	}
	return fields[len(fields)-1]
}

// Missing are the Debian packages that a node needs and the machine has not, in whatever version.
func (m *Machine) Missing() []string {
	var packages []string
	if m.answers["git"] == "" {
		packages = append(packages, "git")
	}
	if m.answers["python"] == "" {
		packages = append(packages, "python3")
	}
	if m.answers["venv"] != "yes" {
		packages = append(packages, "python3-venv")
	}
	return packages
}
