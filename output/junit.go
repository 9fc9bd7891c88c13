package output

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"troops/push"
)

type junitSuites struct {
	XMLName xml.Name   `xml:"testsuites"`
	Suite   junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name      string      `xml:"name,attr"`
	Tests     int         `xml:"tests,attr"`
	Failures  int         `xml:"failures,attr"`
	Errors    int         `xml:"errors,attr"`
	Skipped   int         `xml:"skipped,attr"`
	Time      string      `xml:"time,attr"`
	Timestamp string      `xml:"timestamp,attr"`
	Cases     []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitTrouble `xml:"failure"`
	Error   *junitTrouble `xml:"error"`
	Skipped *junitTrouble `xml:"skipped"`
}

type junitTrouble struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",chardata"`
}

// JUnit writes the rollout as a test suite, as CI systems read it: each node is a test case. A
// failed deployment is a failure; a node that was not reached, refused or is unknown is an error;
// one that was not started was skipped.
func (r *Record) JUnit(w io.Writer) error {
	r.lines.mu.Lock()
	defer r.lines.mu.Unlock()
	suite := junitSuite{
		Name:      "troops push " + r.title(),
		Time:      fmt.Sprintf("%.3f", r.took().Seconds()),
		Timestamp: r.lines.start.UTC().Format("2006-01-02T15:04:05"),
	}
	for _, n := range r.lines.reports {
		c := junitCase{Name: n.name, Class: "troops.push", Time: fmt.Sprintf("%.3f", n.took.Seconds())}
		trouble := &junitTrouble{Message: n.text, Type: string(n.kind), Text: strings.Join(n.lastLines(), "\n")}
		suite.Tests++
		switch {
		case n.kind == "":
			trouble.Message = "not finished"
			suite.Errors++
			c.Error = trouble
		case n.kind == push.KindFailed:
			suite.Failures++
			c.Failure = trouble
		case n.kind == push.KindNotStarted:
			trouble.Type = ""
			suite.Skipped++
			c.Skipped = trouble
		case verdictOf(n.kind) == bad:
			suite.Errors++
			c.Error = trouble
		}
		suite.Cases = append(suite.Cases, c)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(junitSuites{Suite: suite}); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}
