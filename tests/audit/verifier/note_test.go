package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
	"time"
)

// signer is a key of the tests.
type signer struct {
	name    string
	private ed25519.PrivateKey
}

func newSigner(name string, seed byte) signer {
	return signer{name, ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(rune(seed)), 32)))}
}

func (s signer) public() []byte { return s.private.Public().(ed25519.PublicKey) }

func (s signer) keyID() []byte {
	sum := sha256.Sum256(append([]byte(s.name+"\n\x01"), s.public()...))
	return sum[:4]
}

// key is the key as a list of trusted keys has it.
func (s signer) key() string {
	return s.name + "+" + hex.EncodeToString(s.keyID()) + "+" + base64.StdEncoding.EncodeToString(append([]byte{1}, s.public()...))
}

func (s signer) line(text string) string {
	return "\u2014 " + s.name + " " + base64.StdEncoding.EncodeToString(append(s.keyID(), ed25519.Sign(s.private, []byte(text))...)) + "\n"
}

// signNote is the text as a note signed by each of the signers.
func signNote(text string, signers ...signer) string {
	content := text + "\n"
	for _, s := range signers {
		content += s.line(text)
	}
	return content
}

func mustKeys(t testing.TB, list string) keyring {
	t.Helper()
	keys, err := parseKeys(list)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// The example of Go's own package for signed notes.
func TestKnownNote(t *testing.T) {
	keys := mustKeys(t, "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
	text := "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
	line := "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
	n, err := parseNote(text + "\n" + line)
	if err != nil || n.text != text {
		t.Fatal(n, err)
	}
	if signers, err := n.signers(keys); err != nil || len(signers) != 1 {
		t.Error(signers, err)
	}
	n.text = strings.Replace(text, "think", "thimk", 1)
	if signers, err := n.signers(keys); err == nil {
		t.Error("another text:", signers)
	}
}

func TestSigners(t *testing.T) {
	a, b, stranger := newSigner("a.example/log", 'a'), newSigner("b", 'b'), newSigner("a.example/log", 's')
	keys := mustKeys(t, a.key()+"\n"+b.key()+"\n")
	text := "one\n"
	corrupt := strings.Replace(a.line(text), "\u2014 a.example/log ", "", 1)
	raw, _ := base64.StdEncoding.DecodeString(strings.TrimSpace(corrupt))
	withBytes := func(raw []byte) string {
		return "\u2014 a.example/log " + base64.StdEncoding.EncodeToString(raw) + "\n"
	}
	flipped := append([]byte(nil), raw...)
	flipped[67] ^= 1
	otherID := append([]byte(nil), raw...)
	otherID[0] ^= 1
	for _, c := range []struct {
		what, lines string
		signers     int // -1: wrong
	}{
		{"one", a.line(text), 1},
		{"two", a.line(text) + b.line(text), 2},
		{"with a stranger", stranger.line(text) + a.line(text), 1},
		{"only a stranger", stranger.line(text), 0},
		{"the same twice", a.line(text) + a.line(text), 2},
		{"one right, one wrong", b.line(text) + withBytes(flipped), -1},
		{"of another text", a.line("two\n"), -1},
		{"a signature cut short", withBytes(raw[:67]), -1},
		{"a longer signature", withBytes(append(raw[:68:68], 0)), -1},
		{"another key id", withBytes(otherID), 0},
		{"another name", strings.Replace(a.line(text), "a.example", "b.example", 1), 0},
	} {
		n, err := parseNote(text + "\n" + c.lines)
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		signers, err := n.signers(keys)
		if (err != nil) != (c.signers < 0) || err == nil && len(signers) != c.signers {
			t.Errorf("%s: %d, %v", c.what, len(signers), err)
		}
	}
}

func TestFormOfNotes(t *testing.T) {
	a := newSigner("a", 'a')
	line := a.line("x\n")
	for what, content := range map[string]string{
		"plain":                 "x\n\n" + line,
		"an empty line in it":   "x\n\ny\n\n" + line,
		"two empty lines":       "x\n\n\n" + line,
		"16 signatures":         "x\n\n" + strings.Repeat(line, 16),
		"a short signature":     "x\n\n\u2014 b AAAAAAA=\n",
		"other line separators": "x\u2028y\n\n" + line,
	} {
		if _, err := parseNote(content); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, content := range map[string]string{
		"empty":                        "",
		"no empty line":                "x\n" + line,
		"no text":                      "\n" + line,
		"no line break at the end":     "x\n\n" + strings.TrimSuffix(line, "\n"),
		"17 signatures":                "x\n\n" + strings.Repeat(line, 17),
		"text behind":                  "x\n\n" + line + "y\n",
		"a hyphen":                     "x\n\n" + strings.Replace(line, "\u2014", "-", 1),
		"an en dash":                   "x\n\n" + strings.Replace(line, "\u2014", "\u2013", 1),
		"two spaces":                   "x\n\n" + strings.Replace(line, " a ", " a  ", 1),
		"a space before":               "x\n\n " + line,
		"a space behind":               "x\n\n" + strings.TrimSuffix(line, "\n") + " \n",
		"a name with plus":             "x\n\n" + strings.Replace(line, " a ", " a+b ", 1),
		"a name with a no-break space": "x\n\n" + strings.Replace(line, " a ", " a\u00a0b ", 1),
		"a name with a line separator": "x\n\n" + strings.Replace(line, " a ", " a\u2028b ", 1),
		"no name":                      "x\n\n" + strings.Replace(line, " a ", "  ", 1),
		"only a key id":                "x\n\n\u2014 b AAAAAA==\n",
		"no base64":                    "x\n\n\u2014 b\n",
		"bits behind the last byte":    "x\n\n\u2014 b AAAAAAB=\n",
		"no padding":                   "x\n\n\u2014 b AAAAAAA\n",
		"URL alphabet":                 "x\n\n\u2014 b AAAAAA-_\n",
		"carriage return":              "x\r\n\n" + line,
		"carriage return in base64":    "x\n\n\u2014 b AAAA\rAAA=\n",
		"tab":                          "x\ty\n\n" + line,
		"delete":                       "x\x7f\n\n" + line,
		"next line":                    "x\u0085\n\n" + line,
		"zero":                         "x\x00\n\n" + line,
		"not UTF-8":                    "x\xff\n\n" + line,
	} {
		if n, err := parseNote(content); err == nil {
			t.Errorf("%s: %v", what, n)
		}
	}
}

func TestFormOfCheckpoints(t *testing.T) {
	a := newSigner("a", 'a')
	root := base64.StdEncoding.EncodeToString(make([]byte, 32))
	for _, text := range []string{"o\n0\n" + root + "\n", "an origin\n9999999999999999\n" + root + "\n"} {
		if _, _, err := parseCheckpoint(signNote(text, a)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{
		"\n1\n" + root + "\n", "o\n1\n", "o\n1\n" + root + "\nmore\n", "o\n1\n" + root + "\n\n",
		"o\n\n" + root + "\n", "o\n01\n" + root + "\n", "o\n+1\n" + root + "\n", "o\n1_0\n" + root + "\n", "o\n-0\n" + root + "\n", "o\n1 \n" + root + "\n",
		"o\n10000000000000000\n" + root + "\n", "o\n1e1\n" + root + "\n", "o\n0x1\n" + root + "\n", "o\n\u0661\n" + root + "\n",
		"o\n1\n" + root[:43] + "\n", "o\n1\n" + root + " \n", "o\n1\n" + strings.Replace(root, "A=", "B=", 1) + "\n",
		"o\n1\n" + base64.StdEncoding.EncodeToString(make([]byte, 31)) + "\n", "o\n1\n" + base64.StdEncoding.EncodeToString(make([]byte, 33)) + "\n",
	} {
		if c, _, err := parseCheckpoint(signNote(text, a)); err == nil {
			t.Errorf("%q: %v", text, c)
		}
	}
}

func TestKeyLists(t *testing.T) {
	a, b := newSigner("a", 'a'), newSigner("b", 'b')
	for _, list := range []string{
		a.key(), a.key() + " -", a.key() + " 2026-01-01T00:00:00Z", a.key() + "\n" + b.key() + "\n", "# mine\n\n " + a.key() + "\t# comment\n" + b.key() + " - -\r\n",
		a.key() + " 2026-01-01T00:00:00Z 2026-06-01T00:00:00+02:00 # until summer", a.key() + " - 2026-01-01T00:00:00Z", a.key() + " 2026-01-01T00:00:00Z -",
	} {
		if _, err := parseKeys(list); err != nil {
			t.Errorf("%q: %v", list, err)
		}
	}
	upper := "a+" + strings.ToUpper(hex.EncodeToString(a.keyID())) + a.key()[10:]
	otherType := "a+" + hex.EncodeToString(a.keyID()) + "+" + base64.StdEncoding.EncodeToString(append([]byte{2}, a.public()...))
	for _, list := range []string{
		"", "# nothing\n", "x", a.key() + " x", a.key() + " - - -", a.key() + " 2026-01-01 -", a.key() + " now -", a.key() + "\n" + a.key(),
		a.key() + " 2026-01-01T00:00:00Z 2026-01-01T00:00:00Z", "b" + a.key()[1:], upper, otherType, a.key()[:len(a.key())-4], a.key() + "AAAA",
		"a+b" + a.key()[1:], "+" + a.key(), a.key() + "\xff", "# \xff\n" + a.key(),
	} {
		if list == upper && upper == a.key() {
			t.Fatal("the key id of the test has no letters")
		}
		if keys, err := parseKeys(list); err == nil {
			t.Errorf("%q: %v", list, keys)
		}
	}
	keys := mustKeys(t, a.key()+" 2026-01-01T00:00:00Z 2026-06-01T00:00:00Z")
	for _, key := range keys {
		for at, want := range map[string]bool{
			"2025-12-31T23:59:59.999999999Z": false, "2026-01-01T00:00:00Z": true, "2026-05-31T23:59:59.999999999Z": true,
			"2026-06-01T00:00:00Z": false, "2026-01-01T00:30:00+01:00": false,
		} {
			instant, _ := parseTime(at)
			if key.validAt(instant) != want {
				t.Errorf("valid at %s: %v", at, !want)
			}
		}
		if key.since.Equal(time.Time{}) {
			t.Error("since was not read")
		}
	}
}

func TestAnchorFiles(t *testing.T) {
	a, stranger := newSigner("a", 'a'), newSigner("s", 's')
	keys := mustKeys(t, a.key())
	root := base64.StdEncoding.EncodeToString(make([]byte, 32))
	one, two := signNote("o\n1\n"+root+"\n", a), signNote("o\n2\n"+root+"\n", stranger, a)
	foreign, wrong := signNote("o\n3\n"+root+"\n", stranger), strings.Replace(one, "\n1\n", "\n4\n", 1)
	inJSON := func(note string) string {
		return `{"a":{"note":7},"note":"` + strings.ReplaceAll(note, "\n", `\n`) + `"}`
	}
	for _, c := range []struct {
		what, text string
		sizes      []uint64
	}{
		{"one", one, []uint64{1}},
		{"one after the other", one + two + one, []uint64{1, 2, 1}},
		{"with text between", "Sealed on Monday:\n\n" + one + "\nand\n\n\n" + two + "bye", []uint64{1, 2}},
		{"JSON", inJSON(one) + "\n" + inJSON(two), []uint64{1, 2}},
		{"JSON behind something", "2026-11-23T12:00:00Z info " + inJSON(two) + "\r\n" + one, []uint64{2, 1}},
		{"others beside it", foreign + wrong + inJSON(foreign) + "\n" + inJSON(wrong) + "\n" + one, []uint64{1}},
		{"more than three lines", "more\n" + one + two, []uint64{1, 2}},
		{"only another's", foreign, nil},
		{"only a wrong one", wrong, nil},
		{"cut off", strings.TrimSuffix(one, "\n"), nil},
		{"a note of four lines", signNote("more\no\n1\n"+root+"\n", a), nil},
		{"JSON with something behind", inJSON(one) + " x", nil},
		{"JSON with a key twice", strings.Replace(inJSON(one), `"a"`, `"note"`, 1), nil},
		{"JSON with another key", strings.Replace(inJSON(one), `"note":"`, `"Note":"`, 1), nil},
		{"a string", inJSON(one)[16 : len(inJSON(one))-1], nil},
		{"empty", "", nil},
		{"not UTF-8", one + "\xff", nil},
	} {
		anchors, err := parseAnchors(c.text, keys)
		if (err != nil) != (c.sizes == nil) || len(anchors) != len(c.sizes) {
			t.Errorf("%s: %v, %v", c.what, anchors, err)
			continue
		}
		for i, anchor := range anchors {
			if anchor.size != c.sizes[i] {
				t.Errorf("%s: %v", c.what, anchors)
			}
		}
	}
	if _, err := parseAnchors(one, nil); err == nil {
		t.Error("without trusted keys no anchor counts")
	}
}
