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
	rel := nodes[0].Relation
	if rel.Kind == packs.Equal {
		p.say("", "%s %s %s again: %s", count(len(nodes), "node"), verb, short(string(at)), Fold(hosts))
		return
	}
	if nodes[0].Loses() {
		p.loses(at, hosts, rel, c)
	}
	if rel.Missing == 0 {
		return
	}
	p.say("", "%s %s %s (%s..%s): %s", count(len(nodes), "node"), verb, count(rel.Missing, "commit"), short(string(at)), short(string(r.Commit)), Fold(hosts))
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
