package output

import (
	"strings"
	"testing"

	"troops/doctor"
)

func TestReport(t *testing.T) {
	r := doctor.Report{Host: "web-1\x1b[31m", Findings: []doctor.Finding{
		{Hop: "bastion\n", Topic: "address", Level: doctor.Good, Text: "192.0.2.1:22"},
		{Topic: "address", Level: doctor.Good, Text: "10.0.0.1:22"},
		{Topic: "git", Level: doctor.Bad, Text: "gone\x1b]0;x\x07\nweb-2", Hint: "install it"},
		{Topic: "disk", Level: doctor.Warn, Text: "full"},
	}}
	want := `web-1
  by way of bastion\n
  ok    address         192.0.2.1:22
  and from there
  ok    address         10.0.0.1:22
  FAIL  git             gone^[]0;x^G\nweb-2
                        install it
  warn  disk            full

`
	if got := Report(r, NoColor); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	coloured := Report(r, Color256)
	if !strings.Contains(coloured, "\x1b[") {
		t.Error("no colours")
	}
	for _, escape := range strings.Split(coloured, "\x1b")[1:] {
		if sgrLen([]byte("\x1b"+escape)) == 0 {
			t.Errorf("a sequence that is no colour: %q", escape)
		}
	}
}
