package testnode

import (
	"context"
	"errors"
	"strings"
	"testing"
)

func TestTranscriptWait(t *testing.T) {
	var s Transcript
	found := make(chan string)
	go func() {
		w, err := s.Wait(t.Context(), "missing", "ready")
		found <- w + errText(err)
	}()
	for _, part := range []string{"re", "a", "dy\n"} {
		s.Write([]byte(part))
	}
	if got := <-found; got != "ready" {
		t.Errorf("Wait: %q", got)
	}
	if w, err := s.Wait(t.Context(), "dy", "re"); w != "dy" || err != nil {
		t.Errorf("Wait for what is there: %q, %v", w, err)
	}
	if err := s.WaitSize(t.Context(), 6); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	if _, err := s.Wait(ctx, "never"); errText(err) != `testnode: waiting for ["never"] in a transcript: enough` {
		t.Errorf("Wait that is cancelled: %v", err)
	}
	if err := s.WaitSize(ctx, 7); errText(err) != "testnode: waiting for 7 bytes in a transcript: enough" {
		t.Errorf("WaitSize that is cancelled: %v", err)
	}
}

func TestTranscriptLimit(t *testing.T) {
	s := Transcript{Limit: 10}
	for range 100 {
		s.Write([]byte("0123456789"))
	}
	s.Write([]byte("end"))
	if got := s.String(); len(got) > 20 || !strings.HasSuffix(got, "3456789end") {
		t.Errorf("kept: %q", got)
	}
	if err := s.WaitSize(t.Context(), 1003); err != nil {
		t.Error(err)
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
