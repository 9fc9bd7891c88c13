package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"troops/nodeside/wire"
	"troops/output"
	"troops/push"
	"troops/push/packs"
)

// eventSchema is docs/push-events.schema.json, made strict: a field that it does not have is
// an error here, as is a type of events. For readers it is open, since fields are added.
func eventSchema() (*jsonschema.Schema, []string, error) {
	text, err := os.ReadFile("../../docs/push-events.schema.json")
	if err != nil {
		return nil, nil, err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, nil, err
	}
	root := doc.(map[string]any)
	root["unevaluatedProperties"] = false
	var types []any
	var names []string
	for _, rule := range root["allOf"].([]any) {
		kind := rule.(map[string]any)["if"].(map[string]any)["properties"].(map[string]any)["type"].(map[string]any)["const"]
		types, names = append(types, kind), append(names, kind.(string))
	}
	root["properties"].(map[string]any)["type"].(map[string]any)["enum"] = types
	for _, name := range []string{"phaseTime", "slow", "comparison"} {
		root["$defs"].(map[string]any)[name].(map[string]any)["additionalProperties"] = false
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("events.json", doc); err != nil {
		return nil, nil, err
	}
	schema, err := c.Compile("events.json")
	return schema, names, err
}

// checkEvents validates every line, and returns the events.
func checkEvents(text string) ([]map[string]any, error) {
	schema, _, err := eventSchema()
	if err != nil {
		return nil, err
	}
	var events []map[string]any
	for line := range strings.Lines(text) {
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(line))
		if err == nil {
			err = schema.Validate(doc)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", line, err)
		}
		events = append(events, doc.(map[string]any))
	}
	if len(events) == 0 {
		return nil, errors.New("there is no event")
	}
	return events, nil
}

// scriptEvents is the script command `events TYPE...`: standard output is events by the schema, the
// first one is the plan, the last one the summary, and all these types occur.
func scriptEvents(ts *testscript.TestScript, neg bool, args []string) {
	events, err := checkEvents(ts.ReadFile("stdout"))
	ts.Check(err)
	var types []string
	for _, e := range events {
		types = append(types, e["type"].(string))
	}
	if neg || types[0] != "plan" || types[len(types)-1] != "summary" {
		ts.Fatalf("the events are %v", types)
	}
	for _, want := range args {
		if !slices.Contains(types, want) {
			ts.Fatalf("no %s among %v", want, types)
		}
	}
}

// TestSchemaHasEveryEvent sends each type of event with each outcome, and hostile text.
func TestSchemaHasEveryEvent(t *testing.T) {
	const hostile = "a\x1b[2J\u202e\u009b31m\xff\u2028\U000e0041\x7f<&>\"\\"
	var b bytes.Buffer
	j := output.NewJSON(&b, func(host string) string { return "logs/" + host })
	j.Printf("warning: %s\n", hostile)
	j.Emit(push.Planned{Commit: strings.Repeat("1a", 20), Subject: hostile, Nodes: []string{"web1", "web2"}})
	j.Emit(push.Wave{Number: 1, Of: 2, Nodes: []string{"web1"}})
	j.Emit(push.Compared{Commit: strings.Repeat("1a", 20), Subject: hostile, Pending: 1, Plans: []push.NodePlan{
		{Target: push.Target{Host: "web1"}, At: "ab", Relation: packs.Relation{Kind: packs.Diverged, Missing: 2, Extra: 1}},
		{Target: push.Target{Host: "web2"}, Outcome: push.Unreachable{Err: errors.New("x")}},
	}})
	j.Emit(push.Phase{Node: "web1", Phase: push.PhaseConnect, At: time.Now()})
	j.Emit(push.Connected{Node: "web1", Transport: hostile})
	for s := range push.Note + 1 {
		j.Emit(push.Output{Node: "web1", Stream: s, Data: []byte(hostile + "\n" + hostile)})
	}
	for _, o := range []push.Outcome{
		push.Deployed{Run: "R"}, push.Deployed{Plain: true}, push.Started{Run: "R"}, push.Current{}, push.Refused{Reason: hostile, Hint: "h"},
		push.Failed{Run: "R", Phase: "deploy", ExitCode: 7}, push.Failed{Phase: "venv", Signal: "killed", Err: errors.New(hostile)},
		push.Unreachable{Err: errors.New(hostile)}, push.Unknown{Run: "R", Err: errors.New("x")},
		push.Superseded{By: "b"}, push.NotStarted{Why: "w"}, push.NotStarted{Why: "w", Held: true},
	} {
		j.Emit(push.Finished{Node: "web1", Outcome: o, Took: time.Second, Result: &wire.Result{LogError: "disk full"}})
	}
	j.Emit(push.Soaking{For: time.Minute})
	j.Summary()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	events, err := checkEvents(b.String())
	if err != nil {
		t.Fatal(err)
	}
	_, types, err := eventSchema()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		types = slices.DeleteFunc(types, func(s string) bool { return s == e["type"] })
	}
	if len(types) > 0 {
		t.Errorf("no event of the types %v", types)
	}
	if i := strings.IndexFunc(b.String(), func(r rune) bool { return r != '\n' && r < ' ' || r >= 0x7f && r != 0xfffd }); i >= 0 {
		t.Errorf("not harmless on a terminal: %q", b.String()[i:])
	}
}

// TestSchemaRefuses breaks good events: a schema that takes everything shows nothing.
func TestSchemaRefuses(t *testing.T) {
	const good = `{"v":1,"type":"line","time":"2026-01-01T00:00:00.000Z","node":"a","stream":"stdout","text":"x"}`
	if _, err := checkEvents(good); err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{
		{`"v":1`, `"v":2`}, {`"line"`, `"word"`}, {`T00:`, ` `}, {`"node":"a",`, ``}, {`"stdout"`, `"stdin"`},
		{`"text":"x"`, `"text":1`}, {`"x"}`, `"x","more":1}`}, {`"x"}`, `"x","truncated":0}`},
	} {
		bad := strings.Replace(good, change[0], change[1], 1)
		if !json.Valid([]byte(bad)) || bad == good {
			t.Fatalf("no change: %s", bad)
		}
		if _, err := checkEvents(bad); err == nil {
			t.Errorf("the schema takes %s", bad)
		}
	}
}
