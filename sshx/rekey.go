package sshx

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// minRekeyBytes is the smallest RekeyLimit that ssh takes.
const minRekeyBytes = 16

// parseRekeyBytes reads the amount of data of a RekeyLimit: a number with a unit up to E.
// 0 is the default. The time that may stand after it is not used: a connection of ours ends
// before it matters.
func parseRekeyBytes(s string) (int64, error) {
	if s == "default" {
		return 0, nil
	}
	number, shift := s, 0
	if n := len(s); n > 0 {
		if i := strings.IndexByte("BKMGTPE", s[n-1]&^0x20); i >= 0 {
			number, shift = s[:n-1], 10*i
		}
	}
	if strings.Trim(number, "0123456789.") != "" {
		return 0, fmt.Errorf("bad number %s", quote(s))
	}
	f, err := strconv.ParseFloat(number, 64)
	if f = math.Ldexp(f, shift); err != nil || f >= math.MaxInt64 {
		return 0, fmt.Errorf("bad number %s", quote(s))
	}
	if n := int64(f); n == 0 || n >= minRekeyBytes {
		return n, nil
	}
	return 0, fmt.Errorf("%s is too small", quote(s))
}
