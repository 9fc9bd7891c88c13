package push

import (
	"errors"
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
