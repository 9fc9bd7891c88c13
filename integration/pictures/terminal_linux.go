package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"

	"github.com/charmbracelet/x/vt"
	"golang.org/x/sys/unix"
)

// The size of the terminals in cells: lower than any picture is high, so that all is on the screen.
const (
	columns = 100
	rows    = 120
)

// terminal is a terminal whose screen can be drawn.
type terminal struct {
	screen *vt.SafeEmulator
	keys   *os.File // what is typed, while a command runs
}

func newTerminal() *terminal { return &terminal{screen: vt.NewSafeEmulator(columns, rows)} }

func (t *terminal) close() { t.screen.Close() }

// show prints text as the terminal gets it.
func (t *terminal) show(text string) {
	_, _ = t.screen.WriteString(text) // an emulator takes everything
}

// press types text.
func (t *terminal) press(text string) error {
	_, err := io.WriteString(t.keys, text)
	return err
}

// act is done once the terminal has got a text so many times.
type act struct {
	text  string
	times int
	do    func(*terminal) error
}

// run runs a command on the terminal, and the acts beside it, in their order. It must exit with code.
func (t *terminal) run(ctx context.Context, cmd *exec.Cmd, acts []act, code int) (err error) {
	master, slave, err := openPTY()
	if err != nil {
		return err
	}
	t.keys = master
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	err = cmd.Start()
	slave.Close() // the command has it
	if err != nil {
		master.Close()
		return err
	}
	var beside sync.WaitGroup
	// What the terminal answers when it is asked, for its colours say.
	beside.Go(func() { io.Copy(master, t.screen) })
	done := make(chan error, len(acts))
	var got strings.Builder
	buf := make([]byte, 4<<10)
	for {
		n, rerr := master.Read(buf)
		t.show(string(buf[:n]))
		got.Write(buf[:n])
		for len(acts) > 0 && strings.Count(got.String(), acts[0].text) >= acts[0].times {
			do := acts[0].do
			beside.Go(func() { done <- do(t) })
			acts = acts[1:]
		}
		if rerr != nil {
			break // nobody has the terminal any more
		}
	}
	werr := cmd.Wait()
	// Closing the emulator itself would race with the reading of its answers.
	if answers, ok := t.screen.InputPipe().(io.Closer); ok {
		err = errors.Join(err, answers.Close())
	}
	beside.Wait()
	close(done)
	for e := range done {
		err = errors.Join(err, e)
	}
	err = errors.Join(err, master.Close(), ctx.Err())
	if got := cmd.ProcessState.ExitCode(); got != code || len(acts) > 0 {
		err = errors.Join(err, fmt.Errorf("%q ended with %v, exit code %d where %d was expected, %d acts to come", cmd.Args, werr, got, code, len(acts)))
	}
	return err
}

// openPTY makes a pseudo-terminal of the pictures' size.
func openPTY() (master, slave *os.File, err error) {
	if master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		return nil, nil, err
	}
	fd := int(master.Fd())
	var n int
	err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns})
	}
	if err == nil {
		n, err = unix.IoctlGetInt(fd, unix.TIOCGPTN)
	}
	if err == nil {
		slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		master.Close()
		return nil, nil, fmt.Errorf("opening a pseudo-terminal: %w", err)
	}
	return master, slave, nil
}
