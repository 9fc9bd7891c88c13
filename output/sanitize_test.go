package output

import (
	"strings"
	"testing"
)

func TestSanitize(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"empty", "", ""},
		{"plain", "exit code 7: ~!@#", "exit code 7: ~!@#"},
		{"tab is kept", "a\tb", "a\tb"},
		{"line feed", "a\nb", `a\nb`},
		{"carriage return", "a\r\nb", `a^M\nb`},
		{"C0", "\x00\x07\x08\x1f", "^@^G^H^_"},
		{"VT and FF", "a\vb\fc", "a^Kb^Lc"},
		{"DEL", "a\x7fb", "a^?b"},
		{"C1", "a\u0085b\u009b31mc", "a<U+0085>b<U+009B>31mc"},
		{"C1 as a raw byte", "a\x9b31mb", "a\uFFFD31mb"},
		{"colours are dropped", "\x1b[1;31mred\x1b[0m", "red"},
		{"cursor", "\x1b[2J\x1b[1;1Hfake", "^[[2J^[[1;1Hfake"},
		{"title", "\x1b]0;pwned\x07", "^[]0;pwned^G"},
		{"hyperlink", "\x1b]8;;http://x\x1b\\y", "^[]8;;http://x^[\\y"},
		{"DCS", "\x1bP1$r\x1b\\", "^[P1$r^[\\"},
		{"lonely escape", "a\x1b", "a^["},
		{"incomplete colour", "a\x1b[31", "a^[[31"},
		{"private colour", "\x1b[?31m", "^[[?31m"},
		{"16 parameters", "\x1b[1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1mx", "x"},
		{"17 parameters", "\x1b[1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1mx", "^[[1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1mx"},
		{"17 with colons", "\x1b[1:1;1:1;1:1;1:1;1:1;1:1;1:1;1:1;1mx", "^[[1:1;1:1;1:1;1:1;1:1;1:1;1:1;1:1;1mx"},
		{"long parameters", "\x1b[" + strings.Repeat("0", 200) + "mx", "^[[" + strings.Repeat("0", 200) + "mx"},
		{"great number", "\x1b[99999999999999999999;38;5;1mx", "x"},
		{"concealed", "\x1b[8msecret", "^[[8msecret"},
		{"concealed among others", "\x1b[1;08msecret", "^[[1;08msecret"},
		{"concealed after a colour", "\x1b[38;5;3;8msecret", "^[[38;5;3;8msecret"},
		{"colour number 8", "\x1b[38;5;8;48;2;8;8;8mgrey", "grey"},
		{"colour with colons", "\x1b[38:5:8mgrey\x1b[4:3mcurl", "greycurl"},
		{"bidi", "a\u202eb\u2066c\u200fd\u061ce", "a<U+202E>b<U+2066>c<U+200F>d<U+061C>e"},
		{"separators", "a\u2028b\u2029c", "a<U+2028>b<U+2029>c"},
		{"zero width", "a\u200bb\u200cc\u200dd\u2060e\ufefff\u00adg", "a<U+200B>b<U+200C>c<U+200D>d<U+2060>e<U+FEFF>f<U+00AD>g"},
		{"fillers", "\u3164\u115f\u034f\u17b4\uffa0", "<U+3164><U+115F><U+034F><U+17B4><U+FFA0>"},
		{"tags", "a\U000E0041b", "a<U+E0041>b"},
		{"noncharacter", "a\uFFFEb", "a<U+FFFE>b"},
		{"invalid", "a\xffb\xc3(", "a\uFFFDb\uFFFD("},
		{"overlong", "\xc0\xaf", "\uFFFD\uFFFD"},
		{"surrogate", "\xed\xa0\x80", "\uFFFD\uFFFD\uFFFD"},
		{"cut character", "a\xe2\x82", "a\uFFFD\uFFFD"},
		{"letters", "Grüße, мир, 世界, ゲーム, 한글, שלום, ไทย, हिन्दी", "Grüße, мир, 世界, ゲーム, 한글, שלום, ไทย, हिन्दी"},
		{"symbols", "✔ ── 🎉 ½ € 1⃣", "✔ ── 🎉 ½ € 1⃣"},
		{"emoji form", "✔\ufe0f #\ufe0f", "✔\ufe0f #\ufe0f"},
		{"selector out of place", "\ufe0f a\ufe0f ✔\ufe0f\ufe0f \U000E0100", "<U+FE0F> a<U+FE0F> ✔\ufe0f<U+FE0F> <U+E0100>"},
		{"combining", "e\u0301", "e\u0301"},
		{"combining first", "\u0301e", "<U+0301>e"},
		{"combining after colour only", "\x1b[31m\u0301e", "<U+0301>e"},
		{"combining without end", "e" + strings.Repeat("\u0301", 9), "e" + strings.Repeat("\u0301", 8) + "<U+0301>"},
		{"Arabic number sign", "\u0600١", "\u0600١"},
		{"private use", "\ue0b0", "\ue0b0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Sanitize(tt.in); got != tt.want {
				t.Errorf("Sanitize(%q)\n got %q\nwant %q", tt.in, got, tt.want)
			}
		})
	}
}

func TestCleanColours(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"kept and ended", "\x1b[31mred", "\x1b[31mred\x1b[0m"},
		{"ended by the node", "\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"},
		{"ended in short", "\x1b[31mred\x1b[m", "\x1b[31mred\x1b[m"},
		{"reset and more", "\x1b[0;1mbold", "\x1b[0;1mbold\x1b[0m"},
		{"reset, then again", "\x1b[31ma\x1b[0mb\x1b[4mc", "\x1b[31ma\x1b[0mb\x1b[4mc\x1b[0m"},
		{"reset in many zeros", "\x1b[31ma\x1b[000m", "\x1b[31ma\x1b[000m"},
		{"two zeros are ended again", "\x1b[31ma\x1b[0;0m", "\x1b[31ma\x1b[0;0m\x1b[0m"},
		{"others stay visible", "\x1b[31ma\x1b[2Kb", "\x1b[31ma^[[2Kb\x1b[0m"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(appendClean(nil, []byte(tt.in), 0, true)); got != tt.want {
				t.Errorf("got %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestCleanCut(t *testing.T) {
	full := strings.Repeat("x", MaxLine)
	almost := full[:MaxLine-1]
	tests := []struct {
		name    string
		in      string
		cut     int64
		colours bool
		want    string
	}{
		{"fits", full, 0, false, full},
		{"one more", full + "y", 0, false, full + " [+1 bytes]"},
		{"cut before", full, 7, false, full + " [+7 bytes]"},
		{"cut before and here", full + "yz", 7, false, full + " [+9 bytes]"},
		{"wide at the edge", almost + "é", 0, false, almost + " [+2 bytes]"},
		{"half a character at the edge", almost + "\xc3", 4, false, almost + " [+5 bytes]"},
		{"grows by being visible", strings.Repeat("\x01", MaxLine), 0, false, strings.Repeat("^A", MaxLine/2) + " [+4096 bytes]"},
		{"code at the edge", almost + "\u202e", 0, false, almost + " [+3 bytes]"},
		{"colour over the edge", almost + "\x1b[31my", 0, true, almost + " [+6 bytes]"},
		{"colour is ended before the mark", "\x1b[31m" + full, 0, true, "\x1b[31m" + full[5:] + "\x1b[0m [+5 bytes]"},
		{"colour takes no room where it is dropped", "\x1b[31m" + full, 0, false, full},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dst := []byte("prefix ")
			if got := string(appendClean(dst, []byte(tt.in), tt.cut, tt.colours)); got != "prefix "+tt.want {
				t.Errorf("got %d bytes ending in %q, want %d ending in %q", len(got), got[max(0, len(got)-40):],
					len(tt.want)+7, tt.want[max(0, len(tt.want)-40):])
			}
		})
	}
}
