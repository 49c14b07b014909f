package node

import "emqttd/actors/access"

// cleanACLCache has the rights of a connected client judged anew, from what its
// back ends say now.
func (n *Node) cleanACLCache(id string) bool {
	if _, connected := n.client(id); !connected {
		return false
	}
	n.door.changed(access.Selector{ClientID: id})
	return true
}
