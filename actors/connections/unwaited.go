package connections

// unwaited is how a connection is held once its CONNECT has been read: in a form
// that needs no goroutine to wait for more, if there is one.
func unwaited(t Transport) Link {
	switch t := t.(type) {
	case *plainTransport:
		if p, ok := t.Conn.(Polled); ok {
			return p
		}
	case interface{ Unwrap() Transport }:
		if p, ok := unwaited(t.Unwrap()).(Polled); ok {
			return p
		}
	}
	return t
}
