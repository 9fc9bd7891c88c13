package push

import (
	"context"
	"fmt"
	"io"
	"strings"

	"troops/sshx"
)

// Conn is what push needs of a connection to a node.
type Conn interface {
	// Exec starts cmd by the node user's shell, on a channel of its own. Cancelling ctx closes the channel.
	Exec(ctx context.Context, cmd string) (Channel, error)
	// Close closes the connection and all its channels.
	Close() error
}

// Channel is one command on a node. Stdout and Stderr must both be read, to the end, before Wait.
type Channel interface {
	Stdin() io.WriteCloser
	Stdout() io.Reader
	Stderr() io.Reader
	Wait() error
	Close() error
}

// Dialer opens a connection to a host as written in the inventory, [user@]name[:port].
type Dialer func(ctx context.Context, host string) (Conn, error)

// SSH is the Dialer that goes by the user's OpenSSH configuration.
func SSH(c *sshx.Client) Dialer {
	return func(ctx context.Context, host string) (Conn, error) {
		conn, err := c.Dial(ctx, host)
		if err != nil {
			return nil, err
		}
		return SSHConn(conn), nil
	}
}

// SSHConn is a connection of sshx as push needs it.
func SSHConn(c *sshx.Conn) Conn { return sshConn{c} }

type sshConn struct{ *sshx.Conn }

// Exec implements [Conn].
func (c sshConn) Exec(ctx context.Context, cmd string) (Channel, error) {
	p, err := c.Conn.Exec(ctx, cmd)
	if err != nil {
		return nil, err
	}
	return p, nil
}

var _ Conn = sshConn{}

var shellQuotes = strings.NewReplacer("'", `'\''`, "!", `'\!'`)

// QuotePath quotes a path for a node's shell as git quotes it for ssh: in single quotes, with
// those and exclamation marks (csh) escaped. A path that a program there could take for an
// option is an error.
func QuotePath(path string) (string, error) {
	if path == "" || strings.HasPrefix(path, "-") {
		return "", fmt.Errorf("push: repository path %q: it must not be empty or begin with '-'", path)
	}
	if strings.ContainsAny(path, "\x00\n\r") {
		return "", fmt.Errorf("push: repository path %q has a control character", path)
	}
	return "'" + shellQuotes.Replace(path) + "'", nil
}
