package gitwire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

const (
	oidA = OID("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
	oidB = OID("bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb")
	caps = "report-status side-band-64k delete-refs atomic push-options object-format=sha1 agent=git/2.40"
)

// pkt is a pkt-line.
func pkt(s string) string { return fmt.Sprintf("%04x%s", len(s)+4, s) }

// advertised is an advertisement of the lines, the first with capabilities.
func advertised(lines ...string) string {
	var b strings.Builder
	for i, l := range lines {
		if i == 0 {
			l += "\x00" + caps
		}
		b.WriteString(pkt(l + "\n"))
	}
	return b.String() + "0000"
}

func line(o OID, ref string) string { return string(o) + " " + ref }

func readAdv(s string) (*Advertisement, error) {
	_, adv, err := ReadAdvertisement(context.Background(), strings.NewReader(s))
	return adv, err
}

func TestAdvertisementIsTaken(t *testing.T) {
	long := "refs/heads/" + strings.Repeat("x/", 1500) + "x" // a line longer than the most of them
	sha256 := OID(strings.Repeat("c", 64))
	for _, tt := range []struct {
		name, in, want string
	}{
		{"refs", advertised(line(oidA, "refs/heads/a"), line(oidB, "refs/heads/b")), "refs/heads/a=a refs/heads/b=b"},
		{"no line feeds", pkt(line(oidA, "refs/heads/a")+"\x00"+caps) + "0000", "refs/heads/a=a"},
		{"HEAD", advertised(line(oidA, "HEAD"), line(oidB, "refs/heads/b")), "HEAD=a refs/heads/b=b"},
		{"empty", advertised(line(zeroSHA1, "capabilities^{}")), ""},
		{"empty with alternates", advertised(line(oidB, ".have"), line(oidA, ".have")), "have=b have=a"},
		{"empty and shallow", advertised(line(zeroSHA1, "capabilities^{}"), "shallow "+string(oidA)), "shallow=a"},
		{"no object-format", pkt(line(oidA, "refs/heads/a")+"\x00 report-status") + "0000", "refs/heads/a=a"},
		{"sha256", pkt(line(sha256, "refs/heads/a")+"\x00object-format=sha256") + "0000", "refs/heads/a=c"},
		{"NUL in a later line", advertised(line(oidA, "refs/heads/a"), line(oidB, "refs/heads/b")+"\x00x"), "refs/heads/a=a refs/heads/b=b"},
		{"long name", advertised(line(oidA, long)), long + "=a"},
		{"upper case length", "00" + "AF" + line(oidA, "refs/heads/") + strings.Repeat("n", 0xaf-4-52-7) + "\x00atomic" + "0000", "refs/heads/" + strings.Repeat("n", 0xaf-4-52-7) + "=a"},
	} {
		adv, err := readAdv(tt.in)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		var got []string
		for _, r := range adv.Refs {
			got = append(got, r.Name+"="+string(r.OID[:1]))
		}
		for _, o := range adv.Have {
			got = append(got, "have="+string(o[:1]))
		}
		for _, o := range adv.Shallow {
			got = append(got, "shallow="+string(o[:1]))
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, s, tt.want)
		}
	}
}

func TestAdvertisementIsRefused(t *testing.T) {
	sha256 := OID(strings.Repeat("c", 64))
	first := pkt(line(oidA, "refs/heads/a") + "\x00" + caps)
	for _, tt := range []struct {
		name, in string
		want     error // nil: one that wraps io.ErrUnexpectedEOF
		text     string
	}{
		{"ERR", pkt("ERR no such repository\n"), &RemoteError{}, "no such repository"},
		{"ERR without line feed after noise", "motd\n" + pkt("ERR denied"), &RemoteError{}, "denied"},
		{"ERR later", first + pkt("ERR died"), &RemoteError{}, "died"},
		{"escapes in ERR", pkt("ERR \x1b[2J"), &RemoteError{}, `"\x1b[2J"`},
		{"protocol 2", pkt("version 2\n") + pkt("agent=git/2\n") + "0000", &UnsupportedError{}, `version "2"`},
		{"second version line", first + pkt("version 1\n"), &ProtocolError{}, "no object name"},
		{"only a version", pkt("version 1\n") + "0000", &ProtocolError{}, "no capabilities"},
		{"ref without capabilities", pkt("version 1") + pkt(line(oidA, "refs/heads/a")) + "0000", &ProtocolError{}, "no capabilities"},
		{"unknown format", pkt(line(oidA, "refs/heads/a")+"\x00object-format=sha3") + "0000", &UnsupportedError{}, `"sha3"`},
		{"long name in sha1", first + pkt(line(sha256, "refs/heads/b")) + "0000", &ProtocolError{}, "format sha1"},
		{"short name in sha256", pkt(line(oidA, "refs/heads/a")+"\x00object-format=sha256") + "0000", &ProtocolError{}, "format sha256"},
		{"zero ref", first + pkt(line(zeroSHA1, "refs/heads/b")) + "0000", &ProtocolError{}, "no object name"},
		{"upper case name", first + pkt(strings.ToUpper(line(oidB, ""))+"refs/heads/b") + "0000", &ProtocolError{}, "no object name"},
		{"bad ref name", first + pkt(line(oidB, "refs/heads/../x")) + "0000", &ProtocolError{}, `"refs/heads/../x"`},
		{"escape in ref name", first + pkt(line(oidB, "refs/heads/\x1b[2J")) + "0000", &ProtocolError{}, `\x1b[2J`},
		{"no ref name", first + pkt(string(oidB)) + "0000", &ProtocolError{}, `""`},
		{"empty line", first + "0004" + "0000", &ProtocolError{}, "no object name"},
		{"ref after shallow", first + pkt("shallow "+string(oidA)) + pkt(line(oidB, "refs/heads/b")) + "0000", &ProtocolError{}, "after the last"},
		{"bad shallow", first + pkt("shallow x") + "0000", &ProtocolError{}, `"x"`},
		{"ref in an empty repository", pkt(line(zeroSHA1, "capabilities^{}")+"\x00"+caps) + pkt(line(oidB, "refs/heads/b")), &ProtocolError{}, "after the last"},
		{"capabilities^{} later", first + pkt(line(zeroSHA1, "capabilities^{}")), &ProtocolError{}, "no object name"},
		{"length 1", first + "0001", &ProtocolError{}, `"0001"`},
		{"length 3", first + "0003", &ProtocolError{}, `"0003"`},
		{"length beyond the limit", first + "fff1", &ProtocolError{}, `"fff1"`},
		{"no length", first + "Last login: never", &ProtocolError{}, `"Last"`},
		{"end in a line", first[:60], nil, "connection lost"},
		{"end between lines", first, nil, "connection lost"},
		{"end in a length", first + "00", nil, "connection lost"},
		{"nothing", "", &NoAdvertisementError{}, "said nothing: EOF"},
		{"a flush", "0000", &NoAdvertisementError{}, `"0000"`},
		{"words", "bash: git-receive-pack: command not found\n", &NoAdvertisementError{}, "command not found"},
		{"check sums", strings.Repeat(strings.Repeat("00ab", 16)+"  file\n", 3), &NoAdvertisementError{}, "00ab"},
		{"endless noise", strings.Repeat("00a0", NoiseLimit), &NoAdvertisementError{}, "no packet in 65536 bytes"},
		{"long noise", strings.Repeat("ä", 400), &NoAdvertisementError{}, "[cut]"},
	} {
		_, err := readAdv(tt.in)
		switch {
		case err == nil:
			t.Errorf("%s: taken", tt.name)
			continue
		case tt.want == nil && !errors.Is(err, io.ErrUnexpectedEOF):
			t.Errorf("%s: error %v", tt.name, err)
		case tt.want != nil && fmt.Sprintf("%T", err) != fmt.Sprintf("%T", tt.want):
			t.Errorf("%s: error %T, want %T", tt.name, err, tt.want)
		}
		if !strings.Contains(err.Error(), tt.text) || strings.ContainsAny(err.Error(), "\x1b\n") {
			t.Errorf("%s: error %q, want %q in it", tt.name, err, tt.text)
		}
	}
}

func TestNoise(t *testing.T) {
	adv := advertised(line(oidA, "refs/heads/a"))
	for _, noise := range []string{
		"", "\n", "Welcome\n", "no line feed", "0", "00", "000", "0000", "abc0", strings.Repeat("f", 64), strings.Repeat("f", 104) + " ",
		"000dversion", "0009ERR", strings.Repeat("00ab", 16) + " *refs/heads\n", strings.Repeat("x", NoiseLimit),
	} {
		for _, version := range []string{"", pkt("version 1\n")} {
			got, err := readAdv(noise + version + adv)
			if err != nil || string(got.Noise) != noise || len(got.Refs) != 1 {
				t.Errorf("noise %.50q: %+v, %v", noise, got, err)
			}
		}
	}
	if _, err := readAdv(strings.Repeat("x", NoiseLimit+1) + adv); err == nil {
		t.Error("more noise than the limit was taken")
	}
}

// TestEveryPrefix: wherever a server stops, there is an error, and every way of cutting up what it
// sends reads the same.
func TestEveryPrefix(t *testing.T) {
	s := "motd\n" + pkt("version 1\n") + advertised(line(oidA, "refs/heads/a"), line(oidB, ".have"), "shallow "+string(oidA))
	for n := range len(s) {
		if adv, err := readAdv(s[:n]); err == nil {
			t.Errorf("%d bytes of %d were taken: %+v", n, len(s), adv)
		}
	}
	_, adv, err := ReadAdvertisement(context.Background(), iotest.OneByteReader(strings.NewReader(s)))
	if err != nil || adv.Version != 1 || len(adv.Refs) != 1 || len(adv.Have) != 1 || len(adv.Shallow) != 1 {
		t.Errorf("byte by byte: %+v, %v", adv, err)
	}
}

func manyRefs(n int) string {
	lines := make([]string, n)
	for i := range lines {
		lines[i] = fmt.Sprintf("%040x refs/heads/branch-%d", i+1, i)
	}
	return advertised(lines...)
}

func TestManyRefs(t *testing.T) {
	adv, err := readAdv(manyRefs(100_000))
	if err != nil || len(adv.Refs) != 100_000 {
		t.Fatalf("100000 refs: %v", err)
	}
	if oid, ok := adv.Ref("refs/heads/branch-99999"); !ok || oid != OID(fmt.Sprintf("%040x", 100_000)) {
		t.Errorf("the last one is %s", oid)
	}
	if _, ok := adv.Ref("refs/heads/branch"); ok {
		t.Error("found a ref that is not there")
	}
	var p *ProtocolError
	first := advertised(line(oidA, "refs/heads/a"))
	more := &endless{packet: []byte(strings.Repeat(pkt(line(oidB, ".have")), 1000))}
	_, _, err = ReadAdvertisement(context.Background(), io.MultiReader(strings.NewReader(strings.TrimSuffix(first, "0000")), more))
	if !errors.As(err, &p) || !strings.Contains(p.Detail, "refs") {
		t.Errorf("endless refs: %v", err)
	}
}

// endless repeats a packet for ever.
type endless struct{ packet, rest []byte }

func (e *endless) Read(p []byte) (int, error) {
	if len(e.rest) == 0 {
		e.rest = e.packet
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

func TestAdvertisementHasAnEnd(t *testing.T) {
	long := pkt(line(oidA, "refs/heads/a") + "\x00" + strings.Repeat("c", 60000))
	_, _, err := ReadAdvertisement(context.Background(), &endless{packet: []byte(long)})
	var p *ProtocolError
	if !errors.As(err, &p) || !strings.Contains(p.Detail, "longer than") {
		t.Errorf("error %v", err)
	}
}

func TestAdvertisementIsCancelled(t *testing.T) {
	stop := errors.New("stopped by the test")
	for _, sent := range []string{"", "00", "noise", pkt("version 1\n")} {
		ctx, cancel := context.WithCancelCause(context.Background())
		r, w := io.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = io.WriteString(w, sent) // returns when it has been read
			cancel(stop)
		}()
		if _, _, err := ReadAdvertisement(ctx, r); !errors.Is(err, stop) {
			t.Errorf("after %q: error %v", sent, err)
		}
		<-done
	}
}

func TestCaps(t *testing.T) {
	c := Caps{"a", "b=1", "b=2", "c="}
	for name, want := range map[string]string{"a": "true ", "b": "true 1", "c": "true ", "d": "false "} {
		v, ok := c.Value(name)
		if got := fmt.Sprint(ok, " ", v); got != want || c.Has(name) != ok {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func FuzzAdvertisement(f *testing.F) {
	f.Add([]byte(advertised(line(oidA, "refs/heads/a"), line(oidB, ".have"), "shallow "+string(oidA))))
	f.Add([]byte("motd\n" + pkt("version 1\n") + advertised(line(zeroSHA1, "capabilities^{}"))))
	f.Add([]byte(pkt("ERR no\n")))
	f.Add([]byte(strings.Repeat("00ab", 40) + " refs/"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, adv, err := ReadAdvertisement(context.Background(), bytes.NewReader(b))
		_, again, err2 := ReadAdvertisement(context.Background(), iotest.OneByteReader(bytes.NewReader(b)))
		if fmt.Sprint(adv, err) != fmt.Sprint(again, err2) {
			t.Errorf("byte by byte it reads differently:\n%v %v\n%v %v", adv, err, again, err2)
		}
		if err != nil {
			return
		}
		if !bytes.HasPrefix(b, adv.Noise) {
			t.Errorf("noise %q is not what came first", adv.Noise)
		}
		for _, r := range adv.Refs {
			if r.Name != "HEAD" && !ValidRef(r.Name) || !r.OID.Valid() || r.OID.IsZero() || r.OID.Format() != adv.ObjectFormat {
				t.Errorf("took ref %+v", r)
			}
		}
	})
}

func BenchmarkAdvertisement(b *testing.B) {
	for _, n := range []int{25, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			in := []byte(manyRefs(n))
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := ReadAdvertisement(context.Background(), bytes.NewReader(in)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
