// Package clients drives the broker with the client libraries that people use:
// Eclipse Paho for Go and MQTT.js. It is a module of its own, so that nothing of
// theirs is in the broker's:
//
//	cd tests/clients && npm ci && go test ./...
package clients
