package doctor

import (
	"slices"
	"strings"
	"testing"
)

func TestMachine(t *testing.T) {
	for _, c := range []struct {
		without []string
		missing []string
	}{
		{nil, nil},
		{[]string{"git"}, []string{"git"}},
		{[]string{"venv"}, []string{"python3-venv"}}, // python3 is there: it is not to be undone, either
		{[]string{"git", "python", "venv"}, []string{"git", "python3", "python3-venv"}},
	} {
		a := parseAnswers(healthy)
		for _, key := range c.without {
			delete(a, key)
		}
		m := &Machine{answers: a}
		a.tell(&m.report)
		if got := m.Missing(); !slices.Equal(got, c.missing) || m.Arch() != "x86_64" {
			t.Errorf("without %v: %v missing, %s", c.without, got, m.Arch())
		}
		for _, topic := range []string{TopicSystem, TopicGit, TopicPython, TopicDisk} {
			f := m.Finding(topic)
			if gone := slices.Contains(c.without, topic) || topic == TopicPython && slices.Contains(c.without, "venv"); (f.Level != Good) != gone || f.Topic != topic {
				t.Errorf("without %v: %+v", c.without, f)
			}
		}
	}
	empty := &Machine{answers: parseAnswers("system\n")}
	if f := empty.Finding(TopicGit); f.Level != Bad || empty.Arch() != "" || !strings.Contains(f.Text, "not known") {
		t.Errorf("%+v", f)
	}
}
