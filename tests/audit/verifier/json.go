package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A strict reader of JSON texts. encoding/json is too kind for a verifier: it replaces invalid UTF-8 and lone surrogates,
// takes the last of two equal keys and finds the fields of a struct whatever their case. Two verifiers that
// read one line differently would each be right about another record.
//
// Accepted is RFC 8259, and of that not: a key twice in one object, at any depth; a lone surrogate (it has no UTF-8);
// more than maxDepth objects and lists within each other; anything but white space around the one value.

type jsonKind byte

const (
	jsonNull jsonKind = iota
	jsonBool
	jsonNumber
	jsonString
	jsonArray
	jsonObject
)

// value is a JSON value. text is a string as decoded, or a number or literal as written; items are the values of a list,
// or those of an object, whose names are in keys.
type value struct {
	kind  jsonKind
	text  string
	keys  []string
	items []value
}

// get gives the value of a key; where there is none, null without text or items.
func (v value) get(key string) value {
	for i, k := range v.keys {
		if k == key {
			return v.items[i]
		}
	}
	return value{}
}

func (v value) has(key string) bool {
	for _, k := range v.keys {
		if k == key {
			return true
		}
	}
	return false
}

// hasExactly says whether v is an object with these keys and no others.
func (v value) hasExactly(keys ...string) bool {
	if v.kind != jsonObject || len(v.keys) != len(keys) {
		return false
	}
	for _, key := range keys { // no key stands twice in v, so it is enough that each is there
		if !v.has(key) {
			return false
		}
	}
	return true
}

// count gives a number that is written as decimal digits and nothing else: not 1.0, 1e0, -0.
func (v value) count() (uint64, bool) {
	if v.kind != jsonNumber {
		return 0, false
	}
	return parseDecimal(v.text)
}

// parseDecimal reads a number as the page writes them: decimal, no sign, no leading zeros, at most 16 digits.
func parseDecimal(s string) (uint64, bool) {
	if s == "" || len(s) > 16 || (s[0] == '0' && s != "0") {
		return 0, false
	}
	var n uint64
	for i := range len(s) {
		if !isDigit(s[i]) {
			return 0, false
		}
		n = n*10 + uint64(s[i]-'0')
	}
	return n, true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// maxDepth bounds the recursion, and with it the stack.
const maxDepth = 100

// parseJSON reads a text that is one JSON value.
func parseJSON(text string) (value, error) {
	if !utf8.ValidString(text) {
		return value{}, errors.New("not UTF-8")
	}
	p := parser{text: text}
	v, err := p.value(0)
	if err != nil {
		return value{}, fmt.Errorf("not JSON at byte %d: %w", p.at, err)
	}
	if p.space(); p.at != len(text) {
		return value{}, fmt.Errorf("not JSON at byte %d: something behind the value", p.at)
	}
	return v, nil
}

type parser struct {
	text string
	at   int
}

// peek gives the next byte, or 0 at the end; a byte 0 is nowhere allowed, so the two need not be told apart.
func (p *parser) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

// take steps over c if it is next.
func (p *parser) take(c byte) bool {
	if p.at < len(p.text) && p.text[p.at] == c {
		p.at++
		return true
	}
	return false
}

func (p *parser) space() {
	for p.at < len(p.text) && strings.IndexByte(" \t\n\r", p.text[p.at]) >= 0 {
		p.at++
	}
}

func (p *parser) value(depth int) (value, error) {
	if depth > maxDepth {
		return value{}, errors.New("too deep")
	}
	p.space()
	switch c := p.peek(); {
	case c == '{':
		return p.object(depth)
	case c == '[':
		return p.array(depth)
	case c == '"':
		s, err := p.string()
		return value{kind: jsonString, text: s}, err
	case c == '-' || isDigit(c):
		return p.number()
	}
	for _, literal := range []value{{kind: jsonNull, text: "null"}, {kind: jsonBool, text: "true"}, {kind: jsonBool, text: "false"}} {
		if strings.HasPrefix(p.text[p.at:], literal.text) {
			p.at += len(literal.text)
			return literal, nil
		}
	}
	return value{}, errors.New("no value")
}

func (p *parser) object(depth int) (value, error) {
	v := value{kind: jsonObject}
	var seen map[string]bool // made only for objects with many keys; the few of the others are compared one by one
	p.at++
	if p.space(); p.take('}') {
		return v, nil
	}
	v.keys, v.items = make([]string, 0, 6), make([]value, 0, 6) // a record has six
	for {
		p.space()
		if p.peek() != '"' {
			return v, errors.New("no key")
		}
		key, err := p.string()
		if err != nil {
			return v, err
		}
		if len(v.keys) == 16 {
			seen = make(map[string]bool)
			for _, k := range v.keys {
				seen[k] = true
			}
		}
		if seen[key] || (seen == nil && v.has(key)) {
			return v, errors.New("a key stands twice")
		}
		if seen != nil {
			seen[key] = true
		}
		if p.space(); !p.take(':') {
			return v, errors.New("no colon")
		}
		item, err := p.value(depth + 1)
		if err != nil {
			return v, err
		}
		v.keys = append(v.keys, key)
		v.items = append(v.items, item)
		p.space()
		if p.take('}') {
			return v, nil
		}
		if !p.take(',') {
			return v, errors.New("no comma and no end of the object")
		}
	}
}

func (p *parser) array(depth int) (value, error) {
	v := value{kind: jsonArray}
	p.at++
	if p.space(); p.take(']') {
		return v, nil
	}
	for {
		item, err := p.value(depth + 1)
		if err != nil {
			return v, err
		}
		v.items = append(v.items, item)
		p.space()
		if p.take(']') {
			return v, nil
		}
		if !p.take(',') {
			return v, errors.New("no comma and no end of the list")
		}
	}
}

func (p *parser) number() (value, error) {
	start := p.at
	p.take('-')
	if !p.take('0') && !p.digits() {
		return value{}, errors.New("a number without digits")
	}
	if p.take('.') && !p.digits() {
		return value{}, errors.New("a fraction without digits")
	}
	if p.take('e') || p.take('E') {
		if !p.take('+') {
			p.take('-')
		}
		if !p.digits() {
			return value{}, errors.New("an exponent without digits")
		}
	}
	return value{kind: jsonNumber, text: p.text[start:p.at]}, nil
}

// digits steps over digits and says whether there were any.
func (p *parser) digits() bool {
	start := p.at
	for isDigit(p.peek()) {
		p.at++
	}
	return p.at > start
}

// string reads a string; one without escapes is a part of the text, not a copy.
func (p *parser) string() (string, error) {
	p.at++
	start := p.at
	var decoded []byte // used from the first escape on
	for {
		run := p.at
		for p.at < len(p.text) && p.text[p.at] != '"' && p.text[p.at] != '\\' && p.text[p.at] >= 0x20 {
			p.at++
		}
		if p.at == len(p.text) {
			return "", errors.New("a string without end")
		}
		switch p.text[p.at] {
		case '"':
			p.at++
			if decoded == nil {
				return p.text[start : p.at-1], nil
			}
			return string(append(decoded, p.text[run:p.at-1]...)), nil
		case '\\':
			if decoded == nil {
				decoded = make([]byte, 0, p.at-run+16)
			}
			decoded = append(decoded, p.text[run:p.at]...)
			r, err := p.escape()
			if err != nil {
				return "", err
			}
			decoded = utf8.AppendRune(decoded, r)
		default:
			return "", errors.New("a control character in a string")
		}
	}
}

// escape reads an escape, or the two of a surrogate pair.
func (p *parser) escape() (rune, error) {
	p.at++ // the backslash
	c := p.peek()
	if c != 'u' {
		i := strings.IndexByte(`"\/bfnrt`, c)
		if i < 0 {
			return 0, errors.New("not an escape")
		}
		p.at++
		return rune("\"\\/\b\f\n\r\t"[i]), nil
	}
	r, ok := p.unicodeEscape()
	if !ok {
		return 0, errors.New("not an escape")
	}
	if r < 0xD800 || r > 0xDFFF {
		return r, nil
	}
	if r < 0xDC00 && p.take('\\') && p.peek() == 'u' {
		if low, ok := p.unicodeEscape(); ok && 0xDC00 <= low && low <= 0xDFFF {
			return 0x10000 + (r-0xD800)<<10 + (low - 0xDC00), nil
		}
	}
	return 0, errors.New("a lone surrogate")
}

// unicodeEscape reads the u and the four hex digits of an escape.
func (p *parser) unicodeEscape() (rune, bool) {
	if len(p.text)-p.at < 5 {
		return 0, false
	}
	digits := p.text[p.at+1 : p.at+5]
	for i := range len(digits) { // ParseUint with a base takes neither signs nor underscores; this says it without relying on it
		if !isDigit(digits[i]) && !('a' <= digits[i]|0x20 && digits[i]|0x20 <= 'f') {
			return 0, false
		}
	}
	n, err := strconv.ParseUint(digits, 16, 16)
	p.at += 5
	return rune(n), err == nil
}
