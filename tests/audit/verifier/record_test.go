package main

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
)

func TestJSON(t *testing.T) {
	for _, text := range []string{
		`null`, ` {"a" : [1 , -0.5e+3, 0, 1E-2, true, false, null] } `, `""`, `[]`, `{}`, `"\"\\\/\b\f\n\r\t\u0000\u00e9\ud83d\ude00é😀"`, "\"\u2028\x7f\"",
		`{"a":{"a":1},"A":2}`, `1e999`, strings.Repeat("[", 101) + strings.Repeat("]", 101),
	} {
		if _, err := parseJSON(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	many := "{"
	for i := range 40 {
		many += `"k` + strings.Repeat("x", i) + `":1,`
	}
	if _, err := parseJSON(many + `"last":1}`); err != nil {
		t.Error("many keys:", err)
	}
	for _, text := range []string{
		``, ` `, `nul`, `nulll`, `{} {}`, `1 2`, `[1,]`, `[,1]`, `{"a":1,}`, `{,}`, `{"a"}`, `{a:1}`, `{'a':1}`, `[1 2]`, `"a`, `"\`, `"\u12`, `"\x41"`, `"\u+123"`, `"\u12_4"`,
		"\"\t\"", "\"\x00\"", "\"\n\"", "\xef\xbb\xbf{}", "\"\xff\"", "\"\xed\xa0\x80\"", `"\ud83d"`, `"\ud83dx"`, `"\ude00"`, `"\ud83d\ud83d"`, `"\ude00\ud83d"`, `"\ud83d\n"`,
		`01`, `+1`, `-`, `1.`, `.5`, `1e`, `1e+`, `0x1`, `1_0`, `NaN`, `Infinity`, `-Infinity`, `--1`, "\u00a01", "\v1", `[1]x`, `]`, `{"a":1]`, `[1}`, `// x`,
		`{"a":1,"a":1}`, `{"a":1,"\u0061":2}`, `[{"b":{"c":1,"c":2}}]`, many + `"k":1}`, many + `"kxx":1}`,
		strings.Repeat("[", 102) + strings.Repeat("]", 102), strings.Repeat("[", 1000000), strings.Repeat(`{"a":`, 1000000),
	} {
		if _, err := parseJSON(text); err == nil {
			t.Errorf("%.60s", text)
		}
	}
	v, err := parseJSON(`{"k\u00e9":"\ud83d\ude00\tx"}`)
	if err != nil || v.get("ké").text != "😀\tx" {
		t.Error(v, err)
	}
}

func TestTimes(t *testing.T) {
	for s, same := range map[string]string{
		"2026-11-23T12:00:00.123456Z":         "2026-11-23T12:00:00.123456000Z",
		"2026-11-23T12:00:00Z":                "2026-11-23T11:00:00-01:00",
		"2024-02-29T23:30:00-00:30":           "2024-03-01T00:00:00Z",
		"0001-01-01T00:00:00Z":                "0001-01-01T23:59:00+23:59",
		"2026-11-23T12:00:00.000000001-00:00": "2026-11-23T12:00:00.000000001+00:00",
	} {
		a, okA := parseTime(s)
		b, okB := parseTime(same)
		if !okA || !okB || !a.Equal(b) {
			t.Errorf("%s: %v, %s: %v", s, a, same, b)
		}
	}
	for _, s := range []string{
		"", "2026-11-23", "2026-11-23T12:00:00", "2026-11-23 12:00:00Z", "2026-11-23t12:00:00Z", "2026-11-23T12:00:00z", "2026-11-23T12:00Z", "2026-11-23T12:00:00,5Z",
		"2026-11-23T12:00:00.Z", "2026-11-23T12:00:00.1234567890Z", "2026-11-23T1:00:00Z", "2026-11-23T24:00:00Z", "2026-11-23T12:60:00Z", "2026-12-31T23:59:60Z",
		"2026-02-29T12:00:00Z", "2026-04-31T12:00:00Z", "2026-13-01T12:00:00Z", "2026-00-01T12:00:00Z", "2026-01-00T12:00:00Z", "0000-01-01T12:00:00Z",
		"2026-11-23T12:00:00+24:00", "2026-11-23T12:00:00+01:60", "2026-11-23T12:00:00+0100", "2026-11-23T12:00:00+01", "2026-11-23T12:00:00\u221201:00",
		"2026-11-23T12:00:00Z ", " 2026-11-23T12:00:00Z", "2026-11-23T12:00:00ZZ", "02026-11-23T12:00:00Z", "20261123T120000Z", "2026-W48-1T12:00:00Z",
	} {
		if at, ok := parseTime(s); ok {
			t.Errorf("%s: %v", s, at)
		}
	}
}

const goodRecord = `{"at":"2026-11-23T12:00:00.123456Z","body":{"x":[1.5,{}]},"incident":7,"kind":"action.intent","remediation":null,"seq":17}`

func TestRecords(t *testing.T) {
	commitment := strings.Repeat("0123456789abcdef", 4)
	with := func(old, new string) string {
		if !strings.Contains(goodRecord, old) {
			t.Fatal(old)
		}
		return strings.Replace(goodRecord, old, new, 1)
	}
	for _, line := range []string{
		goodRecord, with(`{"at"`, ` { "at"`), with(`"seq"`, `"s\u0065q"`), with(`{"x":[1.5,{}]}`, `{}`), with(`7`, `null`), with(`:17`, `:9999999999999999`),
		with(`{"x"`, `{"committed":{},"x"`), with(`{"x"`, `{"committed":{"text":"`+commitment+`"},"x"`),
	} {
		if _, err := parseRecord(line); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
	for _, line := range []string{
		``, `[]`, `{}`, goodRecord + ` x`, goodRecord + goodRecord, goodRecord + "\r", with(`,"seq"`, ",\r\"seq\""),
		with(`,"seq":17`, ``), with(`:17`, `:17,"more":1`), with(`"seq"`, `"Seq"`), with(`:17`, `:17,"seq":17`), with(`"x"`, `"x":1,"x"`),
		with(`:17`, `:0`), with(`:17`, `:-1`), with(`:17`, `:17.0`), with(`:17`, `:17e0`), with(`:17`, `:1.7e1`), with(`:17`, `:"17"`), with(`:17`, `:017`), with(`:17`, `:true`),
		with(`:17`, `:10000000000000000`), with(`:17`, `:null`),
		with(`"2026-11-23T12:00:00.123456Z"`, `1763899200`), with(`"2026-11-23T12:00:00.123456Z"`, `null`), with(`.123456Z`, ``), with(`T12`, ` 12`),
		with(`{"x":[1.5,{}]}`, `null`), with(`{"x":[1.5,{}]}`, `[]`), with(`{"x":[1.5,{}]}`, `"{}"`), with(`1.5`, `NaN`), with(`1.5`, `"\ud800"`), with(`1.5`, "\"\xff\""),
		with(`7`, `7.0`), with(`7`, `"7"`), with(`7`, `-7`), with(`null`, `false`), with(`"action.intent"`, `null`), with(`action.intent`, ``),
		with(`{"x"`, `{"committed":null,"x"`), with(`{"x"`, `{"committed":[],"x"`), with(`{"x"`, `{"committed":{"text":null},"x"`),
		with(`{"x"`, `{"committed":{"text":"`+strings.ToUpper(commitment)+`"},"x"`), with(`{"x"`, `{"committed":{"text":"`+commitment[1:]+`"},"x"`),
		with(`{"x"`, `{"committed":{"text":"`+commitment+`0"},"x"`), with(`{"x"`, `{"committed":{"text":"`+commitment+`"},"committed":{},"x"`),
	} {
		if r, err := parseRecord(line); err == nil {
			t.Errorf("%s: %v", line, r)
		}
	}
}

func TestDisclosures(t *testing.T) {
	salt := "000102030405060708090a0b0c0d0e0f"
	raw, _ := hex.DecodeString(salt)
	check := func(text, disclosure string) bool {
		v, err := parseJSON(disclosure)
		return err == nil && fits(v, sha256.Sum256(append(raw[:16:16], text...)))
	}
	for text, disclosure := range map[string]string{
		`"é\n"`:          `["` + salt + `","\"é\\n\""]`,
		`{"a": [1]} `:    `["` + salt + `","{\"a\": [1]} "]`,
		"\"\u2028\"":     `["` + salt + `","\"\u2028\""]`,
		`"\ud83d\ude00"`: `["` + salt + `","\"\\ud83d\\ude00\""]`,
	} {
		if !check(text, disclosure) {
			t.Errorf("%s as %s", text, disclosure)
		}
	}
	for text, disclosure := range map[string]string{
		`1`:             `["` + salt + `","2"]`,
		`2`:             `["` + salt + `",2]`,
		`3`:             `["` + salt + `","3",""]`,
		`4`:             `["` + salt + `"]`,
		`5`:             `{"` + salt + `":"5"}`,
		`6`:             `["` + strings.ToUpper(salt) + `","6"]`,
		`x`:             `["` + salt + `","x"]`, // fits, but is not JSON
		`NaN`:           `["` + salt + `","NaN"]`,
		``:              `["` + salt + `",""]`,
		`"\ud800"`:      `["` + salt + `","\"\\ud800\""]`,
		"\x0f8":         `["` + salt[:30] + `","\u000f8"]`, // the end of the salt as the beginning of the text
		`{"a":1,"a":2}`: `["` + salt + `","{\"a\":1,\"a\":2}"]`,
	} {
		if check(text, disclosure) {
			t.Errorf("%s as %s", text, disclosure)
		}
	}
	for _, line := range []string{
		``, `{}`, `{"fields":{},"seq":1}`, `{"fields":[],"seq":1}`, `{"fields":null,"seq":1}`, `{"fields":{"a":[]},"seq":1.0}`, `{"fields":{"a":[]},"seq":1,"x":1}`,
		`{"fields":{"a":[],"a":[]},"seq":1}`, `{"fields":{"a":[]}}`, `{"seq":1}`, `{"fields":{"a":[]},"seq":1}` + "\r",
	} {
		if _, _, err := parseDisclosures(line); err == nil {
			t.Errorf("%s", line)
		}
	}
}
