package gitwire

import "strings"

// maxRefName bounds the length of a ref name in bytes; a file system path is no longer either.
const maxRefName = 4096

// ValidRef reports whether name is a full ref name, beginning with refs/, by the rules of
// git-check-ref-format(1). A valid name may still hold any printable Unicode, so it is no
// safer to print than other text of a server.
func ValidRef(name string) bool {
	if !strings.HasPrefix(name, "refs/") || len(name) > maxRefName {
		return false
	}
	if strings.HasSuffix(name, ".") || strings.Contains(name, "..") || strings.Contains(name, "@{") {
		return false
	}
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c == 0x7f || strings.IndexByte("~^:?*[\\", c) >= 0 {
			return false
		}
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part[0] == '.' || strings.HasSuffix(part, ".lock") {
			return false
		}
	}
	return true
}
