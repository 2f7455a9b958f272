//go:build !unix

package follow

func explain(_ string, err error) error { return err }
