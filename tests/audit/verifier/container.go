package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"regexp"
)

// Section 4 of the page, the archive: a ZIP of which every byte is fixed by the names and contents of its files. So nothing
// is read from a header but what is needed to find the next one; then the header as it must be is built and compared.

const (
	maxArchive = 1<<32 - 1 // "less than 4 GiB"
	maxFiles   = 1000

	localLen = 30 // lengths of the three kinds of headers, without the name
	entryLen = 46
	endLen   = 22
)

// \z, not $: nothing may stand behind the name, not even a line break.
var fileName = regexp.MustCompile(`\A[A-Za-z0-9][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9][A-Za-z0-9._-]{0,99}){0,3}\z`)

// file is a file of an archive; content is a part of the archive, not a copy.
type file struct {
	name    string
	content []byte
}

// unpack gives the files of an archive in their order.
func unpack(archive []byte) ([]file, error) {
	if uint64(len(archive)) > maxArchive {
		return nil, errors.New("archive: 4 GiB or more")
	}
	if len(archive) < endLen {
		return nil, errors.New("archive: too short")
	}
	// The end has a fixed length, since nothing stands behind it and it has no comment. Where the directory begins is taken
	// from it, to know where the files end.
	endAt := len(archive) - endLen
	end := archive[endAt:]
	count := int(binary.LittleEndian.Uint16(end[10:]))
	directoryAt := uint64(binary.LittleEndian.Uint32(end[16:]))
	if count < 1 || count > maxFiles {
		return nil, errors.New("archive: end: not 1 to 1000 files")
	}
	if directoryAt > uint64(endAt) {
		return nil, errors.New("archive: end: the directory is not before it")
	}
	if !bytes.Equal(end, makeEnd(count, uint64(endAt)-directoryAt, directoryAt)) {
		return nil, errors.New("archive: end: not as it must be")
	}

	contents, directory := archive[:directoryAt], archive[directoryAt:endAt]
	files := make([]file, 0, count)
	seen := make(map[string]bool, count)
	offset := 0 // of the local header in the archive
	for number := 1; number <= count; number++ {
		rest := contents[offset:]
		if len(rest) < localLen {
			return nil, fmt.Errorf("archive: file %d: no room for its header", number)
		}
		nameLen := int(binary.LittleEndian.Uint16(rest[26:]))
		size := uint64(binary.LittleEndian.Uint32(rest[18:]))
		if uint64(len(rest)) < localLen+uint64(nameLen)+size {
			return nil, fmt.Errorf("archive: file %d: longer than the archive", number)
		}
		name := string(rest[localLen : localLen+nameLen])
		if !fileName.MatchString(name) {
			return nil, fmt.Errorf("archive: file %d: not a name", number)
		}
		if seen[name] {
			return nil, fmt.Errorf("archive: file %d: %s stands there twice", number, name)
		}
		seen[name] = true
		length := localLen + nameLen + int(size)
		f := file{name, rest[localLen+nameLen : length]}

		crc := crc32.ChecksumIEEE(f.content)
		if !bytes.Equal(rest[:localLen+nameLen], makeLocal(f, crc)) {
			return nil, fmt.Errorf("archive: file %d: header or checksum not as it must be", number)
		}
		entry := makeEntry(f, crc, uint32(offset))
		if !bytes.HasPrefix(directory, entry) {
			return nil, fmt.Errorf("archive: file %d: entry in the directory not as it must be", number)
		}
		directory = directory[len(entry):]
		files = append(files, f)
		offset += length
	}
	if offset != len(contents) {
		return nil, errors.New("archive: something between the last file and the directory")
	}
	if len(directory) != 0 {
		return nil, errors.New("archive: something between the directory and the end")
	}
	return files, nil
}

// makeLocal is the local header of f, with the name.
func makeLocal(f file, crc uint32) []byte {
	b := make([]byte, 0, localLen+len(f.name))
	b = append(b, 'P', 'K', 3, 4)
	b = append16(b, 20, 0x0800, 0, 0, 0x0021)
	b = append32(b, crc, uint32(len(f.content)), uint32(len(f.content)))
	b = append16(b, uint16(len(f.name)), 0)
	return append(b, f.name...)
}

// makeEntry is the entry of f in the directory, with the name.
func makeEntry(f file, crc uint32, offset uint32) []byte {
	b := make([]byte, 0, entryLen+len(f.name))
	b = append(b, 'P', 'K', 1, 2)
	b = append16(b, 20, 20, 0x0800, 0, 0, 0x0021)
	b = append32(b, crc, uint32(len(f.content)), uint32(len(f.content)))
	b = append16(b, uint16(len(f.name)), 0, 0, 0, 0)
	b = append32(b, 0, offset)
	return append(b, f.name...)
}

// makeEnd is the end of an archive of count files.
func makeEnd(count int, directoryLen, directoryAt uint64) []byte {
	b := make([]byte, 0, endLen)
	b = append(b, 'P', 'K', 5, 6)
	b = append16(b, 0, 0, uint16(count), uint16(count))
	b = append32(b, uint32(directoryLen), uint32(directoryAt))
	return append16(b, 0)
}

func append16(b []byte, numbers ...uint16) []byte {
	for _, n := range numbers {
		b = binary.LittleEndian.AppendUint16(b, n)
	}
	return b
}

func append32(b []byte, numbers ...uint32) []byte {
	for _, n := range numbers {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	return b
}
