module emqttd/tests/codec

go 1.26.7

require (
	emqttd v0.0.0
	github.com/eclipse/paho.golang v0.23.0
	github.com/mochi-mqtt/server/v2 v2.7.9
	pgregory.net/rapid v1.3.0
)

replace emqttd => ../..
