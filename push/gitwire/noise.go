package gitwire

import (
	"bufio"
	"fmt"
)

// NoiseLimit is how much a server may print before its advertisement: the output of shell
// start-up files that do not know that nobody is there to read it.
const NoiseLimit = 64 << 10

// skipNoise reads up to the first packet of an advertisement and returns what came before it.
// It never waits for a byte unless those that are there could be the beginning of a packet.
func skipNoise(br *bufio.Reader) (noise []byte, err error) {
	for {
		b, err := firstPacket(br)
		if err != nil {
			noise = append(noise, b...)
			return noise, &NoAdvertisementError{Noise: noise, Err: err}
		}
		if b == nil {
			return noise, nil
		}
		if len(noise) == NoiseLimit {
			return noise, &NoAdvertisementError{Noise: noise, Err: fmt.Errorf("no packet in %d bytes", NoiseLimit)}
		}
		noise = append(noise, b[0])
		if _, err := br.Discard(1); err != nil {
			return noise, err
		}
	}
}

// longestOpening is more than beginsAdvertisement ever needs to see.
const longestOpening = 128

// firstPacket looks at what stands next. It returns nil where that is a packet that can begin an
// advertisement, else the bytes it looked at: one or more, fewer only with an error.
func firstPacket(br *bufio.Reader) ([]byte, error) {
	for n := max(1, min(br.Buffered(), longestOpening)); ; n++ {
		b, err := br.Peek(n)
		if err != nil {
			return b, err
		}
		match, more := beginsAdvertisement(b)
		if match {
			return nil, nil
		}
		if !more {
			return b, nil
		}
	}
}

// beginsAdvertisement reports whether b begins like the first packet of an advertisement, or
// whether more bytes could make it so. Demanding an object name and the beginning of a ref name
// keeps check sums and times in the noise from being taken for packets.
func beginsAdvertisement(b []byte) (match, more bool) {
	for i := range min(len(b), headerLen) {
		if !isHex(b[i]) {
			return false, false
		}
	}
	if len(b) < headerLen {
		return false, true
	}
	size, _ := hexLen(b)
	if size <= headerLen || size > maxPacket {
		return false, false
	}
	rest := b[headerLen:]
	// A server's last words, or the protocol's version: one that is not 0 or 1 is refused later, by its number.
	if match, more = anyPrefix(rest, "ERR ", "version "); match || more {
		return match, more
	}
	digits := 0
	for digits < len(rest) && isHex(rest[digits]) {
		digits++
	}
	if digits == len(rest) {
		return false, digits <= len(zeroSHA256)
	}
	if digits != len(zeroSHA1) && digits != len(zeroSHA256) || rest[digits] != ' ' {
		return false, false
	}
	return anyPrefix(rest[digits+1:], "refs/", ".have\x00", "capabilities^{}\x00", "HEAD\x00")
}

// anyPrefix reports whether b begins with one of the prefixes, or is itself the beginning of one.
func anyPrefix(b []byte, prefixes ...string) (match, more bool) {
	for _, p := range prefixes {
		n := min(len(b), len(p))
		if string(b[:n]) == p[:n] {
			match = match || n == len(p)
			more = more || n < len(p)
		}
	}
	return match, more && !match
}

func isHex(c byte) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F' }
