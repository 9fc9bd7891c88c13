//go:build !linux

package deployment

// syncTree does nothing: nodes are Linux, and a workstation can make a virtualenv again.
func syncTree(string) error { return nil }
