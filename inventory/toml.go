package inventory

import (
	"errors"
	"fmt"
	"slices"
	"strings"

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
	var problems []Problem
	report := func(line int, role, format string, args ...any) {
		problems = append(problems, Problem{File: RolesFile, Line: line, Role: role, Text: fmt.Sprintf(format, args...)})
	}
	var tables map[string]toml.Primitive
	md, err := toml.Decode(string(text), &tables)
	if err != nil {
		var pe toml.ParseError
		if errors.As(err, &pe) {
			report(pe.Position.Line, "", "syntax error: %s", pe.Message)
		} else {
			report(0, "", "syntax error: %v", err)
		}
		return nil, problems
	}
	var roles []tomlRole
	for name, table := range tables {
		if role := parseRole(&md, name, table, report); role != nil {
			roles = append(roles, *role)
		}
	}
	slices.SortFunc(roles, func(a, b tomlRole) int { return strings.Compare(a.name, b.name) })
	sortProblems(problems)
	return roles, problems
}

// parseRole reads one table; nil where it is none.
func parseRole(md *toml.MetaData, name string, table toml.Primitive, report func(int, string, string, ...any)) *tomlRole {
	line := lineOf(md, table)
	if !ValidRole(name) {
		report(line, "", "bad role name %s: letters, digits, '.', '_' and '-', at most %d", quoteShort(name), MaxRole)
		return nil
	}
	var value any
	var keys map[string]toml.Primitive
	err := md.PrimitiveDecode(table, &value)
	if _, isTable := value.(map[string]any); err != nil || !isTable || md.PrimitiveDecode(table, &keys) != nil {
		report(line, name, "it is not a table: write [%s] and below it hosts = [...]", name)
		return nil
	}
	role := tomlRole{name: name, line: line}
	for key, value := range keys {
		at := lineOf(md, value)
		if key != "hosts" {
			report(at, name, "unknown key %s: a role has only hosts", quoteShort(key))
			continue
		}
		role.line = at
		var written []string
		if err := md.PrimitiveDecode(value, &written); err != nil {
			report(at, name, "hosts is a list of strings")
		}
		for _, w := range written {
			h, err := ParseHost(w)
			if err != nil {
				report(at, name, "%v", err)
				continue
			}
			role.hosts = append(role.hosts, h)
		}
	}
	return &role
}

// locator is decoded from any value, with an error that has the value's place.
type locator struct{}

var errLocate = errors.New("located")

// UnmarshalTOML implements [toml.Unmarshaler].
func (locator) UnmarshalTOML(any) error { return errLocate }

// lineOf returns the line of a value's key, 0 where it is not known.
func lineOf(md *toml.MetaData, v toml.Primitive) int {
	var pe toml.ParseError
	if errors.As(md.PrimitiveDecode(v, &locator{}), &pe) {
		return pe.Position.Line
	}
	return 0
}
