package sshx

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// index sorts the blocks into those that can be found by a host's name and the others.
func (c *config) index() {
	for i, b := range c.blocks {
		var last *condition
		if len(b.conds) > 0 {
			last = b.conds[len(b.conds)-1]
		}
		if last != nil && last.isHost() && !slices.ContainsFunc(last.patterns, func(p string) bool { return !isLiteral(p) }) {
			for _, name := range last.patterns {
				c.literal[name] = append(c.literal[name], i)
			}
		} else {
			c.general = append(c.general, i)
		}
	}
}

// evaluation is the reading of the configuration for one target: what ssh has in its
// options while it goes through the files.
type evaluation struct {
	cfg    *config
	local  local
	exec   func(ctx context.Context, command string) (bool, error) // of Match exec
	target Target
	raw    raw

	host  string // what Host lines see: the name as it was given, in the final pass the host's
	final bool
	seen  []matchResult // of each Match line in this pass: like ssh, it is decided once
}

// matchResult is what is known of a Match line.
type matchResult int8

const (
	matchUnknown matchResult = iota
	matchYes
	matchNo
)

// evaluate goes through the files once, and a second time where a `Match final` asks for
// it, then with the host's name in place of the one that was given.
func (e *evaluation) evaluate(ctx context.Context) (raw, error) {
	e.raw, e.host = make(raw), e.target.Name
	if err := e.pass(ctx); err != nil || !e.cfg.final {
		return e.raw, err
	}
	name, err := e.hostname()
	if err != nil {
		return nil, err
	}
	e.host, e.final = canonicalName(name, e.raw.first("addressfamily")), true
	e.raw["hostname"] = []*directive{{keyword: "hostname", args: []string{e.host}, literal: true}}
	err = e.pass(ctx)
	return e.raw, err
}

// pass evaluates the blocks in the order of the files.
func (e *evaluation) pass(ctx context.Context) error {
	e.seen = make([]matchResult, e.cfg.matches)
	candidates := slices.Concat(e.cfg.general, e.cfg.literal[e.host])
	slices.Sort(candidates)
	for _, i := range slices.Compact(candidates) {
		b := &e.cfg.blocks[i]
		applies := true
		for _, c := range b.conds {
			yes, err := e.holds(ctx, c)
			if err != nil {
				return &ConfigError{File: c.file, Line: c.line, Err: err}
			}
			if applies = yes; !applies {
				break
			}
		}
		if !applies {
			continue
		}
		for j := range b.directives {
			d := &b.directives[j]
			if d.keyword == "refuseconnection" {
				return d.fail(fmt.Errorf("the connection is refused: %s", quote(d.args[0])))
			}
			e.raw.add(d)
		}
	}
	return nil
}

// holds decides about one Host or Match line.
func (e *evaluation) holds(ctx context.Context, c *condition) (bool, error) {
	if c.isHost() {
		return matchList(e.host, c.patterns), nil
	}
	if seen := e.seen[c.id]; seen != matchUnknown {
		return seen == matchYes, nil
	}
	result := matchYes
	for _, k := range c.match {
		yes, err := e.meets(ctx, k)
		if err != nil {
			return false, err
		}
		if yes == k.negate {
			result = matchNo
			break // and so the commands of later criteria are not run
		}
	}
	e.seen[c.id] = result
	return result == matchYes, nil
}

// meets decides about one criterion without its negation, from what is known so far.
func (e *evaluation) meets(ctx context.Context, k criterion) (bool, error) {
	switch k.name {
	case "final", "canonical":
		return e.final, nil
	case "host":
		name, err := e.hostname()
		return matchList(strings.ToLower(name), k.list), err
	case "originalhost":
		return matchList(strings.ToLower(e.target.Name), k.list), nil
	case "user":
		return matchList(e.user(), k.list), nil
	case "localuser":
		return matchList(e.local.user, k.list), nil
	case "tagged":
		if tag := e.raw.first("tag"); tag != "" {
			return matchList(tag, k.list), nil
		}
		return k.arg == "", nil
	case "exec":
		t, err := e.tokens()
		if err != nil {
			return false, err
		}
		command, err := expandTokens(k.arg, t)
		if err != nil {
			return false, err
		}
		return e.exec(ctx, command)
	}
	return true, nil // all
}

// hostname is the HostName as far as it is known.
func (e *evaluation) hostname() (string, error) {
	return e.raw.hostname(e.target.Name)
}

// user is the remote user as far as it is known.
func (e *evaluation) user() string {
	for _, name := range []string{e.target.User, e.raw.first("user"), e.local.user} {
		if name != "" {
			return name
		}
	}
	return ""
}

// tokens are those of the command of a Match exec.
func (e *evaluation) tokens() (tokens, error) {
	name, err := e.hostname()
	if err != nil {
		return nil, err
	}
	port := 22
	if e.target.Port != 0 {
		port = e.target.Port
	} else if v := e.raw.first("port"); v != "" {
		if port, err = parsePortOrService(v); err != nil {
			return nil, err
		}
	}
	alias := e.raw.first("hostkeyalias")
	if alias == "" {
		alias = name
	}
	return e.local.tokens(e.target.Name, name, e.user(), port, alias, jumpHost(e.raw.word("proxyjump"))), nil
}

// execTokens are the tokens that a Match exec may hold.
const execTokens = "CLdhijklnpru"

// checkExecTokens refuses a command that ssh would not expand, whether or not it is run.
func checkExecTokens(command string) error {
	_, err := expandTokens(command, tokens(nil).only(execTokens))
	return err
}

// delegated says why ssh itself must evaluate a host, empty where it need not.
func (e *evaluation) delegated() string {
	for _, keyword := range []string{"canonicalizehostname", "canonicalizepermittedcnames"} {
		switch v := e.raw.first(keyword); strings.ToLower(v) {
		case "", "no", "false", "none":
		default:
			return e.raw[keyword][0].because(keyword + " " + v) // it looks names up
		}
	}
	// Since 10.1 the name is expanded, before that it was taken as it stands.
	if v := e.raw.first("user"); e.target.User == "" && (strings.Contains(v, "%") || strings.Contains(v, "${")) {
		return e.raw["user"][0].because("tokens in User")
	}
	return ""
}
