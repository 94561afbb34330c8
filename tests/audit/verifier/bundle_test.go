package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A tiny maker of bundles. What it makes can be changed at every step before it is hashed and signed.

const origin = "cluster.example/audit"

var (
	logKey   = newSigner("cluster.example/audit", 'l')
	otherKey = newSigner("witness.example", 'w')
)

// pack makes an archive, of whatever names.
func pack(files []file) []byte {
	var contents, directory []byte
	for _, f := range files {
		crc := crc32.ChecksumIEEE(f.content)
		directory = append(directory, makeEntry(f, crc, uint32(len(contents)))...)
		contents = append(append(contents, makeLocal(f, crc)...), f.content...)
	}
	at := len(contents)
	return append(append(contents, directory...), makeEnd(len(files), uint64(len(directory)), uint64(at))...)
}

// testLog is a log of which bundles are made.
type testLog struct {
	lines       []string
	disclosures map[int]string // by seq
	leaves      []hash
}

func newLog(size int) *testLog {
	l := &testLog{disclosures: map[int]string{}}
	for seq := 1; seq <= size; seq++ {
		body := `{"n":` + strconv.Itoa(seq) + `}`
		if seq%3 == 0 {
			salt := make([]byte, 16)
			salt[0] = byte(seq)
			text := fmt.Sprintf(`"value %d é"`, seq)
			sum := sha256.Sum256(append(salt[:16:16], text...))
			body = `{"committed":{"text":"` + hex.EncodeToString(sum[:]) + `"},"n":` + strconv.Itoa(seq) + `}`
			quoted, _ := json.Marshal(text)
			l.disclosures[seq] = fmt.Sprintf(`{"fields":{"text":["%x",%s]},"seq":%d}`, salt, quoted, seq)
		}
		l.lines = append(l.lines, fmt.Sprintf(
			`{"at":"2026-11-23T12:%02d:%02d.5Z","body":%s,"incident":%d,"kind":"test.record","remediation":null,"seq":%d}`,
			seq/60%60, seq%60, body, seq, seq))
		l.leaves = append(l.leaves, leafHash(l.lines[seq-1]))
	}
	return l
}

func encode(h hash) string { return base64.StdEncoding.EncodeToString(h[:]) }

// checkpoint is the checkpoint of the first size records.
func (l *testLog) checkpoint(size int, signers ...signer) string {
	return signNote(fmt.Sprintf("%s\n%d\n%s\n", origin, size, encode(plainRoot(l.leaves[:size]))), signers...)
}

func (l *testLog) growth(sizes ...int) string {
	text := ""
	for _, m := range sizes {
		text += fmt.Sprintf("size %d\n", m)
		for _, h := range plainConsistency(m, l.leaves, true) {
			text += encode(h) + "\n"
		}
	}
	return text
}

// files gives the files of a bundle of some records, without MANIFEST.
func (l *testLog) files(growth string, seqs ...int) []file {
	records, disclosures, proof := "", "", ""
	known := map[int]bool{}
	for _, seq := range seqs {
		known[seq-1] = true
		records += l.lines[seq-1] + "\n"
		if d := l.disclosures[seq]; d != "" {
			disclosures += d + "\n"
		}
	}
	for _, h := range plainProof(0, l.leaves, known) {
		proof += encode(h) + "\n"
	}
	return []file{
		{"checkpoint", []byte(l.checkpoint(len(l.lines), logKey))},
		{"records.jsonl", []byte(records)},
		{"disclosures.jsonl", []byte(disclosures)},
		{"proof", []byte(proof)},
		{"growth", []byte(growth)},
		{"read/me.html", []byte("<p>for people</p>")},
	}
}

func manifestText(files []file) string {
	text := "remediator.io/bundle/v1\n" + origin + "\nincident 7\n"
	for _, f := range files {
		text += fmt.Sprintf("%x %d %s\n", sha256.Sum256(f.content), len(f.content), f.name)
	}
	return text
}

// seal makes the bundle of some files.
func seal(files []file, signers ...signer) []byte {
	return pack(append(files[:len(files):len(files)], file{"MANIFEST", []byte(signNote(manifestText(files), signers...))}))
}

// change gives files of which one has another content.
func change(t *testing.T, files []file, name, old, new string) []file {
	t.Helper()
	changed := append([]file(nil), files...)
	for i, f := range changed {
		if f.name == name {
			content := strings.Replace(string(f.content), old, new, 1)
			if content == string(f.content) {
				t.Fatalf("%s has no %q", name, old)
			}
			changed[i].content = []byte(content)
		}
	}
	return changed
}

func mustAnchors(t testing.TB, keys keyring, text string) []checkpoint {
	t.Helper()
	anchors, err := parseAnchors(text, keys)
	if err != nil {
		t.Fatal(err)
	}
	return anchors
}

func TestAnswers(t *testing.T) {
	keys := mustKeys(t, logKey.key())
	l := newLog(21)
	longer := newLog(30)
	fork := newLog(21)
	fork.leaves[2][0] ^= 1
	all := make([]int, 21)
	for i := range all {
		all[i] = i + 1
	}
	growth := l.growth(21, 13, 8, 1)
	some := l.files(growth, 3, 4, 9, 21)
	foreign := strings.Replace(l.checkpoint(13), origin, "elsewhere", 1)
	foreign = signNote(strings.TrimSuffix(foreign, "\n"), logKey)
	unsignedCheckpoint := append([]file(nil), some...)
	unsignedCheckpoint[0].content = []byte(l.checkpoint(21, otherKey))

	for _, c := range []struct {
		what    string
		bundle  []byte
		anchors string
		want    answer
	}{
		{"no anchor", seal(some, logKey), "", incomplete},
		{"anchor of the same size", seal(some, logKey), l.checkpoint(21, logKey), verified},
		{"older anchor", seal(some, logKey), l.checkpoint(13, logKey), verified},
		{"older anchor, a power of two", seal(some, logKey), l.checkpoint(8, logKey), verified},
		{"anchor of one record", seal(some, logKey), l.checkpoint(1, logKey), verified},
		{"two histories of a size without block", seal(some, logKey), l.checkpoint(12, logKey) + fork.checkpoint(12, logKey), tampered},
		{"anchor without block", seal(some, logKey), l.checkpoint(12, logKey), incomplete},
		{"newer anchor", seal(some, logKey), longer.checkpoint(22, logKey), incomplete},
		{"newest anchor without block, older with", seal(some, logKey), l.checkpoint(13, logKey) + l.checkpoint(14, logKey), incomplete},
		{"newest anchor with block, older without", seal(some, logKey), l.checkpoint(12, logKey) + l.checkpoint(13, logKey), verified},
		{"anchor of a fork, same size", seal(some, logKey), fork.checkpoint(21, logKey), tampered},
		{"anchor of a fork, older", seal(some, logKey), fork.checkpoint(13, logKey), tampered},
		{"anchor of a fork, a power of two", seal(some, logKey), fork.checkpoint(8, logKey), tampered},
		{"an older of two of a fork", seal(some, logKey), fork.checkpoint(8, logKey) + l.checkpoint(13, logKey), tampered},
		{"an older of two of a fork, the newest too new", seal(some, logKey), fork.checkpoint(8, logKey) + longer.checkpoint(30, logKey), tampered},
		{"anchor of another origin", seal(some, logKey), foreign, incomplete},
		{"anchor of another origin and one of this", seal(some, logKey), foreign + l.checkpoint(8, logKey), verified},
		{"manifest by a stranger", seal(some, otherKey), l.checkpoint(21, logKey), unproven},
		{"manifest by a stranger, no anchor", seal(some, otherKey), "", unproven},
		{"manifest by a stranger, a fork", seal(some, otherKey), fork.checkpoint(21, logKey), tampered},
		{"manifest by both", seal(some, otherKey, logKey), l.checkpoint(21, logKey), verified},
		{"checkpoint by a stranger", seal(unsignedCheckpoint, logKey), l.checkpoint(21, logKey), unproven},
		{"all records", seal(l.files(growth, all...), logKey), l.checkpoint(21, logKey), verified},
		{"no records", seal(l.files(growth), logKey), l.checkpoint(21, logKey), verified},
		{"no growth", seal(l.files(""), logKey), l.checkpoint(21, logKey), verified},
		{"an empty log", seal(newLog(0).files(""), logKey), "", incomplete},
		{"nobody's manifest", seal(some), l.checkpoint(21, logKey), unproven},
		{"a log of one", seal(newLog(1).files("", 1), logKey), l.checkpoint(1, logKey), verified},
		{"not a bundle", []byte("hello"), "", tampered},
		{"nothing", nil, "", tampered},
		{"a database, though not by its path", []byte("SQLite format 3\x00"), "", tampered},
	} {
		var anchors []checkpoint
		if c.anchors != "" {
			anchors = mustAnchors(t, keys, c.anchors)
		}
		if got := verify(c.bundle, keys, anchors); got.answer != c.want {
			t.Errorf("%s: %s: %s", c.what, got.answer, got.reason)
		}
	}
	if _, err := parseAnchors(l.checkpoint(0, logKey), keys); err == nil {
		t.Error("an anchor of nothing counts")
	}
	if got := verify(seal(some, logKey), nil, nil); got.answer != unproven {
		t.Error("without keys:", got)
	}
}

// What an edit of a sealed bundle cannot reach: each change is sealed by the log's own key, so that all that can refuse it
// is what the page says about the content.
func TestSealedChanges(t *testing.T) {
	keys := mustKeys(t, logKey.key())
	l := newLog(21)
	anchors := mustAnchors(t, keys, l.checkpoint(13, logKey))
	good := l.files(l.growth(13, 8), 3, 4, 9, 21)
	if got := verify(seal(good, logKey), keys, anchors); got.answer != verified {
		t.Fatal(got)
	}
	zero := encode(hash{})
	for _, c := range []struct{ name, old, new string }{
		{"records.jsonl", `"n":4`, `"n":5`},
		{"records.jsonl", `"n":4`, `"n": 4`},
		{"records.jsonl", l.lines[3] + "\n", ""},
		{"records.jsonl", l.lines[3] + "\n", l.lines[3] + "\n" + l.lines[3] + "\n"},
		{"records.jsonl", l.lines[2] + "\n" + l.lines[3] + "\n", l.lines[3] + "\n" + l.lines[2] + "\n"},
		{"records.jsonl", l.lines[3] + "\n", l.lines[3] + "\n\n"},
		{"records.jsonl", l.lines[3] + "\n", l.lines[3] + "\r\n"},
		{"records.jsonl", l.lines[20] + "\n", l.lines[20]},
		{"records.jsonl", `"seq":21`, `"seq":22`},
		{"disclosures.jsonl", `value 9`, `value 8`},
		{"disclosures.jsonl", `["09`, `["08`},
		{"disclosures.jsonl", `"seq":9`, `"seq":8`},
		{"disclosures.jsonl", `{"text"`, `{"other"`},
		{"disclosures.jsonl", l.disclosures[9] + "\n", l.disclosures[9] + "\n" + l.disclosures[9] + "\n"},
		{"disclosures.jsonl", l.disclosures[3] + "\n" + l.disclosures[9] + "\n", l.disclosures[9] + "\n" + l.disclosures[3] + "\n"},
		{"disclosures.jsonl", l.disclosures[9] + "\n", l.disclosures[9] + "\n" + l.disclosures[12] + "\n"},
		{"disclosures.jsonl", l.disclosures[9] + "\n", l.disclosures[9] + "\n{\"fields\":{},\"seq\":10}\n"},
		{"disclosures.jsonl", l.disclosures[21] + "\n", l.disclosures[21]},
		{"proof", "\n", "\n" + zero + "\n"},
		{"proof", "=\n", "\n"},
		{"proof", "\n", "\n\n"},
		{"proof", "\n", "\r\n"},
		{"growth", "size 13\n", "size 12\n"},
		{"growth", "size 13\n", "size 013\n"},
		{"growth", "size 13\n", "size 22\n"},
		{"growth", "size 13\n", "size  13\n"},
		{"growth", "size 13\n", "\nsize 13\n"},
		{"growth", "size 13\n", zero + "\nsize 13\n"},
		{"growth", "size 13\n", "size 21\n" + zero + "\nsize 13\n"},
		{"growth", "size 13\n", "size 0\n" + zero + "\nsize 13\n"},
		{"growth", "size 13\n", "size 0\nsize 0\nsize 13\n"},
		{"growth", "size 13\n", "size 13\n" + zero + "\n"},
		{"growth", "size 8\n", "size 8\n" + zero + "\n"},
		{"checkpoint", "\n21\n", "\n22\n"},
		{"checkpoint", origin, "elsewhere"},
	} {
		if got := verify(seal(change(t, good, c.name, c.old, c.new), logKey), keys, anchors); got.answer != tampered {
			t.Errorf("%s, %q for %q: %s: %s", c.name, c.new, c.old, got.answer, got.reason)
		}
	}
	// A disclosure taken back leaves a bundle that holds.
	if got := verify(seal(change(t, good, "disclosures.jsonl", l.disclosures[9]+"\n", ""), logKey), keys, anchors); got.answer != verified {
		t.Error("a disclosure taken back:", got)
	}
	// A record the bundle does not show, and its hash in the proof instead, is a bundle that asked for less.
	if got := verify(seal(l.files(l.growth(13), 3, 4, 21), logKey), keys, anchors); got.answer != verified {
		t.Error("fewer records:", got)
	}

	for i := range good {
		without := append(append([]file(nil), good[:i]...), good[i+1:]...)
		want := tampered
		if good[i].name == "read/me.html" {
			want = verified
		}
		if got := verify(seal(without, logKey), keys, anchors); got.answer != want {
			t.Errorf("without %s: %v", good[i].name, got)
		}
	}
	text := manifestText(good)
	for what, manifest := range map[string]string{
		"another version":  strings.Replace(text, "/v1", "/v2", 1),
		"another origin":   strings.Replace(text, origin, "elsewhere", 1),
		"no question":      strings.Replace(text, "incident 7", "", 1),
		"upper-case hash":  strings.ToUpper(text[:len(text)-len("read/me.html\n")]) + "read/me.html\n",
		"an empty line":    text + "\n",
		"a file more":      text + strings.Repeat("0", 64) + " 0 x\n",
		"a file less":      text[:strings.LastIndex(strings.TrimSuffix(text, "\n"), "\n")+1],
		"another size":     strings.Replace(text, " 17 read", " 18 read", 1),
		"a leading zero":   strings.Replace(text, " 17 read", " 017 read", 1),
		"another name":     strings.Replace(text, "read/me", "read/you", 1),
		"a line break too": strings.Replace(text, "incident 7", "incident\n7", 1),
	} {
		if manifest == text {
			t.Fatal(what)
		}
		bundle := pack(append(good[:len(good):len(good)], file{"MANIFEST", []byte(signNote(manifest, logKey))}))
		if got := verify(bundle, keys, anchors); got.answer != tampered {
			t.Errorf("%s: %v", what, got)
		}
	}
	manifest := file{"MANIFEST", []byte(signNote(text, logKey))}
	if got := verify(pack(append([]file{manifest}, good...)), keys, anchors); got.answer != tampered {
		t.Error("MANIFEST not last:", got)
	}
	swapped := append([]file(nil), good...)
	swapped[0], swapped[4] = swapped[4], swapped[0]
	if got := verify(pack(append(swapped, manifest)), keys, anchors); got.answer != tampered {
		t.Error("another order than MANIFEST has:", got)
	}
	if got := verify(seal(swapped, logKey), keys, anchors); got.answer != verified {
		t.Error("another order:", got)
	}
}

func TestValidity(t *testing.T) {
	l := newLog(21) // until 12:00:21.5
	l.lines[3] = strings.Replace(l.lines[3], "2026-11-23T12:00:04.5Z", "2026-11-23T14:00:59+01:00", 1)
	l.leaves[3] = leafHash(l.lines[3]) // and this one at 13:00:59
	bundle := seal(l.files("", 3, 4, 21), logKey)
	for bounds, want := range map[string]answer{
		"- -":                           verified,
		"2026-11-23T13:00:59Z -":        verified,
		"2026-11-23T13:00:59.1Z -":      tampered,
		"- 2026-11-23T13:00:59.001Z":    verified,
		"- 2026-11-23T14:00:59.0+01:00": tampered,
		"- 0001-01-01T00:00:00Z":        tampered,
	} {
		keys := mustKeys(t, logKey.key()+" "+bounds)
		if got := verify(bundle, keys, mustAnchors(t, keys, l.checkpoint(21, logKey))); got.answer != want {
			t.Errorf("%s: %v", bounds, got)
		}
	}
	keys := mustKeys(t, logKey.key()+"\n"+otherKey.key()+" - 2026-01-01T00:00:00Z")
	if got := verify(seal(l.files("", 3), otherKey, logKey), keys, nil); got.answer != tampered {
		t.Error("one of two keys was no longer the log's:", got)
	}
	if got := verify(seal(l.files(""), otherKey, logKey), keys, nil); got.answer != incomplete {
		t.Error("no records to ask about:", got)
	}
}

// Every byte of a bundle counts.
func TestEveryByte(t *testing.T) {
	keys := mustKeys(t, logKey.key())
	l := newLog(9)
	bundle := seal(l.files(l.growth(5), 3, 4), logKey)
	anchors := mustAnchors(t, keys, l.checkpoint(5, logKey))
	if got := verify(bundle, keys, anchors); got.answer != verified {
		t.Fatal(got)
	}
	for i := range bundle {
		for _, mask := range []byte{0x01, 0x20, 0x80, 0xff} {
			bundle[i] ^= mask
			if got := verify(bundle, keys, anchors); got.answer != tampered {
				t.Errorf("byte %d with %02x: %v", i, mask, got)
			}
			bundle[i] ^= mask
		}
		if got := verify(bundle[:i], keys, anchors); got.answer != tampered {
			t.Errorf("the first %d bytes: %v", i, got)
		}
	}
}

// mutate changes a content in a random way.
func mutate(random *rand.Rand, content []byte) []byte {
	const signs = "\n\r\x00 {}[]\"\\0+-=:,\xff"
	b := append([]byte(nil), content...)
	for range 1 + random.IntN(3) {
		at := random.IntN(len(b) + 1)
		to := min(len(b), at+random.IntN(9))
		switch random.IntN(6) {
		case 0:
			b = append(b[:at:at], b[to:]...)
		case 1:
			b = append(b[:at:at], append(append([]byte(nil), b[at:to]...), b[at:]...)...)
		case 2:
			b = append(b[:at:at], append([]byte{signs[random.IntN(len(signs))]}, b[at:]...)...)
		default:
			if at < len(b) {
				b[at] ^= 1 << random.IntN(8)
			}
		}
	}
	return b
}

// Changed contents in archives that are in order: nothing crashes, and nothing is better than the bundle was. Only what is not
// hashed may change: the signature lines. They can be taken away (the author is no more proven) or be added to.
func TestChangedContents(t *testing.T) {
	keys := mustKeys(t, logKey.key())
	l := newLog(9)
	anchors := mustAnchors(t, keys, l.checkpoint(5, logKey))
	good := l.files(l.growth(5, 8), 3, 4, 8, 9)
	good = append(good, file{"MANIFEST", []byte(signNote(manifestText(good), logKey))})
	random := rand.New(rand.NewPCG(2, 3))
	count := map[answer]int{}
	for range 6000 {
		files := append([]file(nil), good...)
		i := random.IntN(len(files))
		files[i].content = mutate(random, files[i].content)
		if string(files[i].content) == string(good[i].content) {
			continue
		}
		got := verify(pack(files), keys, anchors)
		count[got.answer]++
		if got.answer != tampered && (got.answer != unproven || files[i].name != "MANIFEST") {
			t.Errorf("%s: %v: %q", files[i].name, got, files[i].content)
		}
		// Sealed again, the change reaches what stands behind the manifest.
		if files[i].name != "MANIFEST" {
			count[verify(seal(files[:len(files)-1], logKey), keys, anchors).answer]++
		}
	}
	t.Log(count)
}

func TestEdits(t *testing.T) {
	base := []byte("0123456789")
	for line, want := range map[string]string{
		`{"ops":[]}`: "0123456789",
		`{"ops":[{"at":0,"cut":1,"put":"78"},{"at":1,"cut":0,"put":"797A"},{"at":9,"cut":1,"put":""}]}`: "xyz12345678",
		`{"ops":[{"at":10,"cut":0,"put":"21"}]}`:                                                        "0123456789!",
		`{"ops":[{"put":"","cut":10,"at":0}]}`:                                                          "",
	} {
		if got, err := applyEdit(nil, base, line); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", line, got, err)
		}
	}
	for _, line := range []string{
		``, `[]`, `{}`, `{"ops":{}}`, `{"ops":[],"x":1}`, `{"ops":[{"at":0,"cut":1}]}`, `{"ops":[{"at":-1,"cut":1,"put":""}]}`, `{"ops":[{"at":0,"cut":1,"put":"7"}]}`,
		`{"ops":[{"at":10,"cut":1,"put":""}]}`, `{"ops":[{"at":11,"cut":0,"put":""}]}`, `{"ops":[{"at":5,"cut":1,"put":""},{"at":5,"cut":0,"put":""}]}`,
	} {
		if got, err := applyEdit(nil, base, line); err == nil {
			t.Errorf("%s: %q", line, got)
		}
	}
}

func TestCommandLine(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	l := newLog(9)
	bundle := string(seal(l.files(l.growth(5), 3, 4), logKey))
	path := write("bundle", bundle)
	keys, noKeys := write("keys", logKey.key()+"\n"), write("no-keys", "")
	anchor, strange := write("anchor", l.checkpoint(5, logKey)), write("strange", l.checkpoint(5, otherKey))
	edits := write("edits", `{"ops":[]}`+"\n"+`{"ops":[{"at":0,"cut":15,"put":"53514c69746520666f726d61742033"}]}`+"\n"+`{"ops":[]}`)
	badEdits := write("bad-edits", `{"ops":[]}`+"\n\n")
	missing := filepath.Join(dir, "missing")
	for _, c := range []struct {
		args []string
		code int
		out  string
	}{
		{[]string{"-trusted-keys", keys, "-anchor", anchor, path}, 0, "verified\t2 of 9 records\n"},
		{[]string{"-trusted-keys", keys, path}, 3, "completeness not proven\tno anchor of this log\n"},
		{[]string{path}, 4, "author not proven\tMANIFEST is not signed by a trusted key\n"},
		{[]string{write("cut", bundle[1:])}, 1, "tampered\tarchive: end: not as it must be\n"},
		{[]string{write("empty", "")}, 1, "tampered\tarchive: too short\n"},
		{[]string{"-trusted-keys", keys, "-anchor", anchor, "-edits", edits, path}, 0,
			"verified\t2 of 9 records\ntampered\tarchive: file 1: header or checksum not as it must be\nverified\t2 of 9 records\n"},
		{[]string{"-edits", badEdits, path}, 2, "author not proven\tMANIFEST is not signed by a trusted key\n"},
		{[]string{"-edits", missing, path}, 2, ""},
		{[]string{write("database", "SQLite format 3\x00...")}, 2, ""},
		{[]string{"-edits", edits, write("database", "SQLite format 3\x00...")}, 2, ""},
		{nil, 2, ""},
		{[]string{path, path}, 2, ""},
		{[]string{"-x", path}, 2, ""},
		{[]string{missing}, 2, ""},
		{[]string{dir}, 2, ""},
		{[]string{"-trusted-keys", missing, path}, 2, ""},
		{[]string{"-trusted-keys", noKeys, path}, 2, ""},
		{[]string{"-trusted-keys", "", path}, 2, ""},
		{[]string{"-trusted-keys", keys, "-anchor", missing, path}, 2, ""},
		{[]string{"-trusted-keys", keys, "-anchor", strange, path}, 2, ""},
		{[]string{"-anchor", anchor, path}, 2, ""},
	} {
		var out, errors strings.Builder
		if code := run(c.args, &out, &errors); code != c.code || out.String() != c.out || (code == 2) != (errors.Len() > 0) {
			t.Errorf("%q: %d\n%s%s", c.args, code, out.String(), errors.String())
		}
	}
	sparse := write("sparse", "")
	if err := os.Truncate(sparse, 1<<32); err != nil {
		t.Skip("no large files here:", err)
	}
	var out, errors strings.Builder
	if code := run([]string{sparse}, &out, &errors); code != 1 {
		t.Errorf("4 GiB: %d\n%s%s", code, out.String(), errors.String())
	}
}

// bigBundle is one of about 60 KB.
func bigBundle() ([]byte, *testLog) {
	l := newLog(1000)
	var seqs []int
	for seq := 100; seq < 350; seq++ {
		seqs = append(seqs, seq)
	}
	return seal(l.files(l.growth(900), seqs...), logKey), l
}

func BenchmarkVerify(b *testing.B) {
	keys := mustKeys(b, logKey.key())
	bundle, l := bigBundle()
	anchors := mustAnchors(b, keys, l.checkpoint(900, logKey))
	b.SetBytes(int64(len(bundle)))
	b.ReportAllocs()
	for b.Loop() {
		if got := verify(bundle, keys, anchors); got.answer != verified {
			b.Fatal(got)
		}
	}
}

func FuzzVerify(f *testing.F) {
	keys := mustKeys(f, logKey.key())
	l := newLog(9)
	anchors := mustAnchors(f, keys, l.checkpoint(5, logKey))
	f.Add(seal(l.files(l.growth(5), 3, 4), logKey))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, bundle []byte) {
		verify(bundle, keys, anchors)
	})
}

// FuzzContents puts arbitrary contents behind seals that are in order.
func FuzzContents(f *testing.F) {
	keys := mustKeys(f, logKey.key())
	l := newLog(9)
	anchors := mustAnchors(f, keys, l.checkpoint(5, logKey))
	good := l.files(l.growth(5), 3, 4)
	for i := range 5 {
		f.Add(i, good[i].content)
	}
	f.Fuzz(func(t *testing.T, i int, content []byte) {
		files := append([]file(nil), good...)
		files[uint(i)%uint(len(files))].content = content
		verify(seal(files, logKey), keys, anchors)
	})
}
