// Package codec compares our MQTT codec with those of paho.golang (MQTT 5) and
// mochi-mqtt (all versions), in a module of its own so that the broker does not
// depend on them:
//
//	cd tests/codec && go test ./...
//
// What we encode both must decode to the same values, what they encode so must
// we, and no bytes may be accepted by us alone unless a clause says that we are
// right.
package codec
