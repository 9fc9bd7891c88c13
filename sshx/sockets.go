package sshx

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/fsnotify/fsnotify"
)

// maxSocketDir is how long the path of the directory of control sockets may be: the address
// of a socket has room for 104 bytes or a few more, and ssh makes it under a longer name first.
const maxSocketDir = 70

// socketDir is the private directory of the control sockets of a Client's masters. It tells
// who waits for a socket when that is there.
type socketDir struct {
	mu      sync.Mutex
	path    string // empty until it is needed
	watcher *fsnotify.Watcher
	last    int
	waiting map[string]chan struct{} // by path; closed when the socket is there
	wg      sync.WaitGroup
}

// reserve gives the path of a socket that a program is about to make, and a channel that is
// closed once it is there. Call forget in the end.
func (d *socketDir) reserve() (path string, made <-chan struct{}, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.path == "" {
		if err := d.open(); err != nil {
			return "", nil, fmt.Errorf("making a directory for control sockets: %w", err)
		}
	}
	d.last++
	path = filepath.Join(d.path, strconv.Itoa(d.last))
	ch := make(chan struct{})
	d.waiting[path] = ch
	return path, ch, nil
}

// open makes the directory and watches it. The caller holds mu.
func (d *socketDir) open() error {
	path, err := os.MkdirTemp(socketParent(os.TempDir()), "troops-")
	if err != nil {
		return err
	}
	w, err := fsnotify.NewWatcher()
	if err == nil {
		if err = w.Add(path); err != nil {
			err = errors.Join(err, w.Close())
		}
	}
	if err != nil {
		return errors.Join(err, os.Remove(path))
	}
	d.path, d.watcher, d.waiting = path, w, make(map[string]chan struct{})
	d.wg.Go(func() {
		for {
			select {
			case e, ok := <-w.Events:
				if !ok {
					return
				}
				d.appeared(e.Name)
			case _, ok := <-w.Errors: // events were lost
				if !ok {
					return
				}
				d.lookAgain()
			}
		}
	})
	return nil
}

// socketParent is the directory for temporary files, or /tmp where a socket would have too long
// a path there, or one that ssh would expand.
func socketParent(dir string) string {
	if len(dir) > maxSocketDir-len("/troops-0123456789") || strings.ContainsAny(dir, "%$~ \"'\\") {
		return "/tmp"
	}
	return dir
}

// appeared tells who waits for a path.
func (d *socketDir) appeared(path string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if ch, ok := d.waiting[path]; ok {
		if _, err := os.Lstat(path); err == nil {
			delete(d.waiting, path)
			close(ch)
		}
	}
}

// lookAgain looks for every socket that is waited for.
func (d *socketDir) lookAgain() {
	d.mu.Lock()
	var paths []string
	for p := range d.waiting {
		paths = append(paths, p)
	}
	d.mu.Unlock()
	for _, p := range paths {
		d.appeared(p)
	}
}

// forget removes a socket, where its program has not.
func (d *socketDir) forget(path string) {
	d.mu.Lock()
	delete(d.waiting, path)
	d.mu.Unlock()
	_ = os.Remove(path) // mostly it is gone
}

// close removes the directory.
func (d *socketDir) close() error {
	d.mu.Lock()
	path, w := d.path, d.watcher
	d.mu.Unlock()
	if path == "" {
		return nil
	}
	err := w.Close()
	d.wg.Wait()
	return errors.Join(err, os.RemoveAll(path))
}
