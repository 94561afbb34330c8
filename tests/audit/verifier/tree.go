package main

import (
	"crypto/sha256"
	"errors"
	"math/bits"
	"sort"
)

// Section 2 of the page, and the two kinds of proofs of section 4.

type hash [sha256.Size]byte

var emptyRoot = hash(sha256.Sum256(nil))

var (
	errProofShort = errors.New("too few hashes")
	errProofLong  = errors.New("too many hashes")
)

func leafHash(line string) hash {
	return sha256.Sum256(append([]byte{0}, line...))
}

func nodeHash(left, right hash) hash {
	var b [1 + 2*sha256.Size]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[1+sha256.Size:], right[:])
	return sha256.Sum256(b[:])
}

// split gives the largest power of two less than n, which is more than 1.
func split(n uint64) uint64 {
	return 1 << (bits.Len64(n-1) - 1)
}

// leaf is a leaf whose record is known.
type leaf struct {
	number uint64
	hash   hash
}

// proofReader gives the hashes of a proof one after the other.
type proofReader struct{ rest []hash }

func (p *proofReader) next() (hash, error) {
	if len(p.rest) == 0 {
		return hash{}, errProofShort
	}
	h := p.rest[0]
	p.rest = p.rest[1:]
	return h, nil
}

func (p *proofReader) end() error {
	if len(p.rest) != 0 {
		return errProofLong
	}
	return nil
}

// rootOf gives the root of a tree of size leaves of which some are known (in ascending order, all less than size) and the
// others are stood for by the hashes of the proof.
func rootOf(size uint64, leaves []leaf, proof []hash) (hash, error) {
	p := proofReader{proof}
	root := emptyRoot
	if size > 0 {
		var err error
		if root, err = spanRoot(0, size, leaves, &p); err != nil {
			return hash{}, err
		}
	}
	return root, p.end()
}

// spanRoot gives the root of the leaves from low until before high; leaves are the known ones of them. It goes as deep as
// a size has bits.
func spanRoot(low, high uint64, leaves []leaf, proof *proofReader) (hash, error) {
	if len(leaves) == 0 {
		return proof.next()
	}
	if high-low == 1 {
		return leaves[0].hash, nil
	}
	middle := low + split(high-low)
	i := sort.Search(len(leaves), func(i int) bool { return leaves[i].number >= middle })
	left, err := spanRoot(low, middle, leaves[:i], proof)
	if err != nil {
		return hash{}, err
	}
	right, err := spanRoot(middle, high, leaves[i:], proof)
	if err != nil {
		return hash{}, err
	}
	return nodeHash(left, right), nil
}

// consistency gives the two roots to which the proof of RFC 6962 section 2.1.2 from a tree of m leaves to one of n leads,
// 0 < m < n. Where the proof takes the root of the smaller tree as known, that is oldRoot.
func consistency(m, n uint64, oldRoot hash, proof []hash) (from, to hash, err error) {
	p := proofReader{proof}
	if from, to, err = subproof(m, n, true, oldRoot, &p); err != nil {
		return hash{}, hash{}, err
	}
	return from, to, p.end()
}

// subproof is SUBPROOF of RFC 6962, read backwards: the root of the first m of n leaves, and that of all n. whole says that
// the m leaves are still the whole smaller tree, whose root the proof leaves out.
func subproof(m, n uint64, whole bool, oldRoot hash, proof *proofReader) (from, to hash, err error) {
	if m == n {
		if whole {
			return oldRoot, oldRoot, nil
		}
		h, err := proof.next()
		return h, h, err
	}
	k := split(n)
	if m <= k {
		if from, to, err = subproof(m, k, whole, oldRoot, proof); err != nil {
			return
		}
		right, err := proof.next()
		return from, nodeHash(to, right), err
	}
	if from, to, err = subproof(m-k, n-k, false, oldRoot, proof); err != nil {
		return
	}
	left, err := proof.next()
	return nodeHash(left, from), nodeHash(left, to), err
}

// provesAlone says whether the proof from m leaves does without the root of the smaller tree: that is left out only where
// the m leaves are a node of the larger tree.
func provesAlone(m uint64) bool {
	return bits.OnesCount64(m) != 1
}
