package inventory

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/BurntSushi/toml"
)

// RolesFile is the path of the list of roles that needs no Python:
//
//	[web]
//	hosts = ["a.example.com", "root@b.example.com:2222"]
const RolesFile = "roles.toml"

// tomlRole is one table of roles.toml.
type tomlRole struct {
	name  string
	line  int // of its key hosts
	hosts []Host
}

// parseRoles reads a roles.toml: the roles by name, and what is wrong with it. Every table
// names a role and has the one key hosts, a list of strings.
func parseRoles(text []byte) ([]tomlRole, []Problem) {
	p := rolesParser{lines: hostsLines(text)}
	if line := tooDeep(text); line > 0 {
		p.report(line, "", "nested deeper than %d", maxTomlDepth)
		return nil, p.problems
	}
	var tables map[string]toml.Primitive
	var err error
	if p.md, err = toml.Decode(string(text), &tables); err != nil {
		var pe toml.ParseError
		if errors.As(err, &pe) {
			p.report(pe.Position.Line, "", "syntax error: %s", pe.Message)
		} else {
			p.report(0, "", "syntax error: %v", err)
		}
		return nil, p.problems
	}
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		p.role(name, tables[name])
	}
	sortProblems(p.problems)
	return p.roles, p.problems
}

// rolesParser collects the roles of one file.
type rolesParser struct {
	md       toml.MetaData
	lines    map[string]int // of the keys hosts that were found at once
	located  int            // values whose line was looked up
	roles    []tomlRole
	problems []Problem
}

func (p *rolesParser) report(line int, role, format string, args ...any) {
	p.problems = append(p.problems, Problem{File: RolesFile, Line: line, Role: role, Text: fmt.Sprintf(format, args...)})
}

// role reads one table.
func (p *rolesParser) role(name string, table toml.Primitive) {
	if !ValidRole(name) {
		p.report(p.lineOf(table), "", "bad role name %s: letters, digits, '.', '_' and '-', at most %d", quoteShort(name), MaxRole)
		return
	}
	var value any
	var keys map[string]toml.Primitive
	err := p.md.PrimitiveDecode(table, &value)
	if _, isTable := value.(map[string]any); err != nil || !isTable || p.md.PrimitiveDecode(table, &keys) != nil {
		p.report(p.lineOf(table), name, "it is not a table: write [%s] and below it hosts = [...]", name)
		return
	}
	role := tomlRole{name: name, line: p.lines[name]}
	for key, value := range keys {
		if key != "hosts" {
			p.report(p.lineOf(value), name, "unknown key %s: a role has only hosts", quoteShort(key))
			continue
		}
		if role.line == 0 {
			role.line = p.lineOf(value)
		}
		var written []string
		if err := p.md.PrimitiveDecode(value, &written); err != nil {
			p.report(role.line, name, "hosts is a list of strings")
		}
		for _, w := range written {
			h, err := ParseHost(w)
			if err != nil {
				p.report(role.line, name, "%v", err)
				continue
			}
			role.hosts = append(role.hosts, h)
		}
	}
	p.roles = append(p.roles, role)
}

// locator is decoded from any value, with an error that has the value's place.
type locator struct{}

var errLocate = errors.New("located")

// UnmarshalTOML implements [toml.Unmarshaler].
func (locator) UnmarshalTOML(any) error { return errLocate }

// lineOf returns the line of a value's key, 0 where it is not known. It takes as long as the
// file is, so it is done for the first maxLocated values only.
func (p *rolesParser) lineOf(v toml.Primitive) int {
	const maxLocated = 200
	var pe toml.ParseError
	if p.located++; p.located <= maxLocated && errors.As(p.md.PrimitiveDecode(v, &locator{}), &pe) {
		return pe.Position.Line
	}
	return 0
}
