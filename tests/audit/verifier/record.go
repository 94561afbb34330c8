package main

import (
	"crypto/sha256"
	"errors"
	"strings"
	"time"
)

// Section 1 of the page: records and disclosures.

// record is what the verifier needs of a record.
type record struct {
	seq       uint64
	at        time.Time
	committed map[string]hash
	leaf      hash
}

// parseLine reads a line of JSON. A carriage return is white space in JSON, but a line break.
func parseLine(line string) (value, error) {
	if strings.ContainsRune(line, '\r') {
		return value{}, errors.New("a carriage return")
	}
	return parseJSON(line)
}

func parseRecord(line string) (record, error) {
	v, err := parseLine(line)
	if err != nil {
		return record{}, err
	}
	if !v.hasExactly("at", "body", "incident", "kind", "remediation", "seq") {
		return record{}, errors.New("not an object with exactly the keys of a record")
	}
	r := record{leaf: leafHash(line)}
	var ok bool
	if r.seq, ok = v.get("seq").count(); !ok || r.seq == 0 {
		return record{}, errors.New("seq is not one")
	}
	if r.at, ok = parseTime(v.get("at").text); !ok || v.get("at").kind != jsonString {
		return record{}, errors.New("at is not RFC 3339 with a zone")
	}
	if kind := v.get("kind"); kind.kind != jsonString || kind.text == "" {
		return record{}, errors.New("kind is not a name")
	}
	for _, key := range []string{"incident", "remediation"} {
		if _, ok := v.get(key).count(); !ok && v.get(key).kind != jsonNull {
			return record{}, errors.New(key + " is neither a number nor null")
		}
	}
	body := v.get("body")
	if body.kind != jsonObject {
		return record{}, errors.New("body is not an object")
	}
	if !body.has("committed") {
		return r, nil
	}
	committed := body.get("committed")
	if committed.kind != jsonObject {
		return record{}, errors.New("body.committed is not an object")
	}
	r.committed = make(map[string]hash, len(committed.keys))
	for i, field := range committed.keys {
		b, ok := decodeHex(committed.items[i].text, sha256.Size)
		if !ok || committed.items[i].kind != jsonString {
			return record{}, errors.New("a commitment is not 64 lower-case hex digits")
		}
		r.committed[field] = hash(b)
	}
	return r, nil
}

// parseDisclosures reads a line of disclosures.jsonl.
func parseDisclosures(line string) (seq uint64, fields value, err error) {
	v, err := parseLine(line)
	if err != nil {
		return 0, value{}, err
	}
	fields = v.get("fields")
	seq, ok := v.get("seq").count()
	if !v.hasExactly("fields", "seq") || !ok || fields.kind != jsonObject {
		return 0, value{}, errors.New("not an object with exactly fields and seq")
	}
	if len(fields.keys) == 0 {
		return 0, value{}, errors.New("no fields")
	}
	return seq, fields, nil
}

// fits says whether a disclosure [SALT, TEXT] is one of the commitment.
func fits(disclosure value, commitment hash) bool {
	if disclosure.kind != jsonArray || len(disclosure.items) != 2 {
		return false
	}
	salt, text := disclosure.items[0], disclosure.items[1]
	if salt.kind != jsonString || text.kind != jsonString {
		return false
	}
	b, ok := decodeHex(salt.text, 16)
	if !ok {
		return false
	}
	if _, err := parseJSON(text.text); err != nil {
		return false
	}
	return sha256.Sum256(append(b, text.text...)) == commitment
}

// parseTime reads RFC 3339 with a zone, as `2026-11-23T12:00:00.123456Z` or with `+01:00`. time.Parse takes more (a comma before
// the fraction, hours of one digit, zones of 24 hours and more), so the form is checked here: capital T and Z, 1 to 9
// digits of a fraction, a day that is one, no leap second, no year 0.
func parseTime(s string) (time.Time, bool) {
	const form = "0000-00-00T00:00:00"
	if len(s) <= len(form) || !matches(s[:len(form)], form) {
		return time.Time{}, false
	}
	rest := s[len(form):]
	nanos := 0
	if fraction, ok := strings.CutPrefix(rest, "."); ok {
		digits := 0
		for digits < len(fraction) && isDigit(fraction[digits]) {
			digits++
		}
		if digits < 1 || digits > 9 {
			return time.Time{}, false
		}
		nanos = number(fraction[:digits] + "000000000"[digits:])
		rest = fraction[digits:]
	}
	offset := 0
	switch {
	case rest == "Z":
	case matches(rest, "+00:00") || matches(rest, "-00:00"):
		hours, minutes := number(rest[1:3]), number(rest[4:6])
		if hours > 23 || minutes > 59 {
			return time.Time{}, false
		}
		offset = hours*3600 + minutes*60
		if rest[0] == '-' {
			offset = -offset
		}
	default:
		return time.Time{}, false
	}
	year, month, day := number(s[0:4]), number(s[5:7]), number(s[8:10])
	hour, minute, second := number(s[11:13]), number(s[14:16]), number(s[17:19])
	if year == 0 || month < 1 || month > 12 || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, nanos, time.UTC)
	if t.Day() != day || t.Month() != time.Month(month) { // Date makes March of the 30th of February
		return time.Time{}, false
	}
	return t.Add(-time.Duration(offset) * time.Second), true
}

// matches says whether s has the form: a digit where it has a 0, the same byte elsewhere.
func matches(s, form string) bool {
	if len(s) != len(form) {
		return false
	}
	for i := range len(s) {
		if form[i] == '0' && !isDigit(s[i]) || form[i] != '0' && s[i] != form[i] {
			return false
		}
	}
	return true
}

// number gives the number that some digits are.
func number(digits string) int {
	n := 0
	for i := range len(digits) {
		n = n*10 + int(digits[i]-'0')
	}
	return n
}
