package sessions

import (
	"testing"
	"testing/synctest"
)

func TestAReaderWaitsForASessionThatIsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f Flow
		handed := make(chan int, 1000)
		go func() {
			for i := range 3 * flowHigh {
				f.Hand()
				f.Wait()
				handed <- i
			}
			close(handed)
		}()
		synctest.Wait()
		if n := len(handed); n != flowHigh {
			t.Errorf("%d were handed over before it waited, want %d", n, flowHigh)
		}
		for range flowHigh - flowLow {
			f.took()
		}
		synctest.Wait()
		if n := len(handed); n != flowHigh {
			t.Errorf("it went on at once: %d", n)
		}
		for range 3*flowHigh - (flowHigh - flowLow) {
			f.took()
			synctest.Wait()
		}
		n := 0
		for range handed {
			n++
		}
		if n != 3*flowHigh {
			t.Errorf("%d were handed over", n)
		}
	})
}

func TestAClosedConnectionLetsItsReaderGo(t *testing.T) {
	synctest.Test(t, func(*testing.T) {
		var f Flow
		done := make(chan struct{})
		go func() {
			for range 2 * flowHigh {
				f.Hand()
				f.Wait()
			}
			close(done)
		}()
		synctest.Wait()
		f.Close()
		<-done
	})
}
