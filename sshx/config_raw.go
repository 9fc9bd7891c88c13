package sshx

import (
	"slices"
	"strings"
)

// raw are a host's keywords before expansion: the first value of each, every value of
// those that accumulate.
type raw map[string][]*directive

// add records a value where it still counts.
func (r raw) add(d *directive) {
	old := r[d.keyword]
	switch {
	case accumulates(d.keyword):
		if !slices.ContainsFunc(old, func(o *directive) bool { return slices.Equal(o.args, d.args) }) {
			r[d.keyword] = append(old, d)
		}
	case old != nil:
	// Of ProxyJump and ProxyCommand the one that comes first counts; `ProxyJump none` is no jump.
	case d.keyword == "proxyjump" && r["proxycommand"] != nil:
	case d.keyword == "proxycommand" && r.word("proxyjump") != "":
	default:
		r[d.keyword] = []*directive{d}
	}
}

// first gives the first word of a keyword's first value.
func (r raw) first(keyword string) string {
	if v := r[keyword]; len(v) > 0 && len(v[0].args) > 0 {
		return v[0].args[0]
	}
	return ""
}

// word is first, empty for "none".
func (r raw) word(keyword string) string {
	if v := r.first(keyword); !strings.EqualFold(v, "none") {
		return v
	}
	return ""
}

// hostname is the HostName, expanded, or the name that was given.
func (r raw) hostname(given string) (string, error) {
	v := r["hostname"]
	if len(v) == 0 {
		return given, nil
	}
	if v[0].literal {
		return v[0].args[0], nil
	}
	name, err := expandTokens(v[0].args[0], tokens{'h': given})
	if err != nil {
		return "", v[0].fail(err)
	}
	return name, nil
}
