// Package topic holds the rules of MQTT topic names and topic filters
// (MQTT 3.1.1 and 5.0, section 4.7) and of the subscription prefixes
// $share/<group>/, $queue/ and $local/.
package topic

// Name is a Topic Name: what a PUBLISH carries. It has no wildcards.
type Name string

// Filter is a Topic Filter without any subscription prefix: what a
// subscription is matched by.
type Filter string
