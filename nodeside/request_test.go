package nodeside

import (
	"strings"
	"testing"
)

const (
	goodRun = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
	goodOID = "0123456789abcdef0123456789abcdef01234567"
)

func request(run, commit, branch, host, by string) string {
	return `{"run":"` + run + `","commit":"` + commit + `","branch":"` + branch + `","host":"` + host + `","by":"` + by + `"}`
}

func TestParseRequest(t *testing.T) {
	good := request(goodRun, goodOID, "refs/heads/master", "ubuntu@h.example.com:22", "tv@laptop")
	for _, test := range []struct{ name, in, err string }{
		{"good", good, ""},
		{"sha256", request(goodRun, goodOID+goodOID[:24], "refs/heads/a/b", "", ""), ""},
		{"empty", "", "malformed"},
		{"two", good + good, "more than one"},
		{"garbage after", good + "x", "more than one"},
		{"unknown field", `{"run":"x","dir":"/"}`, "malformed"},
		{"array", `[]`, "malformed"},
		{"too long", request(goodRun, goodOID, "refs/heads/"+strings.Repeat("a", MaxRequest), "", ""), "longer"},
		{"lower case run", request(strings.ToLower(goodRun), goodOID, "refs/heads/m", "", ""), "ULID"},
		{"run as path", request("../../etc", goodOID, "refs/heads/m", "", ""), "ULID"},
		{"short commit", request(goodRun, "abc", "refs/heads/m", "", ""), "object name"},
		{"option as commit", request(goodRun, "--output=/etc/passwd", "refs/heads/m", "", ""), "object name"},
		{"upper case commit", request(goodRun, strings.ToUpper(goodOID), "refs/heads/m", "", ""), "object name"},
		{"tag", request(goodRun, goodOID, "refs/tags/m", "", ""), "branch"},
		{"host with space", request(goodRun, goodOID, "refs/heads/m", "a b", ""), "user@"},
		{"host as option", request(goodRun, goodOID, "refs/heads/m", "-oProxyCommand=x", ""), "user@"},
		{"by with escape", request(goodRun, goodOID, "refs/heads/m", "", `\u001b[2J`), "who asks"},
		{"pull", `{"run":"` + goodRun + `","by":"tv@laptop","pull":true,"now":true}`, ""},
		{"pull by an escape", `{"run":"` + goodRun + `","by":"\u001b[2J","pull":true}`, "who asks"},
		{"pull on an option", `{"run":"` + goodRun + `","host":"-oProxyCommand=x","pull":true}`, "user@"},
		{"pull of a commit", strings.TrimSuffix(good, "}") + `,"pull":true}`, "nothing else"},
		{"now without pull", strings.TrimSuffix(good, "}") + `,"now":true}`, "nothing else"},
		{"rerun", strings.TrimSuffix(good, "}") + `,"rerun":true,"force":"` + goodOID + `"}`, ""},
		{"force no commit", strings.TrimSuffix(good, "}") + `,"force":"HEAD^"}`, "take away"},
		{"cancel", `{"run":"` + goodRun + `","by":"tv@laptop","cancel":true}`, ""},
		{"cancel no run", `{"run":"..","cancel":true}`, "ULID"},
		{"cancel by an escape", `{"run":"` + goodRun + `","by":"\u001b[2J","cancel":true}`, "who asks"},
		{"cancel and deploy", strings.TrimSuffix(good, "}") + `,"cancel":true}`, "nothing but its name"},
		{"checks by force", strings.TrimSuffix(good, "}") + `,"check":true,"rerun":true}`, "nothing again"},
		{"by too long", request(goodRun, goodOID, "refs/heads/m", "", strings.Repeat("x", 201)), "who asks"},
	} {
		q, err := ParseRequest(strings.NewReader(test.in))
		if test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
			t.Errorf("%s: %v", test.name, err)
		}
		if test.name == "good" && q.Host != "h.example.com" {
			t.Errorf("host %q", q.Host)
		}
	}
}

func TestHostName(t *testing.T) {
	long := strings.Repeat("h", maxHostPart)
	for in, want := range map[string]string{
		long: long, long + "h": "", long + "@h": "h", "u" + long + "@h": "",
		"h": "h", "h-1.example.com": "h-1.example.com", "h:22": "h", "u@h": "h", "u@h:2222": "h", "1.2.3.4:5": "1.2.3.4",
		"::1": "::1", "[::1]:22": "::1", "[fe80::1]": "fe80::1", "a@b@h": "h",
		"": "", "-h": "", ".h": "", "h:": "", "h:x": "", "@h": "", "u@": "", "h h": "", "h;x": "", "h%x": "", "h\n": "", "[::1": "", "[h]": "",
		"h:123456": "", "$(x)": "", "h/x": "", "[::1]x": "", "-u@h": "", "h\x00": "",
	} {
		got, err := hostName(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}

func TestValidBranch(t *testing.T) {
	for _, good := range []string{"master", "a/b", "v1.0", "feature/ä-1", "x@y"} {
		if !validBranch(branchPrefix + good) {
			t.Errorf("%q is refused", good)
		}
	}
	for _, bad := range []string{"", "/", "a/", "/a", "a//b", "a..b", ".a", "a/.b", "a.lock", "a.lock/b", "a b", "a~", "a^", "a:b", "a?", "a*", "a[", `a\b`, "a@{b", "a.", "-a", "a/-b", "a\x01", "a\x7f", "a\n", "\xff", strings.Repeat("a", 300)} {
		if validBranch(branchPrefix + bad) {
			t.Errorf("%q is accepted", bad)
		}
	}
	if validBranch("refs/tags/x") || validBranch("master") {
		t.Error("accepts what is no branch")
	}
}

func FuzzParseRequest(f *testing.F) {
	f.Add(request(goodRun, goodOID, "refs/heads/master", "u@h:1", "me"))
	f.Add(`{"run":"` + goodRun + `","by":"me","pull":true,"now":true}`)
	f.Add(strings.TrimSuffix(request(goodRun, goodOID, "refs/heads/master", "u@h:1", "me"), "}") + `,"rerun":true,"force":"` + goodOID + `"}`)
	f.Add(`{"run":1}`)
	f.Fuzz(func(t *testing.T, in string) {
		q, err := ParseRequest(strings.NewReader(in))
		if err != nil {
			return
		}
		if strings.ContainsAny(q.Run+q.Commit+q.Host, "/ \n\x00") || strings.ContainsAny(q.Branch+q.By, "\n\x00\x1b") {
			t.Errorf("accepted %+v", q)
		}
		for _, arg := range []string{q.Run, q.Commit, q.Branch, q.Host, q.Force} {
			if strings.HasPrefix(arg, "-") {
				t.Errorf("accepted %q, which looks like an option", arg)
			}
		}
	})
}
