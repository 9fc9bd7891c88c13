package sshx

import (
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// checkArgs refuses what ssh refuses at parse time, whether or not the block applies. A
// list that is empty but for a comment leaves no arguments: it says nothing, as in ssh.
func checkArgs(d *directive, kind argKind) error {
	switch kind {
	case command, restWords:
		return nil
	case jumps:
		return checkJumps(d)
	case manyWords:
		return checkWords(d.args)
	}
	if len(d.args) == 0 || d.args[0] == "" {
		return errors.New("missing argument")
	}
	if kind == size && len(d.args) > 1 {
		if _, err := parseDuration(d.args[1]); err != nil {
			return fmt.Errorf("bad value %s", quote(d.args[1]))
		}
		d.args = append(d.args[:1], d.args[2:]...)
	}
	if len(d.args) > 1 {
		return fmt.Errorf("extra argument %s at the end of the line", quote(d.args[1]))
	}
	if err := checkValue(d.keyword, d.args[0], kind); err != nil {
		return fmt.Errorf("bad value %s: %w", quote(d.args[0]), err)
	}
	return nil
}

// checkValue looks at the form of one word.
func checkValue(keyword, v string, kind argKind) (err error) {
	switch kind {
	case flag:
		_, err = parseFlag(v)
	case choice:
		if !slices.Contains(wordChoices[keyword], strings.ToLower(v)) {
			err = fmt.Errorf("not one of %s", strings.Join(wordChoices[keyword], ", "))
		}
	case number:
		_, err = parseNumber(v)
	case size:
		_, err = parseSize(v)
	case duration:
		_, err = parseDuration(v)
	case portNumber:
		_, err = parsePortOrService(v)
	case strictness:
		_, err = parseStrictness(v)
	case agentPath:
		err = checkAgentPath(v)
	}
	return err
}

// checkWords checks a list of paths.
func checkWords(args []string) error {
	for i, a := range args {
		switch {
		case a == "":
			return errors.New("empty argument")
		case strings.EqualFold(a, "none") && (i > 0 || len(args) > 1):
			return errors.New("none must stand alone")
		}
	}
	return nil
}

// checkJumps checks the hosts of a ProxyJump and drops what follows the first word, as
// ssh up to 9.5 does; later ones take it for a part of the last host's name.
func checkJumps(d *directive) error {
	if strings.EqualFold(d.args[0], "none") {
		return nil
	}
	text, _, _ := strings.Cut(d.args[0], "#")
	if i := strings.IndexAny(text, " \t"); i >= 0 {
		text = text[:i]
	}
	d.args[0] = text
	for hop := range strings.SplitSeq(text, ",") {
		if _, err := parseHop(hop); err != nil {
			return fmt.Errorf("bad jump host %s", quote(hop))
		}
	}
	return nil
}

// checkAgentPath checks the variables in an IdentityAgent, which must be set.
func checkAgentPath(v string) error {
	if _, err := expandEnv(v, os.LookupEnv); err != nil {
		return err
	}
	if name, ok := strings.CutPrefix(v, "$"); ok && !strings.HasPrefix(name, "{") && !validEnvName(name) {
		return errors.New("not the name of an environment variable")
	}
	return nil
}

// validEnvName is ssh's rule for the names of environment variables.
func validEnvName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}

func parseFlag(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "yes", "true":
		return true, nil
	case "no", "false":
		return false, nil
	}
	return false, errors.New("neither yes nor no")
}

// parseStrictness gives one of "yes", "ask", "accept-new" and "no".
func parseStrictness(s string) (string, error) {
	switch s = strings.ToLower(s); s {
	case "yes", "true":
		return "yes", nil
	case "no", "false", "off":
		return "no", nil
	case "ask", "accept-new":
		return s, nil
	}
	return "", errors.New("not yes, ask, accept-new or no")
}

// parseNumber reads a decimal number as strtonum(3) does: it may have a sign.
func parseNumber(s string) (int, error) {
	n, err := strconv.ParseInt(strings.TrimLeft(s, " \t"), 10, 32)
	if err != nil || n < 0 {
		return 0, errors.New("not a number from 0 to 2147483647")
	}
	return int(n), nil
}

// parsePortOrService reads a port of a file: a number, or a name of /etc/services.
func parsePortOrService(s string) (int, error) {
	n, err := parseNumber(s)
	if err != nil {
		n, err = net.LookupPort("tcp", s)
	}
	if err != nil || n < 1 || n > math.MaxUint16 {
		return 0, fmt.Errorf("bad port %s", quote(s))
	}
	return n, nil
}

// minRekey is ssh's lower limit of RekeyLimit.
const minRekey = 16

// parseSize reads the number of bytes of a RekeyLimit; "default" is 0.
func parseSize(s string) (int64, error) {
	if s == "default" {
		return 0, nil
	}
	digits, shift := strings.TrimLeft(s, " \t"), 0
	if last := len(digits) - 1; last > 0 {
		if i := strings.IndexByte("bkmgtpe", digits[last]|0x20); i >= 0 {
			digits, shift = digits[:last], 10*i
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64>>shift {
		return 0, errors.New("not a number of bytes")
	}
	if n <<= shift; n != 0 && n < minRekey {
		return 0, fmt.Errorf("less than %d bytes", minRekey)
	}
	return n, nil
}

// timeUnits are those of sshd_config(5), in lower case.
var timeUnits = map[byte]int64{'s': 1, 'm': 60, 'h': 3600, 'd': 24 * 3600, 'w': 7 * 24 * 3600}

// parseDuration reads the time format of sshd_config(5), such as 90, 1m30s or 2h; "none" is 0.
func parseDuration(s string) (time.Duration, error) {
	if s == "none" {
		return 0, nil
	}
	bad := fmt.Errorf("bad time %s", quote(s))
	if s == "" {
		return 0, bad
	}
	var total int64
	for s != "" {
		end := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
		unit, next := int64(1), len(s)
		if end < 0 {
			end = len(s)
		} else {
			unit, next = timeUnits[s[end]|0x20], end+1
		}
		n, err := strconv.ParseInt(s[:end], 10, 32)
		if err != nil || unit == 0 || n > math.MaxInt32/unit {
			return 0, bad
		}
		if total += n * unit; total > math.MaxInt32 {
			return 0, bad
		}
		s = s[next:]
	}
	return time.Duration(total) * time.Second, nil
}
