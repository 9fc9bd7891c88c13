package nodeside

import (
	"bytes"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
)

// packets encodes lines, "" being a flush packet.
func packets(lines ...string) string {
	var b bytes.Buffer
	e := pktline.NewEncoder(&b)
	for _, l := range lines {
		if l == "" {
			e.Flush()
		} else {
			e.EncodeString(l)
		}
	}
	return b.String()
}

const zero = "0000000000000000000000000000000000000000"

func TestReceivePack(t *testing.T) {
	create := zero + " " + goodOID + " refs/heads/master"
	for _, test := range []struct {
		name, in string
		commands []command
		options  []string
		out, err string
	}{
		{"plain", packets("version=1", "", create+"\n", ""), []command{{zero, goodOID, "refs/heads/master"}}, nil, packets("version=1", ""), ""},
		{"options", packets("version=1\x00push-options atomic", "", create, "", "a=b", "c d", ""),
			[]command{{zero, goodOID, "refs/heads/master"}}, []string{"a=b", "c d"}, packets("version=1\x00push-options", ""), ""},
		{"atomic", packets("version=1\x00atomic", "", create, ""), []command{{zero, goodOID, "refs/heads/master"}}, nil, packets("version=1", ""), ""},
		{"version 2", packets("version=2", ""), nil, nil, "", "version=2"},
		{"nothing", "", nil, nil, "", "unexpected EOF"},
		{"no version", packets(""), nil, nil, "", "0 lines"},
		{"cut", packets("version=1", "", create), nil, nil, "", "unexpected EOF"},
		{"no command", packets("version=1", "", "hello", ""), nil, nil, "", "no command"},
		{"bad object", packets("version=1", "", "x y refs/heads/m", ""), nil, nil, "", "no command"},
		{"no ref", packets("version=1", "", zero+" "+goodOID+" master", ""), nil, nil, "", "no command"},
		{"bad length", "zzzz", nil, nil, "", "invalid pkt-len"},
	} {
		var out bytes.Buffer
		p := newReceivePack(strings.NewReader(test.in), &out)
		err := p.hello()
		var commands []command
		var options []string
		if err == nil {
			commands, options, err = p.request()
		}
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%s: %v", test.name, err)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(commands, test.commands) || !reflect.DeepEqual(options, test.options) || out.String() != test.out {
			t.Errorf("%s: %v, %q, %q, %v", test.name, commands, options, &out, err)
		}
	}
}

func TestAnswer(t *testing.T) {
	var out bytes.Buffer
	p := newReceivePack(strings.NewReader(""), &out)
	for _, v := range []verdict{
		{Ref: "refs/a"},
		{Ref: "refs/b", FallThrough: true},
		{Ref: "refs/c", Reason: "two\nlines \x1b[2J " + strings.Repeat("x", 500)},
	} {
		if err := p.answer(v); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.end(); err != nil {
		t.Fatal(err)
	}
	reason := "two lines [2J " + strings.Repeat("x", 500)
	want := packets("ok refs/a", "ok refs/b", "option fall-through", "ng refs/c "+reason[:maxReason], "")
	if out.String() != want {
		t.Errorf("%q, want %q", &out, want)
	}
}

func FuzzReceivePack(f *testing.F) {
	f.Add([]byte(packets("version=1\x00push-options", "", zero+" "+goodOID+" refs/heads/m", "", "o", "")))
	f.Add([]byte("0000"))
	f.Fuzz(func(t *testing.T, in []byte) {
		p := newReceivePack(bytes.NewReader(in), io.Discard)
		if p.hello() != nil {
			return
		}
		commands, _, err := p.request()
		if err != nil {
			return
		}
		for _, c := range commands {
			if !oidPattern.MatchString(c.Old) || !oidPattern.MatchString(c.New) || !strings.HasPrefix(c.Ref, "refs/") {
				t.Errorf("accepted %+v", c)
			}
		}
	})
}
