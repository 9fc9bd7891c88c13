package wire

import (
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	runA = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
	runB = "01ARZ3NDEKTSV4RRFFQ69G5FAW"
)

// harmless is what an argument of a request may be: no shell makes anything else of it.
var harmless = regexp.MustCompile(`^--[a-z]+(=[-0-9A-Za-z.:,]+)?$`)

func TestTailArgs(t *testing.T) {
	for _, tt := range []struct {
		q    TailRequest
		want string
	}{
		{TailRequest{}, "--runs=0"},
		{TailRequest{Runs: -1, Since: 90 * time.Minute, Once: true}, "--runs=-1 --since=1h30m0s --once"},
		{TailRequest{Run: runA}, "--runs=0 --run=" + runA},
		{TailRequest{Resume: true, At: runA, Offset: 12, Seen: []string{runA, runB}}, "--runs=0 --resume --at=" + runA + ":12 --seen=" + runA + "," + runB},
	} {
		args, err := tt.q.Args()
		if got := strings.Join(args, " "); err != nil || got != tt.want {
			t.Errorf("%+v: %q, %v", tt.q, got, err)
		}
		if i := slices.IndexFunc(args, func(a string) bool { return !harmless.MatchString(a) }); i >= 0 {
			t.Errorf("%q is not harmless", args[i])
		}
	}
	for _, q := range []TailRequest{{Run: "$(reboot)"}, {At: "x"}, {Seen: []string{runA, "'"}}, {Seen: []string{runA + ",x"}}, {Run: strings.ToLower(runA)}} {
		if args, err := q.Args(); err == nil {
			t.Errorf("%+v: %q", q, args)
		}
	}
	many := TailRequest{Seen: slices.Repeat([]string{runA}, MaxOmitted+5)}
	many.Seen[4] = runB
	if args, err := many.Args(); err != nil || len(args[1]) != len("--seen=")+MaxOmitted*27-1 || strings.Contains(args[1], runB) {
		t.Errorf("of too many not the newest: %v", err)
	}
}

func TestTailOffset(t *testing.T) {
	for in, ok := range map[string]bool{runA + ":0": true, runA + ":12": true, runA: false, runA + ":": false, runA + ":-1": false, ":3": false, "x:3": false, runA + ":9999999999999999999": false} {
		var q TailRequest
		if err := q.SetAt(in); (err == nil) != ok || ok && !strings.HasPrefix(in, q.At+":") {
			t.Errorf("%q: %+v, %v", in, q, err)
		}
	}
}

// What is taken from the other side is names of runs, and becomes harmless arguments again.
func FuzzTail(f *testing.F) {
	f.Add(`["`+runA+`","`+runB+`"]`, `{"run":"`+runA+`","state":"ok"}`, runA+":7", runA+","+runB)
	f.Add(`[]`, `{"run":"; reboot","state":"ok"}`, "", ",")
	f.Add(`["$(reboot)"]`, `{"state":""}`, runA+":x", runA+",'")
	f.Fuzz(func(t *testing.T, omitted, began, at, seen string) {
		var q TailRequest
		if runs, err := ParseOmitted([]byte(omitted)); err == nil {
			q.Seen = runs
		}
		if r, err := ParseBegan([]byte(began)); err == nil {
			q.Run = r.Run
		}
		var back TailRequest
		if back.SetAt(at) == nil {
			q.At, q.Offset = back.At, back.Offset
		}
		if back.SetSeen(seen) == nil {
			q.Seen = append(q.Seen, back.Seen...)
		}
		args, err := q.Args()
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range args {
			if !harmless.MatchString(a) {
				t.Errorf("%q is not harmless", a)
			}
		}
		back = TailRequest{}
		for _, a := range args {
			switch name, value, _ := strings.Cut(a, "="); name {
			case "--at":
				err = back.SetAt(value)
			case "--seen":
				err = back.SetSeen(value)
			}
			if err != nil {
				t.Errorf("%q: %v", a, err)
			}
		}
		if back.At != q.At || back.Offset != q.Offset || len(q.Seen) > 0 && !reflect.DeepEqual(back.Seen, q.Seen[max(0, len(q.Seen)-MaxOmitted):]) {
			t.Errorf("%+v became %+v", q, back)
		}
	})
}

func TestParseOmitted(t *testing.T) {
	many, _ := json.Marshal(slices.Repeat([]string{runA}, MaxOmitted+1))
	for in, ok := range map[string]bool{`[]`: true, `["` + runA + `"]`: true, `null`: true, ``: false, `{}`: false, `["a"]`: false, `[7]`: false, string(many): false} {
		if _, err := ParseOmitted([]byte(in)); (err == nil) != ok {
			t.Errorf("%.40q: %v", in, err)
		}
	}
}
