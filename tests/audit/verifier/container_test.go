package main

import (
	"archive/zip"
	"bytes"
	"encoding/hex"
	"io"
	"strings"
	"testing"
)

// An archive with the file "a" that says "hi\n", byte by byte as the page has it.
const handMade = "504b0304" + "1400" + "0008" + "0000" + "0000" + "2100" + "7a7a6fed" + "03000000" + "03000000" + "0100" + "0000" + "61" + "68690a" +
	"504b0102" + "1400" + "1400" + "0008" + "0000" + "0000" + "2100" + "7a7a6fed" + "03000000" + "03000000" +
	"0100" + "0000" + "0000" + "0000" + "0000" + "00000000" + "00000000" + "61" +
	"504b0506" + "0000" + "0000" + "0100" + "0100" + "2f000000" + "22000000" + "0000"

func TestHandMadeArchive(t *testing.T) {
	archive, err := hex.DecodeString(handMade)
	if err != nil {
		t.Fatal(err)
	}
	files, err := unpack(archive)
	if err != nil || len(files) != 1 || files[0].name != "a" || string(files[0].content) != "hi\n" {
		t.Fatal(files, err)
	}
	for i := range archive {
		for bit := range 8 {
			archive[i] ^= 1 << bit
			if files, err := unpack(archive); err == nil {
				// The name is in no checksum, but it stands there twice.
				t.Errorf("byte %d, bit %d: %v", i, bit, files)
			}
			archive[i] ^= 1 << bit
		}
		if _, err := unpack(archive[:i]); err == nil {
			t.Errorf("the first %d bytes", i)
		}
		if _, err := unpack(append(append(append([]byte{}, archive[:i]...), 'x'), archive[i:]...)); err == nil {
			t.Errorf("a byte before byte %d", i)
		}
	}
	if _, err := unpack(append(archive, 0)); err == nil {
		t.Error("a byte behind")
	}
}

// What the tests make as archives is a ZIP to others too.
func TestArchiveIsZip(t *testing.T) {
	want := []file{{"a", []byte("one")}, {"dir/b.txt", nil}, {"MANIFEST", bytes.Repeat([]byte("x"), 70000)}}
	archive := pack(want)
	reader, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := unpack(archive)
	if err != nil || len(got) != len(want) || len(reader.File) != len(want) {
		t.Fatal(len(got), err)
	}
	for i, f := range want {
		in, err := reader.File[i].Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(in)
		if err != nil || reader.File[i].Name != f.name || !bytes.Equal(content, f.content) {
			t.Errorf("%s: %v", f.name, err)
		}
		if got[i].name != f.name || !bytes.Equal(got[i].content, f.content) {
			t.Errorf("%s: unpacked as %s", f.name, got[i].name)
		}
	}
}

func TestNamesOfFiles(t *testing.T) {
	long := strings.Repeat("x", 100)
	for _, name := range []string{"a", "0", "A.-_z", long, long + "/" + long + "/" + long + "/" + long, "a/b/c/d", "a..b"} {
		if _, err := unpack(pack([]file{{name, nil}})); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{
		"", "/a", "a/", "a//b", ".a", "..", "a/../b", "-a", "_", "a b", "a\n", "a\x00", "é", "a\\b", long + "x", "a/" + long + "x", "a/b/c/d/e",
	} {
		if _, err := unpack(pack([]file{{name, nil}})); err == nil {
			t.Errorf("%q", name)
		}
	}
	if _, err := unpack(pack([]file{{"a", nil}, {"a", nil}})); err == nil {
		t.Error("a name twice")
	}
}

func TestNumberOfFiles(t *testing.T) {
	var files []file
	for i := range 1000 {
		files = append(files, file{"f" + strings.Repeat("x", i%90) + "." + string(rune('a'+i/90)), nil})
	}
	if _, err := unpack(pack(files)); err != nil {
		t.Error("1000:", err)
	}
	if _, err := unpack(pack(append(files, file{"one-more", nil}))); err == nil {
		t.Error("1001")
	}
	if _, err := unpack(pack(nil)); err == nil {
		t.Error("none")
	}
}

// Sizes that point out of the archive, or at each other, are refused without being followed.
func TestLyingSizes(t *testing.T) {
	archive := pack([]file{{"a", []byte("one")}, {"b", []byte("two")}})
	for _, at := range []int{18, 22, 26, len(archive) - 6, len(archive) - 10, len(archive) - 12} {
		for _, lie := range []string{"\xff\xff\xff\xff", "\xff\xff\xff\x7f", "\x00\x00\x00\x80", "\x00\x00\x00\x00", "\x22\x00\x00\x00"} {
			for length := 1; length <= 4; length++ {
				lying := append([]byte(nil), archive...)
				copy(lying[at:], lie[:length])
				if _, err := unpack(lying); err == nil && !bytes.Equal(lying, archive) {
					t.Errorf("%x at %d", lie[:length], at)
				}
			}
		}
	}
}
