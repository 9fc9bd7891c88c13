package output

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"troops/push"
	"troops/push/gitwire"
)

// Plan prints what a push would do, folded: the nodes that are at the same commit together,
// with the commits that they get, then those that get nothing and why.
func Plan(w io.Writer, r *push.Rollout, plans []push.NodePlan, changes map[gitwire.OID]push.Change) error {
	p := planner{}
	p.say("", "%s %q to %s", short(string(r.Commit)), r.Subject, count(len(plans), "node"))
	if waves := r.TargetsByWave(); len(r.Waves) > 0 {
		for i, wave := range waves {
			p.say("", "%s", waveLine(push.Wave{Number: i + 1, Of: len(waves), Nodes: hostsOf(wave)}))
		}
	}
	gets := make(map[gitwire.OID][]push.NodePlan)
	idle := make(map[string][]string)
	for _, n := range plans {
		if n.Outcome == nil {
			gets[n.At] = append(gets[n.At], n)
			continue
		}
		text := strings.ReplaceAll(n.Outcome.String(), n.Target.Host, "it") // as far as the name goes, the same
		idle[text] = append(idle[text], n.Target.Host)
	}
	most := func(a, b gitwire.OID) int { return cmp.Or(len(gets[b])-len(gets[a]), cmp.Compare(a, b)) }
	for _, at := range slices.SortedFunc(maps.Keys(gets), most) {
		p.change(r, at, gets[at], changes[at])
	}
	for _, text := range slices.SortedFunc(maps.Keys(idle), func(a, b string) int { return cmp.Or(len(idle[b])-len(idle[a]), cmp.Compare(a, b)) }) {
		p.say("", "%s %s: %s", count(len(idle[text]), "node"), text, Fold(idle[text]))
	}
	_, err := io.WriteString(w, p.String())
	return err
}

func hostsOf(targets []push.Target) []string {
	var hosts []string
	for _, t := range targets {
		hosts = append(hosts, t.Host)
	}
	return hosts
}

// planner gathers lines, made safe.
type planner struct{ strings.Builder }

func (p *planner) say(indent, format string, args ...any) {
	fmt.Fprintf(&p.Builder, "troops: %s%s\n", indent, Sanitize(fmt.Sprintf(format, args...)))
}

// change tells what nodes get that are at one commit.
func (p *planner) change(r *push.Rollout, at gitwire.OID, nodes []push.NodePlan, c push.Change) {
	const indent = "    "
	var hosts []string
	for _, n := range nodes {
		hosts = append(hosts, n.Target.Host)
	}
	verb := "get"
	if len(nodes) == 1 {
		verb = "gets"
	}
	if at == "" {
		p.say("", "%s %s a first deployment: %s", count(len(nodes), "node"), verb, Fold(hosts))
		return
	}
	missing := nodes[0].Missing
	p.say("", "%s %s %s (%s..%s): %s", count(len(nodes), "node"), verb, count(missing, "commit"), short(string(at)), short(string(r.Commit)), Fold(hosts))
	for _, commit := range c.Commits {
		p.say(indent, "%s", commit)
	}
	if more := missing - len(c.Commits); more > 0 {
		p.say(indent, "and %d more", more)
	}
	if len(c.Files) > 0 {
		p.say(indent, "with changes of %s", strings.Join(c.Files, ", "))
	}
}
