package main

import (
	"errors"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// keyPatience is how often it is looked whether the terminal is the program's: a shell may have
// put it into the background and back.
const keyPatience = 250 * time.Millisecond

// keys watches a terminal that has a status area: nothing that is typed is echoed into it, Enter
// and Ctrl-\ ask for the states of all nodes, and Ctrl-Z leaves the screen in order.
type keys struct {
	tty    *os.File
	fd     int // of tty, whose reads do not wait
	states func()
	clear  func() (resume func()) // takes the status from the screen

	stop, ended *os.File // a pipe: closing stop ends ended
	signals     chan os.Signal
	wg          sync.WaitGroup

	mu     sync.Mutex    // guards below, and reading
	echo   *unix.Termios // as it was; nil while it is so
	paused int           // questions that stand
}

// watchKeys begins; release ends it. It is nil where there is no terminal of the process's own.
func watchKeys(states func(), clear func() func()) *keys {
	tty, err := os.OpenFile(terminalPath, os.O_RDWR, 0)
	if err != nil {
		return nil
	}
	k := &keys{tty: tty, fd: int(tty.Fd()), states: states, clear: clear, signals: make(chan os.Signal, 4)}
	// What was there to read may be gone when it is read: Ctrl-C drops it.
	if err = unix.SetNonblock(k.fd, true); err == nil {
		k.ended, k.stop, err = os.Pipe()
	}
	if err != nil {
		tty.Close()
		return nil
	}
	signal.Notify(k.signals, syscall.SIGQUIT, syscall.SIGTSTP)
	k.hush() // nobody else uses k yet
	k.wg.Go(k.read)
	k.wg.Go(k.obey)
	return k
}

// release gives the terminal back as it was. It may be called on nil, and again.
func (k *keys) release() {
	if k == nil || k.signals == nil {
		return
	}
	signal.Stop(k.signals)
	close(k.signals)
	k.stop.Close()
	k.wg.Wait()
	k.mu.Lock()
	k.restore()
	k.mu.Unlock()
	k.ended.Close()
	k.tty.Close()
	k.signals = nil
}

// pause leaves the terminal to a question until resume is called.
func (k *keys) pause() (resume func()) {
	if k == nil {
		return func() {}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.paused++
	k.restore()
	return func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.paused--
		k.hush()
	}
}

// read reads lines for as long as the terminal is there. What they say does not matter.
func (k *keys) read() {
	for {
		ready, err := k.readable(int(k.ended.Fd()), k.fd)
		if err != nil || ready[0] {
			return
		}
		entered, err := k.take(ready[1])
		if err != nil {
			return
		}
		if entered {
			k.states()
		} else if ready[1] && !k.wait() {
			return
		}
	}
}

// take takes a line that was typed, where the terminal is the process's and nobody else reads it.
func (k *keys) take(ready bool) (entered bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.paused > 0 || !foreground(k.fd) {
		return false, nil
	}
	k.hush()
	if !ready {
		return false, nil
	}
	n, err := unix.Read(k.fd, make([]byte, maxAnswer))
	if errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN) {
		err = nil
	}
	return n > 0, err
}

// wait passes the time while there is something to read that is not for us.
func (k *keys) wait() bool {
	ready, err := k.readable(int(k.ended.Fd()))
	return err == nil && !ready[0]
}

func (k *keys) readable(fds ...int) ([]bool, error) {
	limit := unix.NsecToTimeval(keyPatience.Nanoseconds())
	return readable(&limit, fds...)
}

// obey does what signals of the terminal ask for.
func (k *keys) obey() {
	for s := range k.signals {
		if s == syscall.SIGQUIT {
			k.states()
			continue
		}
		show := func() {}
		if !k.asked() {
			show = k.clear()
		}
		resume := k.pause()
		stopUntilContinued()
		resume()
		show()
	}
}

// stopUntilContinued stops the process, as Ctrl-Z would have done. The call that does it may return
// before it is stopped, so the signal to go on is awaited.
func stopUntilContinued() {
	goOn := make(chan os.Signal, 1)
	signal.Notify(goOn, syscall.SIGCONT)
	defer signal.Stop(goOn)
	if syscall.Kill(os.Getpid(), syscall.SIGSTOP) == nil {
		<-goOn
	}
}

// asked reports whether a question stands, which has taken the status from the screen.
func (k *keys) asked() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.paused > 0
}

// hush has the terminal echo nothing. The two below need k.mu.
func (k *keys) hush() {
	if k.echo != nil || k.paused > 0 || !foreground(k.fd) {
		return
	}
	old, err := unix.IoctlGetTermios(k.fd, ioctlGetTermios)
	if err != nil {
		return
	}
	quiet := *old
	quiet.Lflag &^= unix.ECHO | unix.ECHONL
	if unix.IoctlSetTermios(k.fd, ioctlSetTermios, &quiet) == nil {
		k.echo = old
	}
}

func (k *keys) restore() {
	if k.echo != nil && foreground(k.fd) {
		_ = unix.IoctlSetTermios(k.fd, ioctlSetTermios, k.echo) // a terminal that is gone needs nothing
	}
	k.echo = nil
}

// foreground reports whether a terminal is there for this process: to write to another one's, or
// to read from it, would stop the process, or disturb what the user does there.
func foreground(tty int) bool {
	group, err := unix.IoctlGetInt(tty, unix.TIOCGPGRP)
	return err != nil || group == unix.Getpgrp()
}
