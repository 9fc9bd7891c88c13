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
	"troops/push/packs"
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
	gets := byCommit(plans)
	idle := make(map[string][]string)
	for _, n := range plans {
		if n.Outcome == nil {
			continue
		}
		text := nameless(n.Outcome.String(), n.Target.Host)
		idle[text] = append(idle[text], n.Target.Host)
	}
	for _, nodes := range gets {
		p.change(r, nodes[0].At, nodes, changes[nodes[0].At])
	}
	for _, text := range slices.SortedFunc(maps.Keys(idle), func(a, b string) int { return cmp.Or(len(idle[b])-len(idle[a]), cmp.Compare(a, b)) }) {
		p.say("", "%s %s: %s", count(len(idle[text]), "node"), text, Fold(idle[text]))
	}
	_, err := io.WriteString(w, p.String())
	return err
}

// byCommit groups the nodes that get something by the commit that they are at, most nodes first.
func byCommit(plans []push.NodePlan) [][]push.NodePlan {
	at := make(map[gitwire.OID][]push.NodePlan)
	for _, n := range plans {
		if n.Outcome == nil {
			at[n.At] = append(at[n.At], n)
		}
	}
	return slices.SortedFunc(maps.Values(at), func(a, b []push.NodePlan) int {
		return cmp.Or(len(b)-len(a), cmp.Compare(a[0].At, b[0].At))
	})
}

// comparedLines says in a few lines what a push brings to its nodes, and which get nothing. There
// are none where no node gets anything: each says so by itself.
func comparedLines(e push.Compared) []string {
	var parts []string
	for _, nodes := range byCommit(e.Plans) {
		parts = append(parts, count(len(nodes), "node")+" "+getting(nodes, e.Commit))
	}
	if len(parts) == 0 {
		return nil
	}
	kinds := make(map[push.Kind]int)
	for _, n := range e.Plans {
		if n.Outcome != nil {
			kinds[n.Outcome.Kind()]++
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		parts = append(parts, fmt.Sprintf("%d %s", kinds[kind], kind))
	}
	if e.Pending > 0 {
		parts = append(parts, fmt.Sprintf("%d not reached yet", e.Pending))
	}
	lines := []string{strings.Join(parts, ", ")}
	if len(e.Commits) < 2 { // the one that the push began with
		return lines
	}
	for _, commit := range e.Commits {
		lines = append(lines, indent+commit)
	}
	if more := e.Plans[0].Relation.Missing - len(e.Commits); more > 0 {
		lines = append(lines, fmt.Sprintf("%sand %d more", indent, more))
	}
	return lines
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
	var hosts []string
	for _, n := range nodes {
		hosts = append(hosts, n.Target.Host)
	}
	rel := nodes[0].Relation
	if nodes[0].Loses() {
		p.loses(at, hosts, rel, c)
	}
	if nodes[0].Loses() && rel.Missing == 0 {
		return
	}
	p.say("", "%s %s: %s", count(len(nodes), "node"), getting(nodes, string(r.Commit)), Fold(hosts))
	for _, commit := range c.Commits {
		p.say(indent, "%s", commit)
	}
	if more := rel.Missing - len(c.Commits); more > 0 {
		p.say(indent, "and %d more", more)
	}
	if len(c.Files) > 0 {
		p.say(indent, "with changes of %s", strings.Join(c.Files, ", "))
	}
}

// getting says what nodes get of a commit that are at the same one.
func getting(nodes []push.NodePlan, commit string) string {
	verb := "get"
	if len(nodes) == 1 {
		verb = "gets"
	}
	switch n := nodes[0]; {
	case n.At == "":
		return verb + " a first deployment"
	case n.Relation.Kind == packs.Equal:
		return verb + " " + short(commit) + " again"
	case n.Loses() && n.Relation.Missing == 0:
		return map[string]string{"get": "go", "gets": "goes"}[verb] + " back to " + short(commit)
	default:
		return fmt.Sprintf("%s %s (%s..%s)", verb, count(n.Relation.Missing, "commit"), short(string(n.At)), short(commit))
	}
}

// loses tells what is taken away from nodes that are at one commit.
func (p *planner) loses(at gitwire.OID, hosts []string, rel packs.Relation, c push.Change) {
	verb := "lose"
	if len(hosts) == 1 {
		verb = "loses"
	}
	if rel.Kind == packs.Unknown {
		p.say("", "%s %s %s, which is not in this repository, and what came before it: %s", count(len(hosts), "node"), verb, short(string(at)), Fold(hosts))
		return
	}
	p.say("", "%s %s %s, from %s on: %s", count(len(hosts), "node"), verb, count(rel.Extra, "commit"), short(string(at)), Fold(hosts))
	for _, commit := range c.Lost {
		p.say(indent, "%s", commit)
	}
	if more := rel.Extra - len(c.Lost); more > 0 {
		p.say(indent, "and %d more", more)
	}
}

// indent is in front of what belongs to a line of the plan.
const indent = "    "
