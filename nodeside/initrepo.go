package nodeside

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"troops/nodeside/wire"
)

// makeRepo makes the bare repository. Group members write in it: objects, other branches,
// and the remotes to pull from.
func (n *initer) makeRepo(ctx context.Context) error {
	repo := n.l.Repo()
	if _, err := os.Stat(filepath.Join(repo, "HEAD")); err == nil {
		return nil
	}
	git := n.l.git()
	git.GitDir = ""
	if _, err := git.Run(ctx, nil, "init", "-q", "--bare", "--template=", "--initial-branch=master", repo); err != nil {
		return fmt.Errorf("nodeside: making the repository: %w", err)
	}
	if err := os.Mkdir(n.l.hooks(), 0o700); err != nil {
		return fmt.Errorf("nodeside: making the repository: %w", err)
	}
	n.did("made %s", repo)
	err := filepath.WalkDir(repo, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		mode := os.FileMode(0o600)
		switch {
		case d.IsDir() && n.l.Root:
			mode = 0o770 | os.ModeSetgid
		case d.IsDir():
			mode = 0o700
		case n.l.Root:
			mode = 0o660
		}
		return n.own(path, mode)
	})
	if err == nil && n.l.Root {
		err = n.own(n.l.hooks(), 0o750)
	}
	if err != nil {
		return fmt.Errorf("nodeside: giving the repository to group %s: %w", Group, err)
	}
	return nil
}

// configure sets what the protocol needs; all else in the configuration is the admin's.
func (n *initer) configure(ctx context.Context) error {
	for _, c := range []struct {
		key    string
		values []string
	}{
		{"receive.procReceiveRefs", []string{strings.TrimSuffix(branchPrefix, "/"), strings.TrimSuffix(ownRefPrefix, "/")}},
		{"receive.advertisePushOptions", []string{"true"}},
		{"receive.autogc", []string{"false"}}, // it would hold back the answer to a push
		{"uploadpack.hideRefs", []string{"refs/troops"}},
		{"core.sharedRepository", []string{"group"}},
	} {
		if c.key == "core.sharedRepository" && !n.l.Root {
			continue
		}
		if err := n.setConfig(ctx, c.key, c.values); err != nil {
			return fmt.Errorf("nodeside: configuring the repository: %w", err)
		}
	}
	return nil
}

func (n *initer) setConfig(ctx context.Context, key string, values []string) error {
	git := n.l.git()
	old, _ := git.Line(ctx, "config", "--local", "--get-all", key) // none: exit code 1
	if slices.Equal(strings.Split(old, "\n"), values) {
		return nil
	}
	// The first value replaces all, the others are added.
	for i, v := range values {
		how := "--add"
		if i == 0 {
			how = "--replace-all"
		}
		if _, err := git.Run(ctx, nil, "config", "--local", how, key, v); err != nil {
			return err
		}
	}
	n.did("set %s in the repository", key)
	return nil
}

// makeRef makes the ref by which a workstation knows the node and its version, and removes
// that of another program that was here before.
func (n *initer) makeRef(ctx context.Context) error {
	git := n.l.git()
	out, err := git.Run(ctx, nil, "for-each-ref", "--format=%(refname)", wire.VersionRefPrefix+"*")
	if err != nil {
		return fmt.Errorf("nodeside: looking for %s: %w", wire.AdvertisedRef, err)
	}
	refs := slices.DeleteFunc(strings.Fields(string(out)), func(ref string) bool { return !wire.IsVersionRef(ref) })
	missing := !slices.Contains(refs, wire.AdvertisedRef)
	others := slices.DeleteFunc(refs, func(ref string) bool { return ref == wire.AdvertisedRef })
	if !missing && len(others) == 0 {
		return nil
	}
	var update strings.Builder // all of it or nothing
	for _, ref := range others {
		fmt.Fprintf(&update, "delete %s\n", ref)
	}
	if missing {
		text := "troops node, protocol " + wire.Version + "\n"
		blob, err := git.Run(ctx, strings.NewReader(text), "hash-object", "-w", "--stdin")
		if err != nil {
			return fmt.Errorf("nodeside: making %s: %w", wire.AdvertisedRef, err)
		}
		fmt.Fprintf(&update, "create %s %s", wire.AdvertisedRef, blob)
	}
	if _, err := git.Run(ctx, strings.NewReader(update.String()), "update-ref", "--stdin"); err != nil {
		return fmt.Errorf("nodeside: making %s: %w", wire.AdvertisedRef, err)
	}
	if missing {
		n.did("made %s", wire.AdvertisedRef)
	}
	for _, ref := range others {
		n.did("removed %s, of another troops", ref)
	}
	return nil
}

// makeKey makes the key pair with which the node pulls, and the name by which people may look
// for its public half.
func (n *initer) makeKey(context.Context) error {
	path := n.l.Key()
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = n.makeKeyPair(path)
	}
	if err != nil {
		return err
	}
	link := filepath.Join(filepath.Dir(path), usualKey)
	err = os.Symlink(filepath.Base(path)+".pub", link)
	if errors.Is(err, fs.ErrExist) { // it is ours, or the administrator's own
		return nil
	}
	if err != nil {
		return fmt.Errorf("nodeside: naming the node's key: %w", err)
	}
	n.did("made %s", link)
	return nil
}

// showName lets members of the group read the node's name, which early nodes kept to themselves.
func (n *initer) showName(context.Context) error {
	info, err := os.Stat(n.l.hostFile())
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode().Perm() == hostMode {
		return nil
	}
	if err == nil {
		err = os.Chmod(n.l.hostFile(), hostMode)
	}
	if err != nil {
		return fmt.Errorf("nodeside: letting the node's name be read: %w", err)
	}
	n.did("changed the mode of %s", n.l.hostFile())
	return nil
}

// usualKey is where the public key of an RSA pair would be: the name that the documents which
// troops began with tell people to look for.
const usualKey = "id_rsa.pub"

func (n *initer) makeKeyPair(path string) error {
	public, private, err := newKey()
	if err != nil {
		return fmt.Errorf("nodeside: making the node's key: %w", err)
	}
	// The public half first: a private key without it would never get one.
	if err := n.writeFile(path+".pub", public, 0o644); err != nil {
		return err
	}
	return n.writeFile(path, private, 0o600)
}

func newKey() (public, private string, err error) {
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", "", err
	}
	host, err := os.Hostname()
	if err != nil {
		return "", "", err
	}
	block, err := ssh.MarshalPrivateKey(priv, "troops@"+host)
	if err != nil {
		return "", "", err
	}
	key, err := ssh.NewPublicKey(pub)
	if err != nil {
		return "", "", err
	}
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
	return line + " troops@" + host + "\n", string(pem.EncodeToMemory(block)), nil
}
