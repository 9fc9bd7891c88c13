package output

import (
	"errors"
	"strings"
	"testing"

	"troops/push"
	"troops/push/gitwire"
	"troops/push/packs"
)

func TestPlanIsFoldedAndSafe(t *testing.T) {
	const new, old = gitwire.OID("9f8e7d6000000000000000000000000000000000"), gitwire.OID("1a2b3c4000000000000000000000000000000000")
	const far, lost = gitwire.OID("fa45000000000000000000000000000000000000"), gitwire.OID("1057000000000000000000000000000000000000")
	behind := packs.Relation{Kind: packs.Behind, Missing: 12}
	node := func(host string) push.Target { return push.Target{Host: host, Name: host} }
	r := &push.Rollout{Commit: new, Subject: "Mend\x1b[2J it", Targets: []push.Target{node("w1"), node("w2")}}
	plans := []push.NodePlan{
		{Target: node("web-1"), At: old, Relation: behind}, {Target: node("web-2"), At: old, Relation: behind}, {Target: node("web-3"), At: old, Relation: behind},
		{Target: node("db-1"), At: far, Relation: packs.Relation{Kind: packs.Diverged, Extra: 11, Missing: 1}}, {Target: node("db-2"), At: lost},
		{Target: node("db-3"), At: new, Relation: packs.Relation{Kind: packs.Equal}},
		{Target: node("new-1")},
		{Target: node("web-4"), At: new, Outcome: push.Current{}}, {Target: node("web-5"), At: new, Outcome: push.Current{}},
		{Target: node("gone-1"), Outcome: push.Unreachable{Err: errors.New("dialling gone-1: refused\r\n\x1b]0;x\x07")}},
		{Target: node("gone-2"), Outcome: push.Unreachable{Err: errors.New("dialling gone-2: refused\r\n\x1b]0;x\x07")}},
		{Target: node("old-1"), Outcome: push.Refused{Reason: "older", Hint: "upgrade it with troops bootstrap old-1"}},
		{Target: node("old-2"), Outcome: push.Refused{Reason: "older", Hint: "upgrade it with troops bootstrap old-2"}},
	}
	if got, want := strings.Join(comparedLines(push.Compared{Commit: string(new), Plans: plans, Commits: []string{"9f8e7d6 Mend", "5555555 Before"}, Pending: 2}), "\n"),
		`3 nodes get 12 commits (1a2b3c4..9f8e7d6), 1 node gets a first deployment, 1 node goes back to 9f8e7d6, 1 node gets 9f8e7d6 again, 1 node gets 1 commit (fa45000..9f8e7d6), 2 current, 2 refused, 2 unreachable, 2 not reached yet
    9f8e7d6 Mend
    5555555 Before
    and 10 more`; got != want {
		t.Errorf("compared:\n%s\nwant\n%s", got, want)
	}
	if got := comparedLines(push.Compared{Commit: string(new), Plans: plans[7:]}); got != nil {
		t.Errorf("nobody gets anything: %q", got)
	}
	var b strings.Builder
	err := Plan(&b, r, plans, map[gitwire.OID]push.Change{old: {Commits: []string{"9f8e7d6 Mend\x1b[2J it", "5555555 Before"}, Files: []string{"deploy.py"}},
		far: {Commits: []string{"9f8e7d6 Mend"}, Lost: []string{"fa45000 Bad\r"}}})
	want := `troops: 9f8e7d6 "Mend\x1b[2J it" to 13 nodes
troops: 3 nodes get 12 commits (1a2b3c4..9f8e7d6): web-[1-3]
troops:     9f8e7d6 Mend^[[2J it
troops:     5555555 Before
troops:     and 10 more
troops:     with changes of deploy.py
troops: 1 node gets a first deployment: new-1
troops: 1 node loses 1057000, which is not in this repository, and what came before it: db-2
troops: 1 node gets 9f8e7d6 again: db-3
troops: 1 node loses 11 commits, from fa45000 on: db-1
troops:     fa45000 Bad^M
troops:     and 10 more
troops: 1 node gets 1 commit (fa45000..9f8e7d6): db-1
troops:     9f8e7d6 Mend
troops: 2 nodes current: web-[4,5]
troops: 2 nodes refused: older; upgrade it with troops bootstrap HOST: old-[1,2]
troops: 2 nodes unreachable: dialling it: refused^M\n^[]0;x^G: gone-[1,2]
`
	if got := b.String(); err != nil || got != want {
		t.Errorf("%v, got\n%s\nwant\n%s", err, got, want)
	}
}
