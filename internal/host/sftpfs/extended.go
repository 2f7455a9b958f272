package sftpfs

import (
	"encoding/binary"
	"strings"
)

// extended serves OpenSSH's extensions.
func (s *server) extended(r *reader) code {
	fs, who := s.p.M.FS, s.p.Caller
	switch r.str() {
	case "posix-rename@openssh.com":
		from, to := s.path(r), s.path(r)
		return s.did("Rename", from, to, fs.Rename(who, from, to))
	case "hardlink@openssh.com":
		from, to := s.path(r), s.path(r)
		return s.did("Link", from, to, fs.Link(who, from, to))
	case "fsync@openssh.com":
		if f := s.handle(r); f == nil || f.h == nil {
			return noSuchFile
		}
		return ok
	case "lsetstat@openssh.com":
		name := s.path(r)
		return s.setstat(name, r.attrs(), false)
	case "statvfs@openssh.com":
		if _, err := fs.Stat(who, s.path(r)); err != nil {
			return status(err)
		}
		return s.statvfs()
	case "fstatvfs@openssh.com":
		if f := s.handle(r); f == nil || f.h == nil {
			return failure
		}
		return s.statvfs()
	case "limits@openssh.com":
		s.numbers(maxPacket, maxData, maxData, maxHandles)
		return ok
	case "expand-path@openssh.com":
		return s.expand(r.str())
	case "copy-data":
		return s.copyData(r)
	case "home-directory":
		if a, found := s.p.M.Account(r.str()); found {
			return s.realpath(a.Home)
		}
		return failure
	case "users-groups-by-id@openssh.com":
		return s.names(r.bytes(), r.bytes())
	}
	return unsupported
}

func (s *server) numbers(n ...uint64) {
	s.reply[4] = fxExtReply
	for _, v := range n {
		s.reply = binary.BigEndian.AppendUint64(s.reply, v)
	}
}

// statvfs tells of the root's file system what df tells.
func (s *server) statvfs() code {
	const unit = 4096
	for _, m := range s.p.M.Mounts() {
		if m.Target != "/" {
			continue
		}
		free, avail := m.SizeKB-m.UsedKB, m.SizeKB-m.UsedKB
		if m.FS == "ext4" {
			avail -= m.SizeKB / 20
		}
		u := func(n int64) uint64 { return uint64(max(n, 0)) }
		s.numbers(unit, unit, u(m.SizeKB/4), u(free/4), u(avail/4), u(m.Inodes), u(m.Inodes-m.IUsed), u(m.Inodes-m.IUsed), s.p.M.Persona.Seed, 0, 255)
		return ok
	}
	return failure
}

// expand is realpath with a leading ~ or ~user.
func (s *server) expand(name string) code {
	rest, tilde := strings.CutPrefix(name, "~")
	if !tilde {
		return s.realpath(name)
	}
	user, rest, _ := strings.Cut(rest, "/")
	home := s.p.S.User.Home
	if user != "" {
		a, found := s.p.M.Account(user)
		if !found {
			s.why = "no such user"
			return noSuchFile
		}
		home = a.Home
	}
	if rest == "" {
		return s.realpath(home)
	}
	return s.realpath(home + "/" + rest)
}

// copyData copies from one open file to another; length 0 means to the end.
func (s *server) copyData(r *reader) code {
	from, off, n, to, at := s.handle(r), r.u64(), r.u64(), s.handle(r), r.u64()
	if r.bad || from == nil || to == nil || from == to || from.h == nil || to.h == nil || off > 1<<62 || at > 1<<62 {
		return failure
	}
	buf := make([]byte, 32<<10)
	for left := n; n == 0 || left > 0; {
		part := buf
		if n != 0 {
			part = buf[:min(uint64(len(buf)), left)]
		}
		k, err := from.h.ReadAt(part, int64(off))
		if k == 0 {
			if st := status(err); st != eof && err != nil {
				return st
			}
			return ok
		}
		if s.p.S.Budget.Move(int64(k)) != nil {
			return failure
		}
		if _, err := to.h.WriteAt(part[:k], int64(at)); err != nil {
			return status(err)
		}
		off, at, left = off+uint64(k), at+uint64(k), left-uint64(k)
	}
	return ok
}

// names gives the names of user and group ids, empty where there is none.
func (s *server) names(uids, gids []byte) code {
	list := func(ids []byte, name func(uint32) string) []byte {
		var out []byte
		for ; len(ids) >= 4 && len(out) < maxData/2; ids = ids[4:] {
			n := name(binary.BigEndian.Uint32(ids))
			if n != "" && n[0] >= '0' && n[0] <= '9' {
				n = "" // there is no such id
			}
			out = append(binary.BigEndian.AppendUint32(out, uint32(len(n))), n...)
		}
		return out
	}
	users, groups := list(uids, s.p.M.UserName), list(gids, s.p.M.GroupName)
	s.reply[4] = fxExtReply
	s.str(string(users))
	s.str(string(groups))
	return ok
}
