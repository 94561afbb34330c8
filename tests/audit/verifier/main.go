// Verifier is a second verifier for the bundles of Remediator's audit log. It was written from remediator/audit/FORMAT.md
// alone, by someone who had not seen the first one, so that the two check each other. "The page" in the comments below is
// that file; where the page leaves something open, the strictest sensible reading was taken.
//
//	verifier [-trusted-keys FILE] [-anchor FILE] [-edits FILE] PATH
//
// It prints one line, the answer, a tab, and the place or reason, and exits with the code of the answer. With -edits it
// prints such a line for each line of FILE, about the bundle with that edit applied, and exits with 0.
package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
)

const (
	exitDone   = 0 // all edits answered
	exitMisuse = 2
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("verifier", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: verifier [-trusted-keys FILE] [-anchor FILE] [-edits FILE] PATH")
		flags.PrintDefaults()
	}
	keysPath := flags.String("trusted-keys", "", "`FILE` with the keys of the log, one a line")
	anchorPath := flags.String("anchor", "", "`FILE` in which checkpoints of the log stand")
	editsPath := flags.String("edits", "", "`FILE` with edits of the bundle, one JSON object a line, each to be answered")
	if err := flags.Parse(args); err != nil {
		return exitMisuse
	}
	if flags.NArg() != 1 {
		flags.Usage()
		return exitMisuse
	}

	misuse := func(err error) int {
		fmt.Fprintln(stderr, "verifier:", err)
		return exitMisuse
	}
	given := map[string]bool{} // an option given as an empty string is a file that cannot be read, not an option left out
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })

	var keys keyring
	if given["trusted-keys"] {
		text, err := os.ReadFile(*keysPath)
		if err != nil {
			return misuse(err)
		}
		if keys, err = parseKeys(string(text)); err != nil {
			return misuse(fmt.Errorf("%s: %w", *keysPath, err))
		}
	}
	var anchors []checkpoint
	if given["anchor"] {
		text, err := os.ReadFile(*anchorPath)
		if err != nil {
			return misuse(err)
		}
		if anchors, err = parseAnchors(string(text), keys); err != nil {
			return misuse(fmt.Errorf("%s: %w", *anchorPath, err))
		}
	}
	bundle, err := readBundle(flags.Arg(0))
	tooBig := err == errTooBig && !given["edits"]
	if err != nil && !tooBig {
		return misuse(err)
	}

	if !given["edits"] {
		res := result{tampered, "archive: " + errTooBig.Error()}
		if !tooBig {
			res = verify(bundle, keys, anchors)
		}
		fmt.Fprintf(stdout, "%s\t%s\n", res.answer, res.reason)
		return res.answer.exitCode()
	}
	edits, err := os.Open(*editsPath)
	if err != nil {
		return misuse(err)
	}
	defer edits.Close()
	if err := answerEdits(bundle, edits, stdout, keys, anchors); err != nil {
		return misuse(fmt.Errorf("%s: %w", *editsPath, err))
	}
	return exitDone
}

// errTooBig is said of a file that cannot be a bundle by its length alone, and is therefore not read into memory.
var errTooBig = errors.New("4 GiB or more")

// readBundle reads the file at path. One that says it is a database is misuse: databases are not this verifier's business.
func readBundle(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	magic := []byte("SQLite format 3")
	begin := make([]byte, len(magic))
	n, err := io.ReadFull(f, begin)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, err
	}
	if bytes.Equal(begin, magic) {
		return nil, fmt.Errorf("%s: is a database; this verifier reads bundles only", path)
	}
	if info, err := f.Stat(); err != nil {
		return nil, err
	} else if info.Size() > maxArchive {
		return nil, errTooBig
	}
	all := io.MultiReader(bytes.NewReader(begin[:n]), f)
	return io.ReadAll(io.LimitReader(all, maxArchive+1)) // limited all the same: it may be a pipe
}

// answerEdits verifies the base once for each line of edits, with the edit of that line applied.
func answerEdits(base []byte, edits io.Reader, stdout io.Writer, keys keyring, anchors []checkpoint) (err error) {
	in := bufio.NewReaderSize(edits, 1<<16)
	out := bufio.NewWriterSize(stdout, 1<<16)
	defer func() {
		if flushed := out.Flush(); err == nil {
			err = flushed
		}
	}()
	// What is alive is small, and each bundle leaves ten times its size behind: with the usual setting most of the time would
	// go to collecting it.
	defer debug.SetGCPercent(debug.SetGCPercent(1000))
	var edited []byte // one buffer for all of them: verify keeps nothing of it
	for number := 1; ; number++ {
		line, readErr := in.ReadString('\n')
		if readErr != nil && readErr != io.EOF {
			return readErr
		}
		if line == "" {
			return nil
		}
		if edited, err = applyEdit(edited[:0], base, strings.TrimSuffix(line, "\n")); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		res := verify(edited, keys, anchors)
		if _, err = fmt.Fprintf(out, "%s\t%s\n", res.answer, res.reason); err != nil {
			return err
		}
	}
}

// applyEdit appends to dst the base with the edit {"ops":[{"at":N,"cut":M,"put":"HEX"},...]} applied.
func applyEdit(dst, base []byte, line string) ([]byte, error) {
	edit, err := parseJSON(line)
	if err != nil {
		return dst, err
	}
	if !edit.hasExactly("ops") || edit.get("ops").kind != jsonArray {
		return dst, errors.New(`not an object with the list "ops"`)
	}
	copied := uint64(0) // how much of the base has been dealt with
	for _, op := range edit.get("ops").items {
		if !op.hasExactly("at", "cut", "put") || op.get("put").kind != jsonString {
			return dst, errors.New(`an op has not exactly "at", "cut" and "put"`)
		}
		at, okAt := op.get("at").count()
		cut, okCut := op.get("cut").count()
		put, err := hex.DecodeString(op.get("put").text)
		if !okAt || !okCut || err != nil {
			return dst, errors.New("an op is not of numbers and hex")
		}
		if at < copied || at+cut > uint64(len(base)) {
			return dst, errors.New("an op is out of order or out of the bundle")
		}
		dst = append(dst, base[copied:at]...)
		dst = append(dst, put...)
		copied = at + cut
	}
	return append(dst, base[copied:]...), nil
}
