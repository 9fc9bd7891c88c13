package deployment

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"time"
)

// probeTimeout is how long python3 may take to say what it is.
const probeTimeout = 30 * time.Second

// probe prints an interpreter as JSON. Run with -I -S it takes 20 ms, so the answer
// is not kept anywhere: it is right even after the system's Python was upgraded.
const probe = `import json, os, sys
from importlib.util import find_spec
print(json.dumps({
    "executable": getattr(sys, "_base_executable", None) or sys.executable,
    "implementation": sys.implementation.name,
    "abi": "%s%s" % (sys.implementation.cache_tag, getattr(sys, "abiflags", "")),
    "version": "%d.%d.%d" % sys.version_info[:3],
    "recent": sys.version_info >= (3, 8),
    "machine": os.uname().machine,
    "venv": find_spec("venv") is not None,
    "ensurepip": find_spec("ensurepip") is not None,
}))
`

// interpreter is a Python, and what of it a virtualenv depends on.
type interpreter struct {
	Executable     string `json:"executable"` // not of a virtualenv, even if python3 is one's
	Implementation string `json:"implementation"`
	ABI            string `json:"abi"`
	Version        string `json:"version"`
	Recent         bool   `json:"recent"`
	Machine        string `json:"machine"`
	Venv           bool   `json:"venv"`
	Ensurepip      bool   `json:"ensurepip"`
}

// findPython asks the python3 on the PATH of env what it is.
func findPython(ctx context.Context, env []string) (interpreter, error) {
	var py interpreter
	file := lookPath(env, "python3")
	if file == "" {
		return py, fmt.Errorf("deployment: no python3 in %s: apt-get install python3 python3-venv", getEnv(env, "PATH"))
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, file, "-I", "-S", "-c", probe)
	cmd.Env, cmd.Dir = env, "/"
	cmd.WaitDelay = DrainDelay
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		if stopped := context.Cause(ctx); stopped != nil {
			err = stopped
		}
		return py, fmt.Errorf("deployment: asking %s for its version: %w: %s", file, err, lastLine(stderr.Bytes()))
	}
	if err := json.Unmarshal(out, &py); err != nil || py.Executable == "" {
		return py, fmt.Errorf("deployment: asking %s for its version: it said %.100q", file, out)
	}
	if !py.Recent {
		return py, fmt.Errorf("deployment: %s is Python %s, troops needs 3.8 or later", file, py.Version)
	}
	if !py.Venv {
		return py, errors.New("deployment: this Python has no module venv: apt-get install python3-venv")
	}
	return py, nil
}

// lastLine is the last line of b that is not empty, at most 200 bytes of it.
func lastLine(b []byte) []byte {
	b = bytes.TrimSpace(b)
	b = b[bytes.LastIndexByte(b, '\n')+1:]
	return b[:min(len(b), 200)]
}
