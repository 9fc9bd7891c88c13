package simnode

import (
	"net"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"

	"troops/nodeside/wire"
)

// conn is a connection to a node. Its runs are known to it alone: a push and the attach that
// follows it share a connection.
type conn struct {
	fleet *Fleet
	node  int
	gone  chan struct{} // closed when the connection has ended

	mu   sync.Mutex
	runs map[string]chan string // by run: the commit, once it is pushed
}

// run is where the commit of a run is handed from the push to the attach.
func (c *conn) run(id string) chan string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.runs[id] == nil {
		c.runs[id] = make(chan string, 1)
	}
	return c.runs[id]
}

func (f *Fleet) serve(node int, nc net.Conn) {
	sc, channels, requests, err := ssh.NewServerConn(nc, f.config)
	if err != nil {
		return // the client has been told
	}
	c := &conn{fleet: f, node: node, gone: make(chan struct{}), runs: make(map[string]chan string)}
	var wg sync.WaitGroup
	wg.Go(func() {
		for r := range requests {
			if r.WantReply {
				r.Reply(false, nil) // keepalives are answered so, as sshd does
			}
		}
	})
	for ch := range channels {
		if ch.ChannelType() != "session" {
			ch.Reject(ssh.UnknownChannelType, "only sessions")
			continue
		}
		wg.Go(func() { c.session(ch) })
	}
	close(c.gone)
	_ = sc.Wait() // how it ended is the client's to say
	wg.Wait()
}

// session answers one channel: its first exec runs.
func (c *conn) session(open ssh.NewChannel) {
	ch, requests, err := open.Accept()
	if err != nil {
		return
	}
	defer ch.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	started := false
	for r := range requests {
		var cmd struct{ Line string }
		ok := r.Type == "exec" && !started && ssh.Unmarshal(r.Payload, &cmd) == nil
		if r.WantReply {
			r.Reply(ok, nil)
		}
		if ok {
			started = true
			wg.Go(func() {
				ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{c.exec(ch, cmd.Line)}))
				ch.Close()
			})
		}
	}
}

// exec does what a node's shell does with the two commands that a push has for it.
func (c *conn) exec(ch ssh.Channel, line string) (status uint32) {
	var err error
	words := strings.Fields(line)
	switch {
	case len(words) == 2 && words[0] == "git-receive-pack":
		err = c.receivePack(ch)
	case len(words) == 4 && words[1] == "attach":
		window := wire.NewWindow(ch)
		c.fleet.wg.Go(func() { window.Listen(ch) }) // until the channel is closed
		err = c.attach(window, words[2])
	default:
		ch.Stderr().Write([]byte("simnode: not found\n"))
		return 127
	}
	if err != nil {
		return 1 // the client went, or hears of it by the missing report
	}
	return 0
}
