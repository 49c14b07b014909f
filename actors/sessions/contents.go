package sessions

// contents looks at the messages that the session holds.
func (s *session) contents(limit int) *ContentsResult {
	return &ContentsResult{PID: s.self, Contents: s.state.Contents(limit)}
}
