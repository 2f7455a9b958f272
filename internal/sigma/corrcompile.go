package sigma

// correlation is a compiled correlation rule.
type correlation struct{ rule *Rule }

func (c *compiler) addCorrelations() {}
