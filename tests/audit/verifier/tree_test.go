package main

import (
	"encoding/hex"
	"math/rand/v2"
	"testing"
)

// The tests make their trees in the most literal way, so that they share no thought with the verifier.

func plainRoot(leaves []hash) hash {
	switch len(leaves) {
	case 0:
		return emptyRoot
	case 1:
		return leaves[0]
	}
	k := 1
	for k*2 < len(leaves) {
		k *= 2
	}
	return nodeHash(plainRoot(leaves[:k]), plainRoot(leaves[k:]))
}

// plainProof is the proof of section 4 for the leaves whose numbers are in known.
func plainProof(low int, leaves []hash, known map[int]bool) []hash {
	any := false
	for i := range leaves {
		any = any || known[low+i]
	}
	switch {
	case len(leaves) == 0:
		return nil
	case !any:
		return []hash{plainRoot(leaves)}
	case len(leaves) == 1:
		return nil
	}
	k := 1
	for k*2 < len(leaves) {
		k *= 2
	}
	return append(plainProof(low, leaves[:k], known), plainProof(low+k, leaves[k:], known)...)
}

// plainConsistency is SUBPROOF(m, leaves, whole) of RFC 6962.
func plainConsistency(m int, leaves []hash, whole bool) []hash {
	if m == 0 {
		return nil
	}
	if m == len(leaves) {
		if whole {
			return nil
		}
		return []hash{plainRoot(leaves)}
	}
	k := 1
	for k*2 < len(leaves) {
		k *= 2
	}
	if m <= k {
		return append(plainConsistency(m, leaves[:k], whole), plainRoot(leaves[k:]))
	}
	return append(plainConsistency(m-k, leaves[k:], false), plainRoot(leaves[:k]))
}

func someLeaves(n int) []hash {
	leaves := make([]hash, n)
	for i := range leaves {
		leaves[i] = leafHash(string(rune('a' + i)))
	}
	return leaves
}

// The vectors with which implementations of RFC 6962 are usually tested.
func TestRootsOfKnownTrees(t *testing.T) {
	entries := []string{
		"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
	}
	roots := []string{
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
		"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
		"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
		"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
	}
	var leaves []leaf
	for i, entry := range entries {
		line, err := hex.DecodeString(entry)
		if err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, leaf{uint64(i), leafHash(string(line))})
		root, err := rootOf(uint64(i+1), leaves, nil)
		if err != nil || hex.EncodeToString(root[:]) != roots[i] {
			t.Errorf("%d leaves: %x, %v", i+1, root, err)
		}
	}
	if root, err := rootOf(0, nil, nil); err != nil || root != emptyRoot {
		t.Errorf("no leaves: %x, %v", root, err)
	}
	if hex.EncodeToString(emptyRoot[:]) != "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" {
		t.Errorf("root of 0: %x", emptyRoot)
	}
}

func TestProofOfSomeLeaves(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for n := 0; n <= 33; n++ {
		all := someLeaves(n)
		for range 40 {
			known := map[int]bool{}
			var leaves []leaf
			for i := range all {
				if random.IntN(4) == 0 {
					known[i] = true
					leaves = append(leaves, leaf{uint64(i), all[i]})
				}
			}
			proof := plainProof(0, all, known)
			root, err := rootOf(uint64(n), leaves, proof)
			if err != nil || root != plainRoot(all) {
				t.Fatalf("%d leaves, %v known: %v", n, known, err)
			}
			if _, err := rootOf(uint64(n), leaves, append(proof[:len(proof):len(proof)], hash{})); err == nil {
				t.Fatalf("%d leaves: a hash too many", n)
			}
			if len(proof) > 0 {
				if _, err := rootOf(uint64(n), leaves, proof[1:]); err == nil {
					t.Fatalf("%d leaves: a hash too few", n)
				}
			}
			for i := range proof {
				wrong := append([]hash(nil), proof...)
				wrong[i][0] ^= 1
				if root, err := rootOf(uint64(n), leaves, wrong); err == nil && root == plainRoot(all) {
					t.Fatalf("%d leaves: hash %d of the proof is not used", n, i)
				}
			}
		}
	}
}

// A proof of three records of the largest tree a checkpoint can speak of takes no more than its depth.
func TestLargestTree(t *testing.T) {
	const size = 9999999999999999
	leaves := []leaf{{0, hash{1}}, {1 << 52, hash{2}}, {size - 1, hash{3}}}
	if _, err := rootOf(size, leaves, nil); err != errProofShort {
		t.Error(err)
	}
	if _, err := rootOf(size, leaves, make([]hash, 1000)); err != errProofLong {
		t.Error(err)
	}
}

func TestConsistency(t *testing.T) {
	for n := 2; n <= 40; n++ {
		all := someLeaves(n)
		for m := 1; m < n; m++ {
			old, now := plainRoot(all[:m]), plainRoot(all)
			proof := plainConsistency(m, all, true)
			from, to, err := consistency(uint64(m), uint64(n), old, proof)
			if err != nil || from != old || to != now {
				t.Fatalf("from %d to %d: %v", m, n, err)
			}
			if provesAlone(uint64(m)) {
				if from, to, err := consistency(uint64(m), uint64(n), hash{}, proof); err != nil || from != old || to != now {
					t.Fatalf("from %d to %d, without the old root: %v", m, n, err)
				}
			} else if _, to, _ := consistency(uint64(m), uint64(n), hash{}, proof); to == now {
				t.Fatalf("from %d to %d: does not need the old root", m, n)
			}
			if _, _, err := consistency(uint64(m), uint64(n), old, proof[1:]); err != errProofShort {
				t.Fatalf("from %d to %d: a hash too few: %v", m, n, err)
			}
			if _, _, err := consistency(uint64(m), uint64(n), old, append(proof[:len(proof):len(proof)], hash{})); err != errProofLong {
				t.Fatalf("from %d to %d: a hash too many: %v", m, n, err)
			}
			for i := range proof {
				wrong := append([]hash(nil), proof...)
				wrong[i][31] ^= 0x80
				if from, to, _ := consistency(uint64(m), uint64(n), old, wrong); from == old && to == now {
					t.Fatalf("from %d to %d: hash %d is not used", m, n, i)
				}
			}
		}
	}
}
