package servers

import (
	"fmt"
	"math/rand/v2"
	"net"
)

// freeAddr is an address where nobody listens. Its port is below those which the
// kernel gives to outgoing connections (32768 and up on Linux): a server that is
// stopped finds it free when it is started again.
func freeAddr() (string, error) {
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000))
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			return "", err
		}
		return addr, nil
	}
	return "", fmt.Errorf("no free port between 20000 and 32000")
}
