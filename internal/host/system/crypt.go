package system

import (
	"crypto/md5" //nolint:gosec // the format is md5crypt
	"crypto/sha256"
	"crypto/sha512"
	"hash"
)

const itoa64 = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// to64 writes the low 6n bits of v as n letters, the lowest first.
func to64(out []byte, v uint32, n int) []byte {
	for range n {
		out = append(out, itoa64[v&63])
		v >>= 6
	}
	return out
}

// md5crypt is the hash of crypt(3) that begins with $1$, or with $apr1$.
func md5crypt(magic, salt, password string) string {
	salt = salt[:min(len(salt), 8)]
	sum := func(parts ...string) []byte {
		h := md5.New() //nolint:gosec // as above
		for _, p := range parts {
			h.Write([]byte(p))
		}
		return h.Sum(nil)
	}
	alt := sum(password, salt, password)
	h := md5.New() //nolint:gosec // as above
	h.Write([]byte(password + magic + salt))
	for n := len(password); n > 0; n -= 16 {
		h.Write(alt[:min(n, 16)])
	}
	for n := len(password); n > 0; n >>= 1 {
		if n&1 != 0 {
			h.Write([]byte{0})
		} else {
			h.Write([]byte(password[:1]))
		}
	}
	final := h.Sum(nil)
	for i := range 1000 {
		first, last := password, string(final)
		if i&1 == 0 {
			first, last = last, first
		}
		mid := ""
		if i%3 != 0 {
			mid += salt
		}
		if i%7 != 0 {
			mid += password
		}
		final = sum(first, mid, last)
	}
	var out []byte
	for _, t := range [][3]int{{0, 6, 12}, {1, 7, 13}, {2, 8, 14}, {3, 9, 15}, {4, 10, 5}} {
		out = to64(out, uint32(final[t[0]])<<16|uint32(final[t[1]])<<8|uint32(final[t[2]]), 4)
	}
	return magic + salt + "$" + string(to64(out, uint32(final[11]), 2))
}

// repeated is sum again and again, size bytes of it.
func repeated(sum []byte, size int) []byte {
	out := make([]byte, 0, size)
	for len(out) < size {
		out = append(out, sum[:min(len(sum), size-len(out))]...)
	}
	return out
}

// shaCrypt is the hash of crypt(3) that begins with $5$ or $6$, with 5,000 rounds.
func shaCrypt(bits int, salt, password string) string {
	salt = salt[:min(len(salt), 16)]
	fresh, magic := func() hash.Hash { return sha512.New() }, "$6$"
	if bits == 256 {
		fresh, magic = func() hash.Hash { return sha256.New() }, "$5$"
	}
	pw, sl := []byte(password), []byte(salt)
	h := fresh()
	h.Write([]byte(password + salt + password))
	b := h.Sum(nil)
	h = fresh()
	h.Write(pw)
	h.Write(sl)
	h.Write(repeated(b, len(pw)))
	for n := len(pw); n > 0; n >>= 1 {
		if n&1 != 0 {
			h.Write(b)
		} else {
			h.Write(pw)
		}
	}
	a := h.Sum(nil)
	h = fresh()
	for range pw {
		h.Write(pw)
	}
	p := repeated(h.Sum(nil), len(pw))
	h = fresh()
	for range 16 + int(a[0]) {
		h.Write(sl)
	}
	s := repeated(h.Sum(nil), len(sl))
	for i := range 5000 {
		h = fresh()
		first, last := p, a
		if i&1 == 0 {
			first, last = last, first
		}
		h.Write(first)
		if i%3 != 0 {
			h.Write(s)
		}
		if i%7 != 0 {
			h.Write(p)
		}
		h.Write(last)
		a = h.Sum(nil)
	}
	return magic + salt + "$" + string(shaLetters(bits, a))
}

// shaLetters are the bytes of a hash in the order that crypt(3) writes them.
func shaLetters(bits int, a []byte) []byte {
	var out []byte
	triple := func(x, y, z int) { out = to64(out, uint32(a[x])<<16|uint32(a[y])<<8|uint32(a[z]), 4) }
	if bits == 256 {
		for x, y, z, i := 0, 10, 20, 0; i < 10; i++ {
			triple(x, y, z)
			x, y, z = z+1, x+1, y+1
		}
		return to64(out, uint32(a[31])<<8|uint32(a[30]), 3)
	}
	for x, y, z, i := 0, 21, 42, 0; i < 21; i++ {
		triple(x, y, z)
		x, y, z = y+1, z+1, x+1
	}
	return to64(out, uint32(a[63]), 2)
}
