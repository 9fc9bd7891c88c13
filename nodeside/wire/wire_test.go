package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestAppendFrame(t *testing.T) {
	long := strings.Repeat("x", MaxPayload)
	for _, test := range []struct {
		name, payload, want string
	}{
		{"empty", "", "0005o"},
		{"one", "a", "0006oa"},
		{"line", "hello\n", "000bohello\n"},
		{"longest", long, "fff0o" + long},
		{"one more", long + "y", "fff0o" + long + "0006oy"},
		{"two", long + long, "fff0o" + long + "fff0o" + long},
	} {
		if got := string(AppendFrame([]byte("before"), Stdout, []byte(test.payload))); got != "before"+test.want {
			t.Errorf("%s: %.60q", test.name, got)
		}
	}
}

func TestStored(t *testing.T) {
	for k, want := range map[Kind]bool{Stdout: true, Stderr: true, Note: true, Phase: true, Aside: false, Heartbeat: false, Done: false, 'z': false} {
		if k.Stored() != want {
			t.Errorf("%c: %v", k, !want)
		}
	}
}

func TestReader(t *testing.T) {
	long := strings.Repeat("x", MaxPayload)
	for _, test := range []struct {
		name, in string
		frames   []string // kind and payload
		err      error
	}{
		{"nothing", "", nil, io.EOF},
		{"some", "0006oa0005h0007zbc", []string{"oa", "h", "zbc"}, io.EOF},
		{"upper case", "000Ao12345", []string{"o12345"}, io.EOF},
		{"longest", "fff0e" + long, []string{"e" + long}, io.EOF},
		{"cut header", "0006oa00", []string{"oa"}, io.ErrUnexpectedEOF},
		{"cut payload", "0009oab", nil, io.ErrUnexpectedEOF},
		{"no payload", "0006o", nil, io.ErrUnexpectedEOF},
		{"flush", "00000", nil, ErrFrame},
		{"too short", "0004o", nil, ErrFrame},
		{"too long", "fff1o" + long + "y", nil, ErrFrame},
		{"no number", "12g4o", nil, ErrFrame},
		{"sign", "-006o", nil, ErrFrame},
		{"text", "bash: troops: not found\n", nil, ErrFrame},
	} {
		for name, in := range map[string]io.Reader{"whole": strings.NewReader(test.in), "bytes": iotest.OneByteReader(strings.NewReader(test.in))} {
			r := NewReader(in)
			var got []string
			var err error
			for {
				var f Frame
				if f, err = r.Next(); err != nil {
					break
				}
				if f.Size() != int64(5+len(f.Payload)) {
					t.Errorf("%s: size %d", test.name, f.Size())
				}
				got = append(got, string(f.Kind)+string(f.Payload))
			}
			if !errors.Is(err, test.err) || !reflect.DeepEqual(got, test.frames) {
				t.Errorf("%s, %s: %.60q, %v", test.name, name, got, err)
			}
		}
	}
}

func TestFrameLen(t *testing.T) {
	for in, want := range map[string]int{"0005o": 5, "fff0o": MaxFrame, "0010oxyz": 16, "": 0, "0005": 0, "0004o": 0, "fff1o": 0, "    o": 0} {
		got, err := FrameLen([]byte(in))
		if got != want || errors.Is(err, ErrFrame) != (want == 0) {
			t.Errorf("%q: %d, %v", in, got, err)
		}
	}
}

func TestSkipPreface(t *testing.T) {
	for _, test := range []struct {
		name, in, noise string
		ok              bool
	}{
		{"none", Preface + "0005h", "", true},
		{"motd", "Welcome!\nto this\n" + Preface + "0005h", "Welcome!\nto this\n", true},
		{"inside a line", "x" + Preface + Preface + "0005h", "x" + Preface, true},
		{"not found", "sh: troops: not found\n", "sh: troops: not found\n", false},
		{"empty", "", "", false},
		{"cut", Preface[:7], Preface[:7], false},
		// A line longer than any buffer does not begin again in its middle.
		{"long line", strings.Repeat("x", 8<<10) + Preface + Preface + "0005h", strings.Repeat("x", 8<<10) + Preface, true},
	} {
		r := NewReader(strings.NewReader(test.in))
		noise, err := r.SkipPreface()
		if string(noise) != test.noise || (err == nil) != test.ok || err != nil && !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %.60q, %v", test.name, noise, err)
		}
		if test.ok {
			if f, err := r.Next(); err != nil || f.Kind != Heartbeat {
				t.Errorf("%s: then %c, %v", test.name, f.Kind, err)
			}
		}
	}
	flood := strings.NewReader(strings.Repeat("noise\n", NoiseLimit) + Preface)
	if noise, err := NewReader(flood).SkipPreface(); !errors.Is(err, ErrFrame) || len(noise) > 2*NoiseLimit {
		t.Errorf("flood: %d bytes, %v", len(noise), err)
	}
}

func TestParseResult(t *testing.T) {
	full := Result{
		Run: "r", Commit: "c", Branch: "b", State: Failed, Phase: "deploy", ExitCode: 7, Signal: "killed", Error: "e", By: "me", Host: "h",
		Roles: []string{"a", "b"}, Other: "o", Queued: time.Unix(1, 0).UTC(), Started: time.Unix(2, 0).UTC(), Ended: time.Unix(3, 0).UTC(),
		LogBytes: 5, LogError: "full", Pid: 9, Reported: true,
	}
	b, err := json.Marshal(full)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ParseResult(b); err != nil || !reflect.DeepEqual(got, full) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, test := range []struct {
		in string
		ok bool
	}{
		{`{"state":"ok"}`, true},
		{`{"state":"ok","from":"a later version"}`, true},
		{`  {"state":"later than us"}   `, true},
		{`{}`, false}, {``, false}, {`null`, false}, {`[]`, false}, {`{"state":7}`, false}, {`{"state":"ok"} x`, false},
		{`{"state":"ok","error":"` + strings.Repeat("x", MaxResult) + `"}`, false},
	} {
		if _, err := ParseResult([]byte(test.in)); (err == nil) != test.ok {
			t.Errorf("%.60q: %v", test.in, err)
		}
	}
}

func TestFinal(t *testing.T) {
	for s, want := range map[State]bool{"": false, Queued: false, Running: false, OK: true, Current: true, Failed: true, Refused: true, Superseded: true, Joined: true, Interrupted: true, "new": true} {
		if s.Final() != want {
			t.Errorf("%s: %v", s, !want)
		}
	}
}

// What a Reader takes is what AppendFrame makes of it again.
func FuzzReader(f *testing.F) {
	f.Add([]byte(Preface + "0006oa0005h"))
	f.Add([]byte("motd\n" + Preface + "fff0o"))
	f.Add(AppendFrame([]byte(Preface), Done, []byte(`{"state":"ok"}`)))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := NewReader(bytes.NewReader(in))
		noise, err := r.SkipPreface()
		if err != nil {
			return
		}
		rest := in[len(noise)+len(Preface):]
		for {
			frame, err := r.Next()
			if err != nil {
				return
			}
			again := AppendFrame(nil, frame.Kind, frame.Payload)
			if int64(len(again)) != frame.Size() || !bytes.EqualFold(again[:4], rest[:4]) || !bytes.Equal(again[4:], rest[4:len(again)]) {
				t.Fatalf("%q read as %q", rest, again)
			}
			rest = rest[len(again):]
			if frame.Kind == Done {
				ParseResult(frame.Payload)
			}
		}
	})
}
