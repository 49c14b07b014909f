package checker

import "emqttd/protocol/mqtt"

// Everybody is a set of clients with everything that can be promised: publishers
// and subscribers of both versions, QoS 1 and 2, plain, overlapping, wildcard and
// shared subscriptions, wills, retained messages, and sessions that end.
func Everybody() []Profile {
	t := []string{"t/1", "t/2", "t/3"}
	return []Profile{
		{ID: "pub-311", Version: mqtt.V311, Topics: t, Window: 8, Will: "w/pub-311"},
		{ID: "pub-5", Version: mqtt.V5, Topics: t, Window: 16},
		{ID: "pub-clean", Version: mqtt.V311, Clean: true, Topics: t[:1], Window: 4},
		{ID: "retainer-311", Version: mqtt.V311, Topics: []string{"r/a", "r/b", "r/c"}, Retain: true, Window: 2},
		{ID: "retainer-5", Version: mqtt.V5, Topics: []string{"r/5/a", "r/5/b"}, Retain: true, Window: 3},
		{ID: "sub-all", Version: mqtt.V5, Filters: []string{"t/#"}, QoS: 2},
		{ID: "sub-away", Version: mqtt.V311, Filters: []string{"t/+"}, QoS: 2, Absent: true, Lazy: true},
		{ID: "sub-once", Version: mqtt.V311, Filters: []string{"t/1", "t/2"}, QoS: 1, Lazy: true, Will: "w/sub-once"},
		{ID: "sub-311", Version: mqtt.V311, Filters: []string{"t/1", "t/+", "t/#", "t/3"}, Fickle: true, Will: "w/sub-311"},
		{ID: "sub-5", Version: mqtt.V5, Filters: []string{"t/2", "+/2", "t/#"}, Fickle: true, Lazy: true, Will: "w/sub-5"},
		{ID: "ends-311", Version: mqtt.V311, Filters: []string{"t/1", "t/#"}, Fickle: true, Ends: true},
		{ID: "ends-5", Version: mqtt.V5, Filters: []string{"t/1", "t/#"}, Fickle: true, Ends: true},
		{ID: "share-1", Version: mqtt.V5, Filters: []string{"$share/g/t/#"}, QoS: 2},
		{ID: "share-2", Version: mqtt.V311, Filters: []string{"$share/g/t/#"}, QoS: 2, Absent: true},
		{ID: "wills", Version: mqtt.V5, Filters: []string{"w/#"}, QoS: 1},
	}
}
