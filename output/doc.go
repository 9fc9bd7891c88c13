// Package output shows the events of a rollout to people.
//
// The rules of everything that is printed:
//
//   - One writer. Only whole lines, a line never in two writes, a node's bytes only after its name.
//   - `host | line` is standard output, `host ! line` standard error, `host * line` is troops
//     speaking of that node, `troops: line` is troops speaking of the rollout.
//   - Text of a node is hostile until [Sanitize] or the line sanitiser has made it safe.
//   - Colour says nothing that the text does not say too; it is a stable function of the name.
//   - What is cut is marked as cut.
//   - Nothing that happens to the terminal stops a rollout: a write error is kept, not returned
//     to the nodes.
package output
