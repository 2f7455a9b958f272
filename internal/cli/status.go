package cli

// exitStatus ends the program with a status of its own; what there was to say
// has been said.
type exitStatus int //nolint:errname // it is a status

func (exitStatus) Error() string { return "see above" }
