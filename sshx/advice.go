package sshx

import (
	"errors"
	"net"
	"syscall"
)

// advisedError is a failure with what can be done about it.
type advisedError struct {
	err    error
	advice string
}

// Error gives both.
func (e *advisedError) Error() string { return e.err.Error() + ": " + e.advice }

// Unwrap gives the failure.
func (e *advisedError) Unwrap() error { return e.err }

// advise adds to the failure of a stage what can be done about it, where there is something
// to be said that the failure itself does not say.
func advise(stage string, err error) error {
	var dns *net.DNSError
	var slow *TimeoutError
	var other interface{ wholeSentence() }
	advice := ""
	switch {
	case errors.As(err, &other) || stage == StageJump:
	case errors.As(err, &dns) && dns.IsNotFound:
		advice = "check HostName in your ssh configuration"
	case stage == StageConnect && errors.Is(err, syscall.ECONNREFUSED):
		advice = "check that sshd runs there, and Port in your ssh configuration"
	case stage == StageConnect && (errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH)):
		advice = "check HostName in your ssh configuration, and your network"
	case stage == StageConnect && errors.As(err, &slow):
		advice = "check HostName in your ssh configuration, and firewalls on the way"
	case stage == StageHandshake && errors.As(err, &slow):
		advice = "check that it is an sshd, by Port in your ssh configuration, and not overloaded"
	}
	if advice == "" {
		return err
	}
	return &advisedError{err, advice}
}
