package trust

import (
	"bytes"
	"encoding/pem"
	"strings"

	"golang.org/x/crypto/ssh"
)

// signatureOf takes the armored signature out of a commit object; empty where there is none. Git
// itself checks the signature: this one tells what to expect. Both surely mean the same where there
// are not several.
func signatureOf(commit []byte) (armored string, several bool) {
	header, _, _ := bytes.Cut(commit, []byte("\n\n"))
	var armor strings.Builder
	count, inside := 0, false
	for line := range strings.SplitSeq(string(header), "\n") {
		if rest, ok := strings.CutPrefix(line, " "); ok {
			if inside {
				armor.WriteString(rest + "\n")
			}
			continue
		}
		name, rest, _ := strings.Cut(line, " ")
		if inside = strings.HasPrefix(name, "gpgsig"); inside {
			count++
			armor.WriteString(rest + "\n")
		}
	}
	return armor.String(), count > 1
}

// fingerprint names the key that made an SSH signature (openssh's PROTOCOL.sshsig), for people;
// "unknown" where there is none to be found.
func fingerprint(armor string) string {
	const magic = "SSHSIG"
	block, _ := pem.Decode([]byte(armor))
	if block == nil || !bytes.HasPrefix(block.Bytes, []byte(magic)) {
		return "unknown"
	}
	var sig struct {
		Version   uint32
		PublicKey []byte
		Rest      []byte `ssh:"rest"`
	}
	if err := ssh.Unmarshal(block.Bytes[len(magic):], &sig); err != nil {
		return "unknown"
	}
	key, err := ssh.ParsePublicKey(sig.PublicKey)
	if err != nil {
		return "unknown"
	}
	return ssh.FingerprintSHA256(key)
}
