//go:build !unix

package follow

const nonblock = 0
