package inventory

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

const (
	// EvalTimeout is how long the evaluation of a deploy.py may take.
	EvalTimeout = 30 * time.Second
	// MaxReply is how much the evaluator may print, in bytes.
	MaxReply = 64 << 20

	evalKillDelay = 2 * time.Second
)

//go:embed pyeval/*.py
var pyeval embed.FS

// bootstrap gets the evaluator over its standard input, since an argument has at most 128 KiB:
// as text, which it compiles and, if asked to, gives back compiled; or as that.
const bootstrap = `import _frozen_importlib_external, base64, json, marshal, sys
tag = "%s-%s" % (sys.implementation.cache_tag, _frozen_importlib_external.MAGIC_NUMBER.hex())
print(json.dumps({"hello": sys.version_info[:2], "tag": tag}), flush=True)
if sys.version_info >= (3, 8):
    sent = json.loads(sys.stdin.buffer.readline().decode())
    if "code" in sent:
        codes = marshal.loads(base64.b64decode(sent["code"]))
    else:
        codes = [compile(text, name, "exec") for name, text in sent["source"]]
        print(json.dumps({"code": base64.b64encode(marshal.dumps(codes)).decode()}), flush=True)
    names = {}
    for code in codes:
        exec(code, names)
    names["main"]()
`

type pyProblem struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Text string `json:"text"`
	Role string `json:"role"`
}

func (p pyProblem) problem() Problem { return Problem(p) }

// place is a file and a line.
type place struct {
	file string
	line int
}

func (p *place) UnmarshalJSON(b []byte) error {
	return json.Unmarshal(b, &[]any{&p.file, &p.line})
}

// evaluated is what the evaluator found out about a deploy.py.
type evaluated struct {
	Hosts map[string]struct {
		Roles  []string    `json:"roles"`  // surely active
		Maybe  []pyProblem `json:"maybe"`  // roles that may be active; without a role: any
		Unsure []pyProblem `json:"unsure"` // where not Sure: why
		Places []place     `json:"places"`
		Sure   bool        `json:"sure"` // it is surely one of the hosts
	} `json:"hosts"`
	Errors   []pyProblem      `json:"errors"`
	Warnings []pyProblem      `json:"warnings"`
	Parts    []pyProblem      `json:"parts"` // roles with hosts that are not known
	Seen     map[string]place `json:"seen"`  // every role that is named, and where first
}

// message is a line that the evaluator prints.
type message struct {
	Hello  []int      `json:"hello"`
	Tag    string     `json:"tag"`  // of its bytecode, with Hello
	Code   []byte     `json:"code"` // the evaluator, compiled
	Get    *string    `json:"get"`
	Result *evaluated `json:"result"`
	Limit  *pyProblem `json:"limit"`
}

// evaluate evaluates the deploy.py of t. toml is what roles.toml defines.
func evaluate(ctx context.Context, t *tree, toml map[string][]string, python string) (*evaluated, error) {
	var tried []string
	for _, p := range pythons(python) {
		out, err := evaluateWith(ctx, p, t, toml)
		var un *unusable
		if !errors.As(err, &un) {
			return out, err
		}
		tried = append(tried, un.Error())
	}
	if tried != nil {
		return nil, fmt.Errorf("%w (%s)", ErrNoPython, strings.Join(tried, "; "))
	}
	return nil, ErrNoPython
}

// unusable is a python3 that did not get as far as reading the evaluator.
type unusable struct{ why string }

func (e *unusable) Error() string { return e.why }

// evaluateWith runs one Python. It has no arguments and no environment that come from the
// repository, and imports nothing but its own standard library.
func evaluateWith(ctx context.Context, python string, t *tree, toml map[string][]string) (*evaluated, error) {
	timeout := &LimitError{Problem{File: "deploy.py", Text: fmt.Sprintf("evaluating it took longer than %v", EvalTimeout)}}
	sum, err := evaluatorSum()
	if err != nil {
		return nil, err
	}
	task, err := json.Marshal(taskOf(t, toml))
	if err != nil {
		return nil, err
	}
	kept := answers{userBytecode()}
	path := kept.path(python, sum, task, t)
	if found := kept.load(path, t); found != nil {
		return found, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, EvalTimeout, timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, python, "-I", "-S", "-W", "ignore", "-c", bootstrap)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "LANG=C.UTF-8"}
	cmd.WaitDelay = evalKillDelay
	errs := &tail{limit: 4 << 10}
	cmd.Stderr = errs
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("inventory: starting %s: %w", python, err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("inventory: starting %s: %w", python, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, &unusable{fmt.Sprintf("%s: %v", python, err)}
	}
	c := &conversation{in: in, out: bufio.NewReader(&io.LimitedReader{R: out, N: MaxReply}), tree: t, cache: kept.bytecode, read: make(map[string]string)}
	result, err := c.run(python, sum, task)
	cause := context.Cause(ctx)
	_ = in.Close()
	if err != nil {
		cancel()
	}
	ended := cmd.Wait()
	switch {
	case err == nil:
		_ = kept.store(path, answer{c.read, c.last}) // else the next one evaluates, too
		return result, nil
	case errors.Is(cause, timeout):
		return nil, timeout
	case cause != nil:
		return nil, fmt.Errorf("inventory: evaluating deploy.py: %w", cause)
	}
	return nil, c.explain(err, ended, errs.String())
}

// conversation is the exchange of lines with one evaluator: it asks, troops answers.
type conversation struct {
	in    io.Writer
	out   *bufio.Reader
	tree  *tree
	cache bytecode
	read  map[string]string // the object names of what was asked for, by path
	last  []byte            // the line that was read last
}

// errBroken wraps errors of the pipes to the evaluator.
var errBroken = errors.New("python3 ended before it was done")

func (c *conversation) run(python string, sum, task []byte) (*evaluated, error) {
	m, err := c.next()
	if err != nil || len(m.Hello) != 2 {
		return nil, &unusable{python + " does not start"}
	}
	if v := m.Hello; v[0] < 3 || v[0] == 3 && v[1] < 8 {
		return nil, &unusable{fmt.Sprintf("%s is version %d.%d", python, v[0], v[1])}
	}
	if err := c.teach(m.Tag, sum); err != nil {
		return nil, err
	}
	if err := c.say(json.RawMessage(task)); err != nil {
		return nil, err
	}
	for {
		m, err := c.next()
		switch {
		case err != nil:
			return nil, err
		case m.Limit != nil:
			return nil, &LimitError{m.Limit.problem()}
		case m.Result != nil:
			return m.Result, nil
		case m.Get == nil:
			return nil, fmt.Errorf("%w: it says nothing that is known", errBroken)
		}
		text, err := c.tree.read(*m.Get)
		if err != nil {
			return nil, err
		}
		c.read[*m.Get] = c.tree.files[*m.Get].oid
		if err := c.say(map[string][]byte{"text": text}); err != nil {
			return nil, err
		}
	}
}

// evaluatorSum identifies the evaluator: a SHA-256 of all of its source. Most pushes need no more.
var evaluatorSum = sync.OnceValues(func() ([]byte, error) { return sumOf(pyeval) })

func sumOf(files fs.FS) ([]byte, error) {
	h := sha256.New()
	io.WriteString(h, bootstrap)
	names, err := fs.Glob(files, "pyeval/*.py")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		f, err := files.Open(name)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(h, "\n%s\n", name)
		if _, err := io.Copy(h, f); err != nil {
			return nil, err
		}
	}
	return h.Sum(nil), nil
}

// evaluator is the source of the evaluator: names and texts of its files, in JSON.
func evaluator() ([]byte, error) {
	names, err := fs.Glob(pyeval, "pyeval/*.py")
	if err != nil {
		return nil, err
	}
	var script [][2]string
	for _, name := range names {
		text, err := pyeval.ReadFile(name)
		if err != nil {
			return nil, err
		}
		script = append(script, [2]string{name, string(text)})
	}
	return json.Marshal(script)
}

// teach sends the evaluator itself, compiled where an earlier one has done that.
func (c *conversation) teach(tag string, sum []byte) error {
	path := c.cache.path(sum, tag)
	if code := c.cache.load(path); code != nil {
		return c.say(map[string][]byte{"code": code})
	}
	source, err := evaluator()
	if err != nil {
		return err
	}
	if err := c.say(map[string]json.RawMessage{"source": source}); err != nil {
		return err
	}
	m, err := c.next()
	if err == nil {
		_ = c.cache.store(path, m.Code) // else the next one compiles, too
	}
	return err
}

// taskOf is what the evaluator is to evaluate.
func taskOf(t *tree, toml map[string][]string) any {
	files := make(map[string]string)
	for path, e := range t.files {
		switch {
		case !utf8.ValidString(path):
		case e.mode == modeLink:
			files[path] = "link"
		case e.mode == modeSubmodule:
			files[path] = "submodule"
		case strings.HasSuffix(path, ".py"):
			files[path] = "file"
		}
	}
	return map[string]any{"files": files, "toml": toml}
}

func (c *conversation) say(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if _, err := c.in.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("%w: %v", errBroken, err)
	}
	return nil
}

func (c *conversation) next() (message, error) {
	var m message
	line, err := c.out.ReadBytes('\n')
	if err != nil {
		return m, fmt.Errorf("%w: %v", errBroken, err)
	}
	c.last = line
	if err := json.Unmarshal(line, &m); err != nil {
		return m, fmt.Errorf("%w: %v", errBroken, err)
	}
	return m, nil
}

// explain turns a broken conversation into what ended it.
func (c *conversation) explain(err, ended error, said string) error {
	if !errors.Is(err, errBroken) {
		return err
	}
	var exit *exec.ExitError
	if errors.As(ended, &exit) && exit.ExitCode() == -1 {
		// A crash of the parser on a deeply nested file looks like this on some versions.
		return &LimitError{Problem{File: "deploy.py", Text: fmt.Sprintf("python3 did not survive reading it (%v)", ended)}}
	}
	if said != "" {
		return fmt.Errorf("inventory: evaluating deploy.py: %w: %s", err, said)
	}
	return fmt.Errorf("inventory: evaluating deploy.py: %w", err)
}

// tail keeps the last limit bytes of what is written.
type tail struct {
	limit int
	buf   bytes.Buffer
}

func (t *tail) Write(p []byte) (int, error) {
	t.buf.Write(p)
	if extra := t.buf.Len() - t.limit; extra > 0 {
		t.buf.Next(extra)
	}
	return len(p), nil
}

func (t *tail) String() string { return strings.TrimSpace(t.buf.String()) }
