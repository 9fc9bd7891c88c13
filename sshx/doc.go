// Package sshx is an SSH client that behaves as the user's OpenSSH does.
//
// A [Client] reads the user's OpenSSH configuration once and dials any number of
// hosts with it: names, users, ports, keys, agents, jump hosts and known_hosts files
// are those that `ssh HOST` would use. A [Conn] runs commands with [Conn.Exec]; there
// is no agent, X11 or port forwarding, whatever the configuration says, and whatever
// the server asks for is refused.
//
// Configuration is evaluated here where that is exact, one pass a host over indexed
// Host blocks (two where a Match asks for the final one), and by `ssh -G` where a file
// holds what only ssh can decide (canonicalisation, keywords unknown here). The home
// directory is $HOME, not the one of the password database as in ssh: a CI job moves it
// with HOME.
//
// A server is not trusted before its host key is checked, and its text never: what it
// says is made printable and cut before it becomes part of an error.
//
// Nothing in this package writes to a terminal. Its goroutines belong to the Client or
// the Conn that started them, whose Close waits for them.
package sshx
