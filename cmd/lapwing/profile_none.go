//go:build !profile

package main

// profile is for builds with the tag profile.
func profile() (stop func()) { return func() {} }
