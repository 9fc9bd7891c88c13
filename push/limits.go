package push

import (
	"cmp"
	"time"
)

// How long a node may keep a push waiting. A node that keeps to SSH but hangs in a command
// answers keepalives and never closes the command's channel (OpenSSH does that only when the
// command has ended), so each of these ends by closing the whole connection.
const (
	// AdvertisementTimeout is how long a node's git may take to list its refs.
	AdvertisementTimeout = 60 * time.Second
	// UploadStall is how long a node may take no byte of the pack.
	UploadStall = 60 * time.Second
	// AcceptTimeout is how long a node may take, once it has the whole pack, to store it and
	// to say that it queued the run.
	AcceptTimeout = 10 * time.Minute
	// AttachSilence is how long an attach may send nothing, not even a heartbeat (every 5 s).
	AttachSilence = 20 * time.Second
	// AdoptTimeout is how long a node is given, after a connection that broke before the push
	// was acknowledged, to show that it has the run after all.
	AdoptTimeout = 15 * time.Second
	// CompareTime is how long after a wave's begin [Compared] waits for nodes that show nothing.
	CompareTime = 2 * time.Second
	// HangUpTimeout is how long a command that has nothing more to do here may take to end.
	HangUpTimeout = 5 * time.Second
)

// limits are the above for one rollout.
type limits struct {
	advertisement, upload, accept, silence, adopt, compare, hangUp, survey time.Duration
}

func (l *limits) fill() {
	l.advertisement = cmp.Or(l.advertisement, AdvertisementTimeout)
	l.upload = cmp.Or(l.upload, UploadStall)
	l.accept = cmp.Or(l.accept, AcceptTimeout)
	l.silence = cmp.Or(l.silence, AttachSilence)
	l.adopt = cmp.Or(l.adopt, AdoptTimeout)
	l.compare = cmp.Or(l.compare, CompareTime)
	l.hangUp = cmp.Or(l.hangUp, HangUpTimeout)
	l.survey = cmp.Or(l.survey, SurveyTime)
}

// within does f and closes conn when that takes longer than limit, which makes whatever f
// waits for on the connection end. It reports whether f was in time.
func within(limit time.Duration, conn Conn, f func()) bool {
	timer := time.AfterFunc(limit, func() { conn.Close() })
	f()
	return timer.Stop()
}
