package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"

	"troops/integration/simnode"
)

// serve simulates nodes until its standard input ends. It says "ready" when they listen.
func serve(args []string) error {
	var o simnode.Options
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	flags.StringVar(&o.Dir, "dir", "", "")
	flags.IntVar(&o.Nodes, "nodes", 1, "")
	flags.StringVar(&o.At, "at", "", "")
	flags.IntVar(&o.Work.Lines, "lines", 0, "")
	flags.DurationVar(&o.Work.Pause, "pause", 0, "")
	flags.IntVar(&o.Work.Bytes, "bytes", 0, "")
	flags.IntVar(&o.Work.Flood, "flood", 0, "")
	flags.DurationVar(&o.Delay, "delay", 0, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	f, err := simnode.Start(context.Background(), o)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, os.Stdin)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// servers is a process that simulates nodes.
type servers struct {
	cmd   *exec.Cmd
	stdin io.Closer
}

// simulate starts nodes in a process of their own, and returns when they listen.
func simulate(ctx context.Context, o simnode.Options) (*servers, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "serve", "-dir", o.Dir, "-nodes", strconv.Itoa(o.Nodes), "-at", o.At,
		"-lines", strconv.Itoa(o.Work.Lines), "-pause", o.Work.Pause.String(),
		"-delay", o.Delay.String(),
		"-bytes", strconv.Itoa(o.Work.Bytes), "-flood", strconv.Itoa(o.Work.Flood))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &servers{cmd, stdin}
	if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		return nil, fmt.Errorf("simulated nodes did not start: %w", s.stop())
	}
	return s, nil
}

// stop ends the nodes.
func (s *servers) stop() error {
	s.stdin.Close()
	return s.cmd.Wait()
}
