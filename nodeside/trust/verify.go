package trust

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// verifyCommit has git check a commit's signature. raw is what it says of it: gpg's status lines.
// The exit code alone decides of an SSH signature: %G? would have U both for a key that is not
// allowed and for an OpenPGP key without ownertrust.
func (v *Verifier) verifyCommit(ctx context.Context, commit string, revoked bool) (good bool, raw string, err error) {
	// What is given to git here comes after all configurations, and counts. A program that is not
	// needed is one that always fails.
	const no = "/bin/false"
	gpg, sshKeygen, allowed := no, no, os.DevNull
	if v.keys.pgp {
		gpg = v.keys.gpg
	}
	if v.keys.ssh {
		sshKeygen, allowed = v.keys.sshKeygen, v.keys.allowed
	}
	revocation := ""
	if revoked && v.keys.revokes {
		revocation = v.keys.revoked
	}
	args := []string{
		"-c", "gpg.program=" + gpg, "-c", "gpg.openpgp.program=" + gpg, "-c", "gpg.x509.program=" + no, "-c", "gpg.ssh.program=" + sshKeygen,
		"-c", "gpg.ssh.allowedSignersFile=" + allowed, "-c", "gpg.ssh.revocationFile=" + revocation, "-c", "gpg.minTrustLevel=undefined",
		"verify-commit", "--raw", commit,
	}
	cmd := v.git.Command(ctx, args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		return false, said.String(), nil
	}
	if err != nil {
		return false, "", fmt.Errorf("trust: checking the signature of %s: git verify-commit: %w: %s", short(commit), err, strings.TrimSpace(said.String()))
	}
	return true, said.String(), nil
}

// checkSSH checks an SSH signature.
func (v *Verifier) checkSSH(ctx context.Context, commit, armor string) error {
	by := "is signed by SSH key " + fingerprint(armor)
	if !v.keys.ssh {
		return &Refusal{commit, by + ", and this node allows none", "put those that it is to allow into " + v.keys.allowed}
	}
	// Git asks whether the key was allowed at the time that the commit claims, which who has stolen an
	// old key can choose. So it has to be allowed today as well.
	today, err := v.allowedToday(ctx, armor)
	if err != nil {
		return fmt.Errorf("trust: checking the signature of %s: %w", short(commit), err)
	}
	if !today {
		return &Refusal{commit, by + ", which " + v.keys.allowed + " does not allow, or not today", otherKey + ", or allow this one there"}
	}
	good, _, err := v.verifyCommit(ctx, commit, true)
	if good || err != nil {
		return err
	}
	if v.keys.revokes {
		if good, _, err := v.verifyCommit(ctx, commit, false); err != nil {
			return err
		} else if good {
			return &Refusal{commit, by + ", which " + v.keys.revoked + " revokes", otherKey}
		}
	}
	return &Refusal{commit, by + ", but its signature is bad, since it was changed afterwards, or the key not allowed to sign for git then", again}
}

// allowedToday asks ssh-keygen whether the key of a signature is one of the allowed ones.
func (v *Verifier) allowedToday(ctx context.Context, armor string) (bool, error) {
	f, err := os.CreateTemp("", "troops-signature-") // it reads from files only
	if err != nil {
		return false, err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(armor)
	if err = errors.Join(err, f.Close()); err != nil {
		return false, err
	}
	cmd := exec.CommandContext(ctx, v.keys.sshKeygen, "-Y", "find-principals", "-f", v.keys.allowed, "-s", f.Name())
	cmd.Dir, cmd.Env = "/", v.git.Env
	err = cmd.Run()
	if ctx.Err() == nil && errors.As(err, new(*exec.ExitError)) {
		return false, nil
	}
	return err == nil, err
}

// checkPGP checks an OpenPGP signature.
func (v *Verifier) checkPGP(ctx context.Context, commit string) error {
	if !v.keys.pgp {
		return &Refusal{commit, "is signed by an OpenPGP key, and this node has no keyring", "import keys that it is to trust by gpg --homedir " + v.keys.gnupg + " --import"}
	}
	good, raw, err := v.verifyCommit(ctx, commit, true)
	if err != nil {
		return err
	}
	why, fix := pgpReason(raw)
	switch {
	case why != "":
		return &Refusal{commit, why, fix}
	case !good:
		return &Refusal{commit, "has an OpenPGP signature that git does not accept", again}
	}
	return nil
}

// pgpReason reads gpg's status lines (doc/DETAILS in GnuPG): empty where they tell of one good
// signature by a key that is valid today.
func pgpReason(raw string) (why, fix string) {
	status := make(map[string][]string)
	for line := range strings.SplitSeq(raw, "\n") {
		if rest, ok := strings.CutPrefix(line, "[GNUPG:] "); ok {
			word, value, _ := strings.Cut(rest, " ")
			id, _, _ := strings.Cut(value, " ")
			status[word] = append(status[word], id)
		}
	}
	for _, bad := range []struct{ word, before, after, fix string }{
		{"BADSIG", "has a bad signature by", ", since it was changed after it was signed", again},
		{"REVKEYSIG", "is signed by", ", which is revoked", otherKey},
		{"EXPKEYSIG", "is signed by", ", which has expired", otherKey + ", or import the key when it is prolonged"},
		{"EXPSIG", "has a signature by", ", which has expired", again},
		{"ERRSIG", "is signed by", ", which the node's keyring does not have, or gpg cannot use", otherKey + ", or import this one"},
	} {
		if ids := status[bad.word]; len(ids) > 0 {
			return bad.before + " OpenPGP key " + ids[0] + bad.after, bad.fix
		}
	}
	switch {
	case len(status["GOODSIG"]) != 1 || len(status["VALIDSIG"]) != 1:
		return "has an OpenPGP signature that gpg does not call good", again
	case len(status["TRUST_NEVER"]) > 0:
		return "is signed by OpenPGP key " + status["GOODSIG"][0] + ", which the node's keyring never trusts", otherKey
	}
	return "", ""
}
