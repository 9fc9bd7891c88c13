package push

import "time"

// The limits that a test may shorten, one at a time: a test in which all were short would
// depend on how fast the machine is.
const (
	LimitAdvertisement = iota
	LimitUpload
	LimitSilence
	LimitSurvey
	LimitCompare
)

// Shorten makes one of the limits on how long a node may keep a push waiting d.
func (r *Rollout) Shorten(limit int, d time.Duration) {
	switch limit {
	case LimitAdvertisement:
		r.limits.advertisement = d
	case LimitUpload:
		r.limits.upload = d
	case LimitSilence:
		r.limits.silence = d
	case LimitSurvey:
		r.limits.survey = d
	case LimitCompare:
		r.limits.compare = d
	}
}
