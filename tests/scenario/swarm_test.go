package scenario

const swarmAddr = "TEST_SWARM_ADDR"

func swarmMain() int { return 0 }
