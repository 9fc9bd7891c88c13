//go:build !race

package sshx

// memoryFactor is how much larger stacks and heap may be under the race detector.
const memoryFactor = 1
