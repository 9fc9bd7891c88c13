package push

import (
	"time"

	"troops/nodeside/wire"
)

// Sink receives the events of a rollout. Emit is called from many goroutines at once and may
// block, which holds back the node that the event is of. Events are facts, never text to print
// as it is: everything in them that a node sent is hostile until the sink has made it safe.
type Sink interface {
	Emit(Event)
}

// Event is one of the types of this file.
type Event interface{ event() }

// Planned says, once, before any connection, what is to be deployed where. Of nodes that pull
// the commit is not known: it is empty.
type Planned struct {
	Commit  string   // object name
	Subject string   // the commit's first line
	Nodes   []string // hosts as written in the inventory, in order of the plan
}

// Wave says that a wave begins. There is none where all nodes are one wave.
type Wave struct {
	Number, Of int      // 1 is the first
	Nodes      []string // hosts, in order of the plan
}

// Compared says what the nodes of a wave get, by what they have. It comes once a wave: when
// every node has shown what it has or failed to, or after [CompareTime] if any has by then.
// No node waits for it: those that are quick may be at work already.
type Compared struct {
	Commit, Subject string     // object name, and the commit's first line
	Plans           []NodePlan // of the nodes that have shown it, those that lack most commits first
	Commits         []string   // the newest [MaxPlanCommits] that the first of them gets, where these are several, newest first: short name and subject
	Pending         int        // nodes that have not shown it
}

// Soaking says that a wave has ended well and that its nodes are looked at again after a while.
type Soaking struct {
	For time.Duration
}

// Phase says that a node entered a phase: [PhaseConnect], [PhasePush], [PhasePull], or one of the run's own
// (checkout, venv, deploy).
type Phase struct {
	Node  string
	Phase string
	At    time.Time
}

// The phases of a node before and after its run.
const (
	PhaseConnect = "connect"
	PhasePush    = "push"
	PhasePull    = "pull"  // instead of push: the node asks its remotes
	PhaseCheck   = "check" // after the run: the checks of what is deployed
)

// Connected says how a node was reached, as often as it was.
type Connected struct {
	Node      string
	Transport string // in words
}

// Stream tells where a node's bytes come from.
type Stream int

// The streams of a node.
const (
	Stdout Stream = iota // the run's standard output
	Stderr               // its standard error, or ssh's and git's own words
	Git                  // sideband text of a repository that is no troops node
	Note                 // a whole line by troops, on the node or here, about this node
)

// Output is bytes of a node's stream, in order. They may end inside a line or a character;
// a Note is always one whole line without line feed. The slice is the sink's only until Emit returns.
type Output struct {
	Node   string
	Stream Stream
	Data   []byte
}

// Finished says how it ended for a node. A node that was deployed, and is not well any more after
// its wave has soaked, finishes once more.
type Finished struct {
	Node    string
	Outcome Outcome
	Result  *wire.Result // what the node reported, nil where there was no run
	Took    time.Duration
}

func (Planned) event()   {}
func (Wave) event()      {}
func (Compared) event()  {}
func (Soaking) event()   {}
func (Phase) event()     {}
func (Connected) event() {}
func (Output) event()    {}
func (Finished) event()  {}
