package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"troops/output"
	"troops/push"
	"troops/sshx"
)

// slowSurvey is how long hosts may take to show their keys before the terminal says what
// is being waited for.
const slowSurvey = 2 * time.Second

const waitingForKeys = "waiting for the keys of hosts that are not known yet ..."

// hostKeys is what of an *sshx.Client the question about host keys needs.
type hostKeys interface {
	UnknownKeys(ctx context.Context, hosts []string) ([]sshx.HostKeyQuestion, error)
	TrustKeys(keys []sshx.HostKeyQuestion) error
}

var _ hostKeys = (*sshx.Client)(nil)

// printer is what of an *output.Lines the question needs: nothing is printed into it.
type printer interface {
	Printf(format string, args ...any)
	Silence() (resume func())
}

var _ printer = (*output.Lines)(nil)

// askHostKeys asks about all unknown keys of the targets at once, and again about hosts that
// only then can be reached, behind a jump host. It ends before anything is deployed. Where
// nobody can be asked it does nothing: the hosts then turn out to be unreachable.
func askHostKeys(ctx context.Context, stdin io.Reader, lines printer, client hostKeys, targets []push.Target) error {
	c, release := openConsole(stdin)
	defer release()
	if c == nil {
		return nil
	}
	return c.askHostKeys(ctx, lines, client, hostsOf(targets))
}

func (c *console) askHostKeys(ctx context.Context, lines printer, client hostKeys, hosts []string) error {
	for {
		keys, err := unknownKeys(ctx, lines, client, hosts)
		if err != nil || len(keys) == 0 {
			return err
		}
		resume := lines.Silence()
		yes, err := c.confirm(ctx, keyQuestion(keys))
		resume()
		if err != nil {
			return err
		}
		if !yes {
			return errors.New("the host keys were not accepted: nothing was deployed")
		}
		if err := client.TrustKeys(keys); err != nil {
			// As with ssh, no reason to leave; a host whose key is another one now is refused.
			for line := range strings.SplitSeq(err.Error(), "\n") {
				lines.Printf("warning: %s", line)
			}
		}
	}
}

// unknownKeys says what it waits for where that takes long. Passphrases may be asked for
// meanwhile, of jump hosts.
func unknownKeys(ctx context.Context, lines printer, client hostKeys, hosts []string) ([]sshx.HostKeyQuestion, error) {
	var wg sync.WaitGroup
	defer wg.Wait()
	done := make(chan struct{})
	defer close(done)
	wg.Go(func() {
		timer := time.NewTimer(slowSurvey)
		defer timer.Stop()
		select {
		case <-timer.C:
			lines.Printf("%s", waitingForKeys)
		case <-done:
		}
	})
	return client.UnknownKeys(ctx, hosts)
}

// keyQuestion lists keys, one line each and all of them however many they are, and asks
// about them.
func keyQuestion(keys []sshx.HostKeyQuestion) string {
	var b strings.Builder
	names := make([]string, len(keys))
	width, typeWidth := 0, 0
	oneFile := true
	for i, q := range keys {
		names[i] = keyName(q)
		width, typeWidth = max(width, utf8.RuneCountInString(names[i])), max(typeWidth, len(q.KeyType))
		oneFile = oneFile && q.File == keys[0].File
	}
	if len(keys) == 1 {
		b.WriteString("One host is not known yet. This is the key that it shows now:\n\n")
	} else {
		fmt.Fprintf(&b, "%d hosts are not known yet. These are the keys that they show now:\n\n", len(keys))
	}
	for i, q := range keys {
		fmt.Fprintf(&b, "  %-*s  %-*s  %s", width, names[i], typeWidth, q.KeyType, q.Fingerprint)
		if !oneFile {
			fmt.Fprintf(&b, "  -> %s", fileName(q.File))
		}
		b.WriteString("\n")
		if q.Reason != "" {
			fmt.Fprintf(&b, "    (%s)\n", clean(q.Reason))
		}
	}
	b.WriteString("\nCompare them with what the hosts print on their own consoles:\n" +
		"  for k in /etc/ssh/ssh_host_*_key.pub; do ssh-keygen -lf $k; done\n")
	if oneFile {
		fmt.Fprintf(&b, "Accepted keys go to %s.\n", fileName(keys[0].File))
	}
	if len(keys) == 1 {
		b.WriteString("Add this key and go on?")
	} else {
		fmt.Fprintf(&b, "Add these %d keys and go on?", len(keys))
	}
	return b.String()
}

// keyName is the host of a key as the user knows it, and as known_hosts will have it.
func keyName(q sshx.HostKeyQuestion) string {
	name := q.Name
	if q.Jump {
		name = "jump host " + name
	}
	if q.Host != q.Name {
		name += " (" + q.Host + ")"
	}
	return clean(name)
}

// fileName is the file that a key goes to.
func fileName(path string) string {
	if path == "" {
		return "no file (UserKnownHostsFile is none)"
	}
	return clean(path)
}
