package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Sections 4 and 5 of the page: what a bundle says, and what a verifier answers.

type answer int

const (
	verified answer = iota
	tampered
	incomplete
	unproven
)

func (a answer) String() string {
	return [...]string{"verified", "tampered", "completeness not proven", "author not proven"}[a]
}

func (a answer) exitCode() int {
	return [...]int{verified: 0, tampered: 1, incomplete: 3, unproven: 4}[a]
}

// result is an answer and its place or reason, which is one line without tabs.
type result struct {
	answer answer
	reason string
}

// verify answers for a bundle. The cheap checks come first: what an edit breaks is mostly found without reading a record.
// It keeps nothing of the archive.
func verify(archive []byte, keys keyring, anchors []checkpoint) result {
	files, err := unpack(archive)
	if err != nil {
		return result{tampered, err.Error()}
	}
	b := bundle{files: files, keys: keys}
	for _, step := range []struct {
		place string
		check func() error
	}{
		{"archive", b.readFiles},
		{"MANIFEST", b.readManifest},
		{"checkpoint", b.readCheckpoint},
		{"records.jsonl", b.readRecords},
		{"disclosures.jsonl", b.readDisclosures},
		{"proof", b.readProof},
		{"growth", b.readGrowth},
		{"keys", b.checkValidity},
	} {
		if err := step.check(); err != nil {
			return result{tampered, step.place + ": " + err.Error()}
		}
	}
	newest, err := b.compareAnchors(anchors)
	switch {
	case err != nil:
		return result{tampered, "anchor: " + err.Error()}
	case len(b.manifestSigners) == 0:
		return result{unproven, "MANIFEST is not signed by a trusted key"}
	case len(b.checkpointSigners) == 0:
		return result{unproven, "checkpoint is not signed by a trusted key"}
	case newest != "":
		return result{incomplete, newest}
	}
	return result{verified, fmt.Sprintf("%d of %d records", len(b.records), b.checkpoint.size)}
}

// bundle is what has been read of one. Each step may rely on those before it.
type bundle struct {
	keys     keyring
	files    []file
	contents map[string]string

	origin            string // as MANIFEST has it
	manifestSigners   []trustedKey
	checkpoint        checkpoint
	checkpointSigners []trustedKey
	records           []record // seq ascending
	growth            map[uint64][]hash
}

func (b *bundle) readFiles() error {
	if b.files[len(b.files)-1].name != "MANIFEST" {
		return errors.New("the last file is not MANIFEST")
	}
	// What is read further is copied out of the archive; the files for people are not.
	b.contents = map[string]string{"checkpoint": "", "records.jsonl": "", "disclosures.jsonl": "", "proof": "", "growth": "", "MANIFEST": ""}
	missing := len(b.contents)
	for _, f := range b.files {
		if _, known := b.contents[f.name]; known {
			b.contents[f.name] = string(f.content)
			missing--
		}
	}
	if missing != 0 { // no name stands there twice
		return errors.New("a file that must be there is not")
	}
	return nil
}

func (b *bundle) readManifest() error {
	n, err := parseNote(b.contents["MANIFEST"])
	if err != nil {
		return err
	}
	if b.manifestSigners, err = n.signers(b.keys); err != nil {
		return err
	}
	lines, err := splitLines(n.text)
	if err != nil {
		return err
	}
	files := b.files[:len(b.files)-1]
	if len(lines) != 3+len(files) {
		return errors.New("not three lines and one for each other file")
	}
	if lines[0] != "remediator.io/bundle/v1" {
		return errors.New("not of this version")
	}
	if b.origin = lines[1]; b.origin == "" {
		return errors.New("no origin")
	}
	if lines[2] == "" {
		return errors.New("does not say what was asked for")
	}
	for i, f := range files {
		sum := sha256.Sum256(f.content)
		// There is but one way to write each line.
		if lines[3+i] != hex.EncodeToString(sum[:])+" "+strconv.Itoa(len(f.content))+" "+f.name {
			return fmt.Errorf("line %d: is not that of %s", 4+i, f.name)
		}
	}
	return nil
}

func (b *bundle) readCheckpoint() error {
	c, n, err := parseCheckpoint(b.contents["checkpoint"])
	if err != nil {
		return err
	}
	if b.checkpointSigners, err = n.signers(b.keys); err != nil {
		return err
	}
	if c.origin != b.origin {
		return errors.New("its origin is not that of MANIFEST")
	}
	b.checkpoint = c
	return nil
}

func (b *bundle) readRecords() error {
	lines, err := splitLines(b.contents["records.jsonl"])
	if err != nil {
		return err
	}
	b.records = make([]record, 0, len(lines))
	last := uint64(0)
	for i, line := range lines {
		r, err := parseRecord(line)
		if err != nil {
			return fmt.Errorf("line %d: %w", i+1, err)
		}
		if r.seq <= last {
			return fmt.Errorf("line %d: seq %d is not greater than that before it", i+1, r.seq)
		}
		if r.seq > b.checkpoint.size {
			return fmt.Errorf("line %d: seq %d is not in the checkpoint", i+1, r.seq)
		}
		last = r.seq
		b.records = append(b.records, r)
	}
	return nil
}

func (b *bundle) readDisclosures() error {
	lines, err := splitLines(b.contents["disclosures.jsonl"])
	if err != nil {
		return err
	}
	last, rest := uint64(0), b.records // both ascend, so the records are gone through once
	for i, line := range lines {
		seq, fields, err := parseDisclosures(line)
		if err != nil {
			return fmt.Errorf("line %d: %w", i+1, err)
		}
		if seq <= last {
			return fmt.Errorf("line %d: seq %d is not greater than that before it", i+1, seq)
		}
		last = seq
		for len(rest) > 0 && rest[0].seq < seq {
			rest = rest[1:]
		}
		if len(rest) == 0 || rest[0].seq != seq {
			return fmt.Errorf("line %d: record %d is not in the bundle", i+1, seq)
		}
		for j, field := range fields.keys {
			commitment, ok := rest[0].committed[field]
			if !ok || !fits(fields.items[j], commitment) {
				return fmt.Errorf("line %d: field %d does not fit a commitment of record %d", i+1, j+1, seq)
			}
		}
	}
	return nil
}

func (b *bundle) readProof() error {
	lines, err := splitLines(b.contents["proof"])
	if err != nil {
		return err
	}
	proof := make([]hash, len(lines))
	for i, line := range lines {
		var ok bool
		if proof[i], ok = decodeHash(line); !ok {
			return fmt.Errorf("line %d: not a hash", i+1)
		}
	}
	leaves := make([]leaf, len(b.records))
	for i, r := range b.records {
		leaves[i] = leaf{r.seq - 1, r.leaf}
	}
	root, err := rootOf(b.checkpoint.size, leaves, proof)
	if err != nil {
		return err
	}
	if root != b.checkpoint.root {
		return errors.New("the records and it do not give the root of the checkpoint")
	}
	return nil
}

func (b *bundle) readGrowth() error {
	lines, err := splitLines(b.contents["growth"])
	if err != nil {
		return err
	}
	b.growth = map[uint64][]hash{}
	for i := 0; i < len(lines); {
		place := i + 1
		digits, isOne := strings.CutPrefix(lines[i], "size ")
		m, ok := parseDecimal(digits)
		if !isOne || !ok || m == 0 || m > b.checkpoint.size {
			return fmt.Errorf("line %d: not the size of a tree up to the checkpoint's", place)
		}
		if _, twice := b.growth[m]; twice {
			return fmt.Errorf("line %d: size %d stands there twice", place, m)
		}
		var proof []hash
		for i++; i < len(lines) && !strings.HasPrefix(lines[i], "size "); i++ {
			h, ok := decodeHash(lines[i])
			if !ok {
				return fmt.Errorf("line %d: not a hash", i+1)
			}
			proof = append(proof, h)
		}
		if err := b.checkGrowth(m, proof); err != nil {
			return fmt.Errorf("line %d: size %d: %w", place, m, err)
		}
		b.growth[m] = proof
	}
	return nil
}

// checkGrowth checks of a consistency proof what can be checked without an anchor: how many hashes it has, and, where it does
// without the root of the smaller tree, that it leads to the checkpoint.
func (b *bundle) checkGrowth(m uint64, proof []hash) error {
	if m == b.checkpoint.size {
		if len(proof) != 0 {
			return errProofLong
		}
		return nil
	}
	_, to, err := consistency(m, b.checkpoint.size, hash{}, proof)
	if err != nil {
		return err
	}
	if provesAlone(m) && to != b.checkpoint.root {
		return errors.New("does not lead to the root of the checkpoint")
	}
	return nil
}

// checkValidity checks that the keys were the log's at the latest record. Without records there is no time to ask about.
func (b *bundle) checkValidity() error {
	if len(b.records) == 0 {
		return nil
	}
	latest := b.records[0].at
	for _, r := range b.records {
		if r.at.After(latest) {
			latest = r.at
		}
	}
	for _, key := range b.manifestSigners {
		if !key.validAt(latest) {
			return errors.New("one that signed MANIFEST was not the log's at the latest record")
		}
	}
	for _, key := range b.checkpointSigners {
		if !key.validAt(latest) {
			return errors.New("one that signed checkpoint was not the log's at the latest record")
		}
	}
	return nil
}

// compareAnchors compares the anchors of the origin with the log. It gives the reason why completeness is not proven, which is
// empty if it is, or as an error how an anchor contradicts the log.
func (b *bundle) compareAnchors(anchors []checkpoint) (missing string, err error) {
	known := false
	newest := uint64(0)
	roots := map[uint64]hash{}
	for _, a := range anchors {
		if a.origin != b.checkpoint.origin {
			continue
		}
		if root, twice := roots[a.size]; twice && root != a.root {
			return "", fmt.Errorf("two histories of %d records were signed", a.size)
		}
		roots[a.size] = a.root
		known = true
		newest = max(newest, a.size)
		ok := true
		proof, inGrowth := b.growth[a.size]
		switch {
		case a.size == b.checkpoint.size:
			ok = a.root == b.checkpoint.root
		case !inGrowth: // cannot be compared
		default:
			from, to, err := consistency(a.size, b.checkpoint.size, a.root, proof)
			ok = err == nil && from == a.root && to == b.checkpoint.root
		}
		if !ok {
			return "", fmt.Errorf("the log does not begin with that of %d records", a.size)
		}
	}
	_, inGrowth := b.growth[newest]
	switch {
	case !known:
		return "no anchor of this log", nil
	case newest > b.checkpoint.size:
		return fmt.Sprintf("the newest anchor knows %d records, the bundle's log ends at %d", newest, b.checkpoint.size), nil
	case newest < b.checkpoint.size && !inGrowth:
		return fmt.Sprintf("growth has no block for the newest anchor, of %d records", newest), nil
	}
	return "", nil
}
