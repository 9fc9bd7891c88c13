package main

import (
	"errors"
	"fmt"
	"os"
	"runtime/pprof"

	"github.com/urfave/cli/v2"
)

// profiles are where a command leaves what it spent its time and memory on, in hidden options
// for those who work on troops: `go tool pprof bin/troops FILE` reads the files.
type profiles struct {
	cpu, memory string // files, or empty
}

func (p *profiles) cpuFlag() cli.Flag {
	return &cli.StringFlag{Name: "cpuprofile", Hidden: true, Destination: &p.cpu}
}

func (p *profiles) memoryFlag() cli.Flag {
	return &cli.StringFlag{Name: "memprofile", Hidden: true, Destination: &p.memory}
}

// around does f and writes the profiles that were asked for.
func (p *profiles) around(f func() error) (err error) {
	if p.cpu != "" {
		file, err := os.Create(p.cpu)
		if err != nil {
			return fmt.Errorf("writing a profile: %w", err)
		}
		if err := pprof.StartCPUProfile(file); err != nil {
			return errors.Join(fmt.Errorf("profiling: %w", err), file.Close())
		}
		defer func() {
			pprof.StopCPUProfile()
			err = errors.Join(err, file.Close())
		}()
	}
	if p.memory != "" {
		file, err := os.Create(p.memory)
		if err != nil {
			return fmt.Errorf("writing a profile: %w", err)
		}
		defer func() { err = errors.Join(err, pprof.Lookup("allocs").WriteTo(file, 0), file.Close()) }()
	}
	return f()
}
