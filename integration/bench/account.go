package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// marker stands in every line of output that counts. A number and perhaps the time of
// printing follow it.
const marker = "bench line "

// usage is what a command cost its machine, with all that it started, daemons too.
type usage struct {
	Wall    time.Duration // until the command itself ended
	First   time.Duration // until a line with the marker was read, 0 where there was none
	Last    time.Duration // until the last one
	Opening time.Duration // until the first byte of output
	CPU     time.Duration // user and system time of all processes
	RSS     int64         // greatest resident set of one process, bytes
	Private int64         // greatest sum of the unshared resident memory of all processes, sampled, bytes
	Lines   int           // with the marker
	Waits   waits         // from printing on the node to reading here, where lines tell the time
	Exit    int           // exit code
}

// waits sums up times.
type waits struct {
	P50, P99, Worst time.Duration
	Count           int
}

// account runs a command and writes its usage to a file, as a process of its own: so that all
// processes that the command leaves behind become its children, and are counted.
// Arguments: USAGE-FILE OUTPUT-FILE read|write COMMAND... With read, it reads the output for
// the marker before it goes to the file; with write, the command writes to the file itself.
func account(args []string) error {
	if len(args) < 4 {
		return errors.New("account: too few arguments")
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("adopting orphans: %w", err)
	}
	file, err := os.Create(args[1])
	if err != nil {
		return err
	}
	defer file.Close()
	u, err := run(args[3:], file, args[2] == "read")
	if err != nil {
		return err
	}
	b, err := json.Marshal(u)
	if err != nil {
		return err
	}
	return os.WriteFile(args[0], b, 0o600)
}

func run(args []string, file *os.File, read bool) (*usage, error) {
	cmd := exec.Command(args[0], args[1:]...)
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, w, w
	if !read {
		cmd.Stdout = file
	}
	u := &usage{}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	w.Close()
	var watch reading
	done, ended := make(chan struct{}), make(chan int64)
	go func() { watch.read(r, file, begin); close(done) }()
	stop := make(chan struct{})
	go func() { ended <- sample(stop) }()

	err = cmd.Wait()
	u.Wall = time.Since(begin)
	close(stop)
	u.Private = <-ended
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return nil, err
	}
	u.Exit = cmd.ProcessState.ExitCode()
	reap()
	<-done
	var ru unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_CHILDREN, &ru); err != nil {
		return nil, err
	}
	u.CPU = time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
	u.RSS = ru.Maxrss << 10
	u.First, u.Last, u.Opening, u.Lines, u.Waits = watch.first, watch.last, watch.opening, watch.lines, watch.waits()
	return u, watch.err
}

// reap ends what the command left behind and waits for it: then its time counts.
func reap() {
	for {
		for _, pid := range children(os.Getpid()) {
			_ = unix.Kill(pid, unix.SIGKILL) // it may be gone already
		}
		if _, err := unix.Wait4(-1, nil, 0, nil); err != nil && !errors.Is(err, unix.EINTR) {
			return // no child is left
		}
	}
}

// reading is what was seen in the output.
type reading struct {
	first, last, opening time.Duration
	lines                int
	delays               []time.Duration
	err                  error
}

// read copies the output to the file until its end and looks for the marker.
func (w *reading) read(from io.Reader, to io.Writer, begin time.Time) {
	var partial []byte
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		now := time.Now()
		if n > 0 && w.opening == 0 {
			w.opening = now.Sub(begin)
		}
		if _, werr := to.Write(buf[:n]); werr != nil && w.err == nil {
			w.err = werr // and go on: the command must not block
		}
		partial = append(partial, buf[:n]...)
		whole := bytes.LastIndexByte(partial, '\n') + 1
		w.take(partial[:whole], now, begin)
		partial = append(partial[:0], partial[whole:]...)
		if err != nil {
			return
		}
	}
}

// take counts the markers in whole lines; some programs mix lines of several nodes in one.
func (w *reading) take(text []byte, now, begin time.Time) {
	for {
		_, rest, found := bytes.Cut(text, []byte(marker))
		if !found {
			return
		}
		w.last = now.Sub(begin)
		if w.lines++; w.lines == 1 {
			w.first = w.last
		}
		line, _, _ := bytes.Cut(rest, []byte("\n"))
		if fields := bytes.Fields(line); len(fields) == 2 {
			if at, err := strconv.ParseInt(string(fields[1]), 10, 64); err == nil {
				w.delays = append(w.delays, now.Sub(time.Unix(0, at)))
			}
		}
		text = rest
	}
}

func (w *reading) waits() waits {
	n := len(w.delays)
	if n == 0 {
		return waits{}
	}
	slices.Sort(w.delays)
	return waits{P50: w.delays[n/2], P99: w.delays[n*99/100], Worst: w.delays[n-1], Count: n}
}
