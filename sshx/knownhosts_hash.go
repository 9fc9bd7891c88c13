package sshx

import (
	"crypto/sha1"
	"encoding"
	"encoding/base64"
	"errors"
	"hash"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// hashedName is the host name of a line that HashKnownHosts wrote: the HMAC-SHA1 of the
// name, keyed with a salt. What the HMAC makes of the salt alone is kept: it is half of the
// work, and a file is searched again for every host.
type hashedName struct {
	inner, outer []byte // states of SHA-1 behind the two padded salts
	sum          [sha1.Size]byte
}

// newHashedName prepares a salt; sum is left to the caller.
func newHashedName(salt []byte) *hashedName {
	state := func(pad byte) []byte {
		block := [sha1.BlockSize]byte{}
		copy(block[:], salt)
		for i := range block {
			block[i] ^= pad
		}
		d := sha1.New()
		d.Write(block[:])
		b, err := d.(encoding.BinaryMarshaler).MarshalBinary()
		if err != nil {
			panic(err) // SHA-1 can always be saved
		}
		return b
	}
	return &hashedName{inner: state(0x36), outer: state(0x5c)}
}

// parseHashedName reads `|1|salt|hash`.
func parseHashedName(s string) (*hashedName, error) {
	parts := strings.Split(s, "|")
	if len(parts) != 4 || parts[1] != "1" {
		return nil, errors.New("unknown hash of a name")
	}
	enc := base64.StdEncoding.Strict()
	salt, err := enc.DecodeString(parts[2])
	if err != nil || len(salt) != sha1.Size {
		return nil, errors.New("damaged salt")
	}
	sum, err := enc.DecodeString(parts[3])
	if err != nil || len(sum) != sha1.Size {
		return nil, errors.New("damaged hash")
	}
	h := newHashedName(salt)
	h.sum = [sha1.Size]byte(sum)
	return h, nil
}

// formatHashedName is what parseHashedName reads.
func formatHashedName(name string, salt []byte) string {
	enc := base64.StdEncoding
	sum := newNameHasher(name).sum(newHashedName(salt))
	return "|1|" + enc.EncodeToString(salt) + "|" + enc.EncodeToString(sum)
}

// nameHasher hashes one name with many salts. It is not for concurrent use.
type nameHasher struct {
	name   []byte
	digest hash.Hash
	state  encoding.BinaryUnmarshaler // the same digest
	buf    [sha1.Size]byte
}

func newNameHasher(name string) *nameHasher {
	d := sha1.New()
	return &nameHasher{name: []byte(name), digest: d, state: d.(encoding.BinaryUnmarshaler)}
}

// sum is the HMAC of the name; valid until the next call.
func (h *nameHasher) sum(salted *hashedName) []byte {
	// The states are our own: they cannot fail to load.
	_ = h.state.UnmarshalBinary(salted.inner)
	h.digest.Write(h.name)
	inner := h.digest.Sum(h.buf[:0])
	_ = h.state.UnmarshalBinary(salted.outer)
	h.digest.Write(inner)
	return h.digest.Sum(h.buf[:0])
}

func (h *nameHasher) matches(salted *hashedName) bool {
	return [sha1.Size]byte(h.sum(salted)) == salted.sum
}

// minParallelScan is from how many hashed lines on a search is shared among the processors.
const minParallelScan = 2000

// matching gives those of the candidates, indices of hashed lines in ascending order, that
// are about a host. The caller holds mu.
func (f *knownFile) matching(name string, candidates []int) []int {
	scan := func(part []int) (found []int) {
		if len(part) == 0 {
			return nil
		}
		h := newNameHasher(name)
		for _, i := range part {
			if h.matches(f.lines[i].hashed) {
				found = append(found, i)
			}
		}
		return found
	}
	if len(candidates) < minParallelScan {
		return scan(candidates)
	}
	workers := runtime.GOMAXPROCS(0)
	found := make([][]int, workers)
	var wg sync.WaitGroup
	for w := range workers {
		part := candidates[w*len(candidates)/workers : (w+1)*len(candidates)/workers]
		wg.Go(func() { found[w] = scan(part) })
	}
	wg.Wait()
	return slices.Concat(found...)
}
