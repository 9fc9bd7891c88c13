package sshx

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// entry is one place in the list of keys to offer, before it is known what can sign for it.
type entry struct {
	key  ssh.PublicKey // what the server is shown; nil where only the private file tells
	id   *identity     // nil for a key that only the agent has
	name string
	held *agentConn // the agent that has exactly this key; nil for a key of files
}

// gather lists the keys in the order of ssh: the CertificateFiles, the agent's keys that are
// configured in the agent's order, its others unless IdentitiesOnly, then the files. A file's
// own certificate comes after its key, and only where no CertificateFile is configured.
func (a *authAttempt) gather() {
	files := a.fileEntries()
	conn := a.agent()
	var configured, others []entry
	for j, key := range conn.keys {
		if err := checkRSASize(key, a.s.RequiredRSASize); err != nil {
			a.skip(conn.names[j], err.Error())
			continue
		}
		i := slices.IndexFunc(files, func(e entry) bool { return e.key != nil && keyBlob(e.key) == keyBlob(key) })
		switch {
		case i >= 0:
			configured = append(configured, entry{key, files[i].id, files[i].name + " (agent)", conn})
			files = slices.Delete(files, i, i+1)
		case !a.s.IdentitiesOnly:
			others = append(others, entry{key, nil, conn.names[j], conn})
		}
	}
	a.offerAll(slices.Concat(a.certificates(), configured, others, files))
}

// agent gives the agent of the host, one without keys where there is none.
func (a *authAttempt) agent() *agentConn {
	conn, err := a.client.agents.get(a.ctx, a.s.IdentityAgent)
	switch {
	case err != nil:
		a.skipped = append(a.skipped, err.Error())
		return &agentConn{}
	case len(conn.keys) == 0:
		a.skipped = append(a.skipped, "the agent has no keys")
	}
	return conn
}

// fileEntries lists the identity files, each with the certificate that lies beside it.
func (a *authAttempt) fileEntries() []entry {
	var out []entry
	for _, path := range a.s.IdentityFiles {
		id, name := a.client.keys.get(path), a.display(path)
		if err := userCertificate(id.public); err != nil {
			a.skip(name, err.Error())
			continue
		}
		out = append(out, entry{key: id.public, id: id, name: name})
		if id.cert == nil || len(a.s.CertificateFiles) > 0 {
			continue
		}
		if err := userCertificate(id.cert); err != nil {
			a.skip(name+" (certificate)", err.Error())
			continue
		}
		out = append(out, entry{key: id.cert, id: id, name: name + " (certificate)"})
	}
	return out
}

// certificates lists the CertificateFiles.
func (a *authAttempt) certificates() []entry {
	var out []entry
	for _, path := range a.s.CertificateFiles {
		id, name := a.client.keys.get(path), a.display(path)
		cert, ok := id.public.(*ssh.Certificate)
		err := userCertificate(id.public)
		switch {
		case id.public == nil && id.private != nil:
			err = id.private
		case !ok:
			err = errNoCertificate
		}
		if err != nil {
			a.skip(name, err.Error())
			continue
		}
		out = append(out, entry{key: cert, id: id, name: name + " (certificate)"})
	}
	return out
}

// offerAll adds the entries that something can sign for, and says of the others why not.
func (a *authAttempt) offerAll(entries []entry) {
	var absent []string
	for _, e := range entries {
		signer, err := a.signer(e, entries)
		switch {
		case err == errAbsent && a.isDefault(e.id.path):
			absent = append(absent, e.name)
		case err == errHidden:
			a.keys = append(a.keys, candidate{name: e.name, hidden: e.id})
		case err != nil:
			if isSecurityKey(e.key) {
				a.elsewhere = "the security key " + e.name
			}
			a.skip(e.name, err.Error())
		default:
			a.offer(signer, e.name)
		}
	}
	if len(absent) > 0 {
		a.skipped = append(a.skipped, strings.Join(absent, ", ")+" missing")
	}
}

// signer finds what signs for an entry: the agent, its file, or for a certificate whatever
// of the list has its private half.
func (a *authAttempt) signer(e entry, all []entry) (ssh.AlgorithmSigner, error) {
	if e.held != nil {
		return &agentSigner{attempt: a, conn: e.held, private: e.key, key: e.key}, nil
	}
	cert, ok := e.key.(*ssh.Certificate)
	if !ok {
		return a.fileSigner(e.id, e.key)
	}
	plain := keyBlob(cert.Key)
	var reason error = errNoPrivate
	for _, other := range all {
		switch {
		case other.key == nil || keyBlob(other.key) != plain:
		case other.held != nil:
			return &agentSigner{attempt: a, conn: other.held, private: other.key, key: cert}, nil
		default:
			signer, err := a.fileSigner(other.id, cert)
			if err == nil {
				return signer, nil
			}
			reason = err
		}
	}
	if e.id.public == nil { // its certificate is all that is known of it
		return a.fileSigner(e.id, cert)
	}
	return nil, reason
}

// fileSigner signs with an identity file.
func (a *authAttempt) fileSigner(id *identity, key ssh.PublicKey) (ssh.AlgorithmSigner, error) {
	if err := id.usable(a.client.keys, a.mayAsk()); err != nil {
		var exposed *exposedError
		if errors.As(err, &exposed) {
			id.exposed.Do(func() { a.client.opts.Warnf("the private key %s is ignored: %v", printable(id.path), err) })
		}
		return nil, err
	}
	if key == nil {
		opened, _ := id.opened() // an error shows when its turn comes
		if opened == nil {
			return nil, errHidden
		}
		key = opened.PublicKey()
	}
	return &fileSigner{attempt: a, id: id, key: key}, nil
}

// mayAsk reports whether a person may be asked for this host.
func (a *authAttempt) mayAsk() bool {
	return a.client.opts.Interactive && !a.s.BatchMode && a.s.PasswordPrompts > 0
}

// skip notes a key that is not offered.
func (a *authAttempt) skip(name, reason string) { a.skipped = append(a.skipped, name+": "+reason) }

// offer adds a key, unless it is in the list or the configuration rules it out.
func (a *authAttempt) offer(signer ssh.AlgorithmSigner, name string) {
	k, err := a.candidate(signer, name)
	if err != nil {
		a.skip(name, err.Error())
		return
	}
	if !slices.ContainsFunc(a.keys, func(other candidate) bool { return other.id() == k.id() }) {
		a.keys = append(a.keys, k)
	}
}

// candidate checks the type and the length of a key against the configuration.
func (a *authAttempt) candidate(signer ssh.AlgorithmSigner, name string) (candidate, error) {
	key := signer.PublicKey()
	if err := checkRSASize(key, a.s.RequiredRSASize); err != nil {
		return candidate{}, err
	}
	algorithms := acceptedAlgorithms(a.s.PubkeyAlgorithms, key.Type())
	if len(algorithms) == 0 {
		return candidate{}, errors.New("PubkeyAcceptedAlgorithms rules " + printable(key.Type()) + " out")
	}
	return candidate{signer: &watchedSigner{signer, a, algorithms}, name: name}, nil
}

// reveal opens a file of an old format, which hides even its public half until somebody has
// typed its passphrase: not before its turn has come.
func (a *authAttempt) reveal(k candidate) (candidate, error) {
	var opened ssh.Signer
	var err error
	a.waited = true
	a.pause(func() { opened, err = k.hidden.open(a.ctx, a.client.keys, a.s.PasswordPrompts) })
	if err != nil {
		return k, err
	}
	return a.candidate(&fileSigner{attempt: a, id: k.hidden, key: opened.PublicKey()}, k.name)
}

// display shortens a path below the home directory.
func (a *authAttempt) display(path string) string {
	if rest, ok := strings.CutPrefix(path, a.client.local.home+string(filepath.Separator)); ok {
		return printable("~/" + rest)
	}
	return printable(path)
}

// isDefault reports whether a path is one that ssh tries where none is configured.
func (a *authAttempt) isDefault(path string) bool {
	return slices.Contains(defaultIdentities, a.display(path))
}

// isSecurityKey reports whether a key, or the one of a certificate, lives in a device.
func isSecurityKey(key ssh.PublicKey) bool {
	if cert, ok := key.(*ssh.Certificate); ok {
		key = cert.Key
	}
	return key != nil && strings.HasPrefix(key.Type(), "sk-")
}

// acceptedAlgorithms lists the signature algorithms that PubkeyAcceptedAlgorithms leaves for a
// type of key, the preferred one first. SHA-1 has to be asked for, as with ssh.
func acceptedAlgorithms(spec, keyType string) []string {
	suffix := "-cert-v01@openssh.com"
	plain, certificate := strings.CutSuffix(keyType, suffix)
	if certificate && strings.HasPrefix(plain, "sk-") {
		plain += "@openssh.com"
	}
	algorithms := []string{plain}
	if plain == ssh.KeyAlgoRSA {
		algorithms = []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSA}
	}
	names := strings.Split(strings.TrimLeft(spec, "+-^"), ",")
	place := func(algorithm string) int { // in the list; behind it for one that it does not name
		name := algorithm
		if certificate {
			name = strings.TrimSuffix(algorithm, "@openssh.com") + suffix
		}
		i := slices.IndexFunc(names, func(n string) bool { return matchList(name, []string{n}) })
		if i < 0 {
			return len(names)
		}
		return i
	}
	algorithms = slices.DeleteFunc(algorithms, func(algorithm string) bool {
		byDefault := algorithm != ssh.KeyAlgoRSA && algorithm != "ssh-dss"
		named := place(algorithm) < len(names)
		switch {
		case spec == "":
			return !byDefault
		case spec[0] == '+' || spec[0] == '^':
			return !byDefault && !named
		case spec[0] == '-':
			return !byDefault || named
		}
		return !named
	})
	if spec != "" && spec[0] != '+' && spec[0] != '-' {
		slices.SortStableFunc(algorithms, func(x, y string) int { return place(x) - place(y) })
	}
	return algorithms
}
