package output

import "troops/push"

// Tee is a sink that hands each event to all of the sinks, one after the other.
type Tee []push.Sink

var _ push.Sink = Tee(nil)

// Emit implements [push.Sink].
func (t Tee) Emit(e push.Event) {
	for _, s := range t {
		s.Emit(e)
	}
}
