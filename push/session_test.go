package push

import (
	"errors"
	"strings"
	"testing"

	"troops/push/gitwire"
)

func TestRejected(t *testing.T) {
	no := func(reason string) error { return &gitwire.RejectedError{Ref: "refs/heads/master", Reason: reason} }
	tests := []struct {
		err  error
		want Kind // empty: the node may have taken it
	}{
		{nil, ""},
		{&gitwire.LostError{Err: errors.New("gone")}, ""},
		{no("pre-receive hook declined"), KindRefused},
		{no("troops: not a fast-forward of what is deployed, 123: merge that first"), KindRefused},
		{no("troops: run 01J exited 7"), KindFailed},
		{no("troops: run 01J gave way to 123456"), KindSuperseded},
		{no("troops: run 01J goes on without you: the connection is lost"), KindUnknown},
		{&gitwire.UnpackError{Reason: "disk full"}, KindFailed},
		{&gitwire.RemoteError{Text: "no"}, KindFailed},
		{&gitwire.PackError{Err: errors.New("no")}, KindFailed},
	}
	for _, tt := range tests {
		var got Kind
		if o := rejected(tt.err); o != nil {
			got = o.Kind()
		}
		if got != tt.want {
			t.Errorf("%v: %q, want %q", tt.err, got, tt.want)
		}
	}
}

// TestExplainPush: what git 2.39 says on a node in states that a test cannot bring about.
func TestExplainPush(t *testing.T) {
	for _, tt := range []struct{ said, hint string }{
		{"fatal: write error: No space left on device\n", "disk is full"},
		{"fatal: write error: Disk quota exceeded\n", "quota"},
		{"fatal: Unable to create temporary file '/srv/x.git/objects/pack/tmp_pack_XXXXXX': Read-only file system\n", "mounted read-only"},
		{"error: insufficient permission for adding an object to repository database ./objects\n", "may not write"},
		{"fatal: Unable to create temporary file '/srv/x.git/./objects/pack/tmp_pack_XXXXXX': Permission denied\n", "may not write"},
		{"fatal: fsck error in packed object\n", "receive.fsckObjects"},
		{"something new\n", "not writable"},
	} {
		cause := &gitwire.UnpackError{Reason: "index-pack abnormal exit"}
		err := explainPush(cause, tt.said)
		if !errors.Is(err, cause) || !strings.Contains(err.Error(), tt.hint) || strings.Contains(err.Error(), "tmp_pack") {
			t.Errorf("%q: %v, want %q", tt.said, err, tt.hint)
		}
	}
	for _, err := range []error{nil, errors.New("x"), &gitwire.RejectedError{Reason: "no"}} {
		if got := explainPush(err, "hello"); got != err {
			t.Errorf("%v became %v", err, got)
		}
	}
}
