// Command troops is git push for a whole fleet: `troops push` brings a commit to many
// nodes at once over SSH and shows what happens there; on a node the same program is the
// repository's hook and runs the deployment. README.md begins, ARCHITECTURE.md explains.
package main

import (
	"os"
)

func main() {
	stop := interrupts()
	code := run(stop, os.Args, os.Stdin, os.Stdout, os.Stderr)
	stop.release()
	os.Exit(code)
}
