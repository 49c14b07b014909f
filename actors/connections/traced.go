package connections

import "emqttd/actors/system/trace"

// tap is where what is seen of the client goes, nil if it is not traced. That
// costs one load while nothing is.
func (c *connection) tap() *trace.Tap {
	return c.rt.Sessions.Trace.Tap(c.client.ClientID, c.client.Peer)
}

// sending implements outboxOwner.
func (c *connection) sending(packets []byte) {
	if tap := c.tap(); tap != nil {
		tap.Sent(packets, c.client.Version)
	}
}
