package output

import "bytes"

const (
	esc        = 0x1b
	maxSGR     = 96 // longest colour sequence kept, in bytes
	maxParams  = 16 // most parameters of one
	resetStyle = "\x1b[0m"
)

// sgrLen returns the length of the colour sequence (SGR, `ESC [ parameters m`, ECMA-48
// 8.3.117) that p begins with, or 0. Incomplete sequences, other sequences, and those with
// too many parameters or one that hides text are none.
func sgrLen(p []byte) int {
	if len(p) < 3 || p[0] != esc || p[1] != '[' {
		return 0
	}
	for i, c := range p[2:min(len(p), maxSGR)] {
		switch {
		case c == 'm':
			if !harmless(p[2 : 2+i]) {
				return 0
			}
			return 2 + i + 1
		case (c < '0' || c > '9') && c != ';' && c != ':':
			return 0
		}
	}
	return 0
}

// harmless reports whether SGR parameters are few enough and do not conceal text (8).
func harmless(params []byte) bool {
	if bytes.Count(params, []byte(";"))+bytes.Count(params, []byte(":")) >= maxParams {
		return false
	}
	skip, colour := 0, false // parameters that belong to an extended colour: 38;5;n or 38;2;r;g;b
	for more := true; more; {
		var field []byte
		field, params, more = bytes.Cut(params, []byte(";"))
		head, _, sub := bytes.Cut(field, []byte(":"))
		n := number(head)
		switch {
		case skip > 0:
			skip--
		case colour:
			colour = false
			switch n {
			case 5:
				skip = 1
			case 2:
				skip = 3
			}
		case n == 8:
			return false
		case n == 38 || n == 48 || n == 58:
			colour = !sub
		}
	}
	return true
}

// number reads decimal digits; what is too great for an SGR parameter is 1000.
func number(digits []byte) int {
	n := 0
	for _, c := range digits {
		if n = n*10 + int(c-'0'); n > 999 {
			return 1000
		}
	}
	return n
}

// isReset reports whether the colour sequence does nothing but end all styles.
func isReset(seq []byte) bool { return len(bytes.Trim(seq[2:len(seq)-1], "0")) == 0 }
