package topic

// Error says which rule a topic name, filter or subscription breaks.
type Error struct {
	// Reason is a metric label in snake_case.
	Reason string
	// Clause is the normative statement, empty for a limit of ours.
	Clause string
}

// Error returns the reason and, if there is one, the clause.
func (e *Error) Error() string {
	if e.Clause == "" {
		return "topic: " + e.Reason
	}
	return "topic: " + e.Reason + " [" + e.Clause + "]"
}

// The rules that can be broken. Compare with errors.Is or ==: these values are
// returned as they are.
var (
	ErrEmpty         = &Error{"empty", "MQTT-4.7.3-1"}
	ErrNull          = &Error{"null_character", "MQTT-4.7.3-2"}
	ErrTooLong       = &Error{"too_long", "MQTT-4.7.3-3"}
	ErrUTF8          = &Error{"not_utf8", "MQTT-1.5.3-1"}
	ErrNameWildcard  = &Error{"wildcard_in_name", "MQTT-3.3.2-2"}
	ErrMultiLevel    = &Error{"misplaced_multi_level_wildcard", "MQTT-4.7.1-2"}
	ErrSingleLevel   = &Error{"misplaced_single_level_wildcard", "MQTT-4.7.1-3"}
	ErrTooManyLevels = &Error{"too_many_levels", ""}
	ErrShareName     = &Error{"bad_share_name", "MQTT-4.8.2-1"}
	ErrShareFilter   = &Error{"share_without_filter", "MQTT-4.8.2-2"}
)
