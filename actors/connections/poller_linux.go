package connections

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// HasEpoll says whether a Runtime can do what Epoll asks for on this system.
const HasEpoll = true

// poller tells socketLinks when they may be read or written, from one goroutine
// for all of them. It is edge-triggered: the kernel tells once what is new, and
// whoever reads goes on until there is nothing left. So a socket is registered
// once, and no system call arms it again after each read.
type poller struct {
	fd   int // of epoll
	stop int // an eventfd that ends the loop

	mu sync.Mutex
	// links has each link at the number of its descriptor; next numbers them, so
	// that an event for a descriptor that has been used again finds nobody.
	links []*socketLink
	next  uint32
}

// pollBatch is how many events are fetched at once. More save system calls under
// load; the array is the poller's own, so they cost nothing else.
const pollBatch = 128

// pollEvents is what a socket is registered for. Edges of EPOLLOUT come only after
// a write has found no room, so that nobody pays for them who does not wait.
const pollEvents = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create: %w", err)
	}
	stop, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(stop)}
	if err := unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, stop, &ev); err != nil {
		_, _ = unix.Close(fd), unix.Close(stop)
		return nil, fmt.Errorf("epoll_ctl: %w", err)
	}
	p := &poller{fd: fd, stop: stop}
	go p.loop()
	return p, nil
}

// close ends the loop. No link is left.
func (p *poller) close() {
	_, _ = unix.Write(p.stop, []byte{1, 0, 0, 0, 0, 0, 0, 0})
}

// take makes a link of a socket that net has opened, and drops what net keeps of
// it. It fails, and leaves t as it is, where there are no descriptors left.
func (p *poller) take(t *rawTransport) (*socketLink, error) {
	l := &socketLink{p: p}
	var err error
	e := t.raw.Control(func(fd uintptr) {
		var dup int
		dup, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
		l.fd = int32(dup)
	})
	if err = errors.Join(e, err); err != nil {
		return nil, err
	}
	if err = p.add(l); err != nil {
		_ = unix.Close(int(l.fd))
		return nil, err
	}
	_ = t.Close() // the other descriptor of the same socket
	return l, nil
}

func (p *poller) add(l *socketLink) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next++
	l.number = p.next
	for int(l.fd) >= len(p.links) {
		p.links = append(p.links, nil)
	}
	ev := unix.EpollEvent{Events: pollEvents, Fd: l.fd, Pad: int32(l.number)}
	if err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, int(l.fd), &ev); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	p.links[l.fd] = l
	return nil
}

// remove is called before the descriptor is closed.
func (p *poller) remove(l *socketLink) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.links[l.fd] == l {
		p.links[l.fd] = nil
	}
}

// find returns the link of an event and whom to tell, nil if it has gone.
func (p *poller) find(ev *unix.EpollEvent) (*socketLink, interface{ Ready() }) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := p.links[ev.Fd]; l != nil && l.number == uint32(ev.Pad) {
		return l, l.watcher
	}
	return nil, nil
}

func (p *poller) loop() {
	defer func() { _, _ = unix.Close(p.fd), unix.Close(p.stop) }()
	events := make([]unix.EpollEvent, pollBatch)
	for {
		for _, ev := range events[:p.wait(events)] {
			if int(ev.Fd) == p.stop {
				return
			}
			if l, watcher := p.find(&ev); l != nil {
				l.happened(ev.Events, watcher)
			}
		}
	}
}

// wait returns how many events there are, at least one. It looks twice without
// waiting, and lets others work between that: under load there is always
// something, and a call that waits costs the scheduler a thread.
func (p *poller) wait(events []unix.EpollEvent) int {
	for range 2 {
		n, _, e := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(p.fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), 0, 0, 0)
		if e == 0 && n > 0 {
			return int(n)
		}
		runtime.Gosched()
	}
	for {
		n, err := unix.EpollWait(p.fd, events, -1)
		if n > 0 {
			return n
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			panic("connections: epoll_wait: " + err.Error()) // a mistake of ours: the descriptor is not one
		}
	}
}

// polled is how a connection is held that the poller reads; nil: a goroutine has to.
func (p *poller) polled(t Transport) (Polled, error) {
	raw, ok := t.(*rawTransport)
	if !ok {
		return nil, nil
	}
	l, err := p.take(raw)
	if err != nil {
		return nil, err
	}
	return l, nil
}
