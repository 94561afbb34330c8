package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Section 3 of the page: notes, the keys that sign them, checkpoints, and the files in which anchors stand.

const maxSignatures = 16

// decodeBase64 takes only the one way to write given bytes: no line breaks (which the decoder would skip), no bits set
// behind the last byte.
func decodeBase64(s string) ([]byte, bool) {
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	return b, err == nil && base64.StdEncoding.EncodeToString(b) == s
}

func decodeHash(s string) (hash, bool) {
	b, ok := decodeBase64(s)
	if !ok || len(b) != len(hash{}) {
		return hash{}, false
	}
	return hash(b), true
}

// decodeHex takes lower-case digits only, and exactly those of length bytes.
func decodeHex(s string, length int) ([]byte, bool) {
	b, err := hex.DecodeString(s)
	return b, err == nil && len(b) == length && hex.EncodeToString(b) == s
}

// signerID is that by which a signature line says who signed.
type signerID struct {
	name  string
	keyID [4]byte
}

func validName(name string) bool {
	return name != "" && !strings.ContainsRune(name, '+') && strings.IndexFunc(name, unicode.IsSpace) < 0
}

// note is a note as it stands there; nothing about its signatures has been checked.
type note struct {
	text       string // with its last line break
	signatures []signature
}

type signature struct {
	signerID
	bytes []byte
}

func parseNote(content string) (note, error) {
	if !utf8.ValidString(content) {
		return note{}, errors.New("not UTF-8")
	}
	if strings.ContainsFunc(content, func(r rune) bool { return unicode.IsControl(r) && r != '\n' }) {
		return note{}, errors.New("a control character")
	}
	empty := strings.LastIndex(content, "\n\n")
	if empty < 0 {
		return note{}, errors.New("no empty line")
	}
	n := note{text: content[:empty+1]}
	lines, err := splitLines(content[empty+2:])
	if err != nil {
		return note{}, err
	}
	if len(lines) > maxSignatures {
		return note{}, errors.New("more than 16 signature lines")
	}
	for i, line := range lines {
		s, ok := parseSignature(line)
		if !ok {
			return note{}, fmt.Errorf("signature line %d: not one", i+1)
		}
		n.signatures = append(n.signatures, s)
	}
	return n, nil
}

func parseSignature(line string) (signature, bool) {
	rest, isOne := strings.CutPrefix(line, "\u2014 ")
	name, encoded, _ := strings.Cut(rest, " ")
	b, ok := decodeBase64(encoded)
	// How long a signature is depends on its key, which may be another's of another kind: it is only not empty.
	if !isOne || !ok || !validName(name) || len(b) <= 4 {
		return signature{}, false
	}
	return signature{signerID{name, [4]byte(b)}, b[4:]}, true
}

// splitLines divides a text whose every line ends with a line break.
func splitLines(text string) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	body, ok := strings.CutSuffix(text, "\n")
	if !ok {
		return nil, errors.New("the last line does not end with a line break")
	}
	return strings.Split(body, "\n"), nil
}

// signers gives the trusted keys that signed the note. It is an error if a line says it is by one of them and is not.
func (n note) signers(keys keyring) ([]trustedKey, error) {
	var signers []trustedKey
	for i, s := range n.signatures {
		key, ok := keys[s.signerID]
		if !ok {
			continue
		}
		if !ed25519.Verify(key.public, []byte(n.text), s.bytes) { // false, too, if it is not 64 bytes long
			return nil, fmt.Errorf("signature line %d: wrong", i+1)
		}
		signers = append(signers, key)
	}
	return signers, nil
}

// trustedKey is a key of the log, which is the log's from since until before until; nil is no bound.
type trustedKey struct {
	public       ed25519.PublicKey
	since, until *time.Time
}

func (k trustedKey) validAt(t time.Time) bool {
	return (k.since == nil || !t.Before(*k.since)) && (k.until == nil || t.Before(*k.until))
}

// keyring has the trusted keys. Without any, nothing is signed by one.
type keyring map[signerID]trustedKey

// parseKeys reads a list of trusted keys. A list that is there, but empty, is wrong.
func parseKeys(text string) (keyring, error) {
	if !utf8.ValidString(text) {
		return nil, errors.New("not UTF-8")
	}
	keys := keyring{}
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if len(fields) > 3 {
			return nil, fmt.Errorf("line %d: not a key with SINCE and UNTIL", i+1)
		}
		id, key, err := parseKey(fields[0])
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		for j, bound := range []**time.Time{&key.since, &key.until} {
			if len(fields) > 1+j {
				var ok bool
				if *bound, ok = parseBound(fields[1+j]); !ok {
					return nil, fmt.Errorf("line %d: SINCE or UNTIL is not RFC 3339", i+1)
				}
			}
		}
		if key.since != nil && key.until != nil && !key.since.Before(*key.until) {
			return nil, fmt.Errorf("line %d: SINCE is not before UNTIL", i+1)
		}
		if _, twice := keys[id]; twice {
			return nil, fmt.Errorf("line %d: a second key of this name and key id", i+1)
		}
		keys[id] = key
	}
	if len(keys) == 0 {
		return nil, errors.New("no key")
	}
	return keys, nil
}

// parseKey reads NAME+HEX(key id)+BASE64(0x01 || public key); the base64 may have a + of its own.
func parseKey(s string) (signerID, trustedKey, error) {
	parts := strings.SplitN(s, "+", 3)
	if len(parts) != 3 || !validName(parts[0]) {
		return signerID{}, trustedKey{}, errors.New("not a key")
	}
	name := parts[0]
	keyID, okID := decodeHex(parts[1], 4)
	tagged, okKey := decodeBase64(parts[2])
	if !okID || !okKey || len(tagged) != 1+ed25519.PublicKeySize || tagged[0] != 1 {
		return signerID{}, trustedKey{}, errors.New("not an Ed25519 key")
	}
	if sum := sha256.Sum256([]byte(name + "\n" + string(tagged))); string(sum[:4]) != string(keyID) {
		return signerID{}, trustedKey{}, errors.New("the key id is not that of the key")
	}
	return signerID{name, [4]byte(keyID)}, trustedKey{public: ed25519.PublicKey(tagged[1:])}, nil
}

func parseBound(s string) (*time.Time, bool) {
	if s == "-" {
		return nil, true
	}
	t, ok := parseTime(s)
	return &t, ok
}

// checkpoint is what a checkpoint says.
type checkpoint struct {
	origin string
	size   uint64
	root   hash
}

// parseCheckpoint reads a note that is a checkpoint.
func parseCheckpoint(content string) (checkpoint, note, error) {
	n, err := parseNote(content)
	if err != nil {
		return checkpoint{}, note{}, err
	}
	lines, err := splitLines(n.text)
	if err != nil {
		return checkpoint{}, note{}, err
	}
	if len(lines) != 3 {
		return checkpoint{}, note{}, errors.New("not three lines")
	}
	size, okSize := parseDecimal(lines[1])
	root, okRoot := decodeHash(lines[2])
	switch {
	case lines[0] == "":
		return checkpoint{}, note{}, errors.New("no origin")
	case !okSize:
		return checkpoint{}, note{}, errors.New("the size is not one")
	case !okRoot:
		return checkpoint{}, note{}, errors.New("the root is not one")
	}
	return checkpoint{lines[0], size, root}, n, nil
}

// parseAnchors gives the checkpoints by trusted keys that stand in a text, of whatever origin. What is not such a
// checkpoint does not count, be it another text, a note that is not in order or one that is wrongly signed.
func parseAnchors(text string, keys keyring) ([]checkpoint, error) {
	if !utf8.ValidString(text) {
		return nil, errors.New("not UTF-8")
	}
	var anchors []checkpoint
	add := func(content string) {
		c, n, err := parseCheckpoint(content)
		if err != nil {
			return
		}
		if signers, err := n.signers(keys); err == nil && len(signers) > 0 && c.size > 0 {
			anchors = append(anchors, c)
		}
	}
	lines := strings.SplitAfter(text, "\n")
	for i, line := range lines {
		// A note: here is its empty line, three lines stand before it, and signature lines behind.
		if line == "\n" && i >= 3 {
			end := i + 1
			for end < len(lines) && strings.HasPrefix(lines[end], "\u2014 ") {
				end++
			}
			add(strings.Join(lines[i-3:end], ""))
		}
		// A line of JSON, with something before it or not.
		if begin := strings.IndexByte(line, '{'); begin >= 0 {
			if v, err := parseJSON(line[begin:]); err == nil && v.get("note").kind == jsonString {
				add(v.get("note").text)
			}
		}
	}
	if len(anchors) == 0 {
		return nil, errors.New("no checkpoint by a trusted key")
	}
	return anchors, nil
}
