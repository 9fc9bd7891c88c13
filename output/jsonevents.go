package output

import (
	"time"

	"troops/push"
)

// The types of this file are the events as docs/json.md and docs/push-events.schema.json
// have them.

type headJSON struct {
	Version int    `json:"v"`
	Type    string `json:"type"`
	Time    string `json:"time"` // RFC 3339, UTC, milliseconds
}

func headAt(kind string, at time.Time) headJSON {
	return headJSON{JSONVersion, kind, at.UTC().Format("2006-01-02T15:04:05.000Z")}
}

type planJSON struct {
	headJSON
	Commit  string   `json:"commit"`
	Subject string   `json:"subject"`
	Nodes   []string `json:"nodes"`
}

type waveJSON struct {
	headJSON
	Number int      `json:"number"`
	Of     int      `json:"of"`
	Nodes  []string `json:"nodes"`
}

type comparedJSON struct {
	headJSON
	Commit  string           `json:"commit"`
	Plans   []comparisonJSON `json:"plans"`
	Pending int              `json:"pending,omitempty"`
}

type comparisonJSON struct {
	Node     string `json:"node"`
	At       string `json:"at,omitempty"`
	Relation string `json:"relation,omitempty"`
	Missing  int    `json:"missing,omitempty"`
	Extra    int    `json:"extra,omitempty"`
	Outcome  string `json:"outcome,omitempty"`
}

// comparedOf is what the nodes of a wave have.
func comparedOf(head headJSON, e push.Compared) comparedJSON {
	out := comparedJSON{headJSON: head, Commit: e.Commit, Plans: []comparisonJSON{}, Pending: e.Pending}
	for _, p := range e.Plans {
		c := comparisonJSON{Node: p.Target.Host, At: string(p.At), Missing: p.Relation.Missing, Extra: p.Relation.Extra}
		if p.At != "" {
			c.Relation = p.Relation.Kind.String()
		}
		if p.Outcome != nil {
			c.Outcome = string(p.Outcome.Kind())
		}
		out.Plans = append(out.Plans, c)
	}
	return out
}

type soakJSON struct {
	headJSON
	Seconds float64 `json:"seconds"`
}

type phaseJSON struct {
	headJSON
	Node  string `json:"node"`
	Phase string `json:"phase"`
}

type connectedJSON struct {
	headJSON
	Node      string `json:"node"`
	Transport string `json:"transport"`
}

type lineJSON struct {
	headJSON
	Node      string `json:"node"`
	Stream    string `json:"stream"`
	Text      string `json:"text"`
	Truncated int64  `json:"truncated,omitempty"` // bytes of the line that are left out
	NoNewline bool   `json:"no_newline,omitempty"`
}

type outcomeJSON struct {
	headJSON
	Node     string  `json:"node"`
	Outcome  string  `json:"outcome"`
	Text     string  `json:"text"`
	Seconds  float64 `json:"seconds"`
	Run      string  `json:"run,omitempty"`
	Phase    string  `json:"phase,omitempty"`
	ExitCode int     `json:"exit_code,omitempty"`
	Signal   string  `json:"signal,omitempty"`
	Plain    bool    `json:"plain,omitempty"`
	Held     bool    `json:"held,omitempty"`
	LogError string  `json:"log_error,omitempty"`
	Log      string  `json:"log,omitempty"`
}

// outcomeOf is how it ended for a node; log is the file with its output.
func outcomeOf(head headJSON, e push.Finished, log string) outcomeJSON {
	out := outcomeJSON{
		headJSON: head, Node: e.Node, Outcome: string(e.Outcome.Kind()), Text: e.Outcome.String(),
		Seconds: seconds(e.Took), Log: log,
	}
	switch o := e.Outcome.(type) {
	case push.Deployed:
		out.Run, out.Plain = o.Run, o.Plain
	case push.Started:
		out.Run = o.Run
	case push.Failed:
		out.Run, out.Phase, out.ExitCode, out.Signal = o.Run, o.Phase, o.ExitCode, o.Signal
	case push.Unknown:
		out.Run = o.Run
	case push.NotStarted:
		out.Held = o.Held
	}
	if e.Result != nil {
		out.LogError = e.Result.LogError
	}
	return out
}

type messageJSON struct {
	headJSON
	Text string `json:"text"`
}

type summaryJSON struct {
	headJSON
	Nodes      int             `json:"nodes"`
	Outcomes   map[string]int  `json:"outcomes"`
	Unfinished int             `json:"unfinished,omitempty"`
	Seconds    float64         `json:"seconds"`
	Phases     []phaseTimeJSON `json:"phases"`
	Slowest    []slowJSON      `json:"slowest"`
}

type phaseTimeJSON struct {
	Phase       string  `json:"phase"`
	Nodes       int     `json:"nodes"`
	Median      float64 `json:"median_seconds"`
	Longest     float64 `json:"longest_seconds"`
	LongestNode string  `json:"longest_node"`
}

type slowJSON struct {
	Node    string  `json:"node"`
	Seconds float64 `json:"seconds"`
	Outcome string  `json:"outcome"`
}

// summaryOf counts the reports.
func summaryOf(head headJSON, reports []*report, took time.Duration) summaryJSON {
	s := summaryJSON{
		headJSON: head, Nodes: len(reports), Seconds: seconds(took),
		Outcomes: make(map[string]int), Phases: []phaseTimeJSON{}, Slowest: []slowJSON{},
	}
	for _, r := range reports {
		if r.kind == "" {
			s.Unfinished++
			continue
		}
		s.Outcomes[string(r.kind)]++
	}
	for _, t := range phaseTimes(reports) {
		s.Phases = append(s.Phases, phaseTimeJSON{t.phase, t.nodes, seconds(t.median), seconds(t.longest), t.slowest.host})
	}
	for _, r := range slowest(reports, slowestInJSON) {
		s.Slowest = append(s.Slowest, slowJSON{r.host, seconds(r.took), string(r.kind)})
	}
	return s
}

// seconds is d in seconds, to the millisecond.
func seconds(d time.Duration) float64 { return float64(max(d, 0).Milliseconds()) / 1000 }
