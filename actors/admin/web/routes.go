package web

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Routes are paths that plugins add to the API. Whoever asks for one has been let in:
// with GET and HEAD as a viewer, else as an operator. The zero value is ready; all
// methods may be called by any goroutine.
type Routes struct {
	mu   sync.Mutex
	list []pluginRoute
	mux  atomic.Pointer[http.ServeMux] // of the list; nil: there are none
}

type pluginRoute struct {
	pattern string
	handler http.Handler
}

// taken are the paths of the API itself.
var taken = []string{"/status", "/metrics", "/mqtt/publish", profilePrefix, "/api/v2/", "/api/v3/"}

// Add adds a pattern of http.ServeMux, without a host, and returns what takes it away
// again. One that clashes with another is an error.
func (rs *Routes) Add(pattern string, h http.Handler) (remove func(), err error) {
	path := strings.TrimSpace(pattern[strings.LastIndexAny(pattern, " \t")+1:])
	if !strings.HasPrefix(path, "/") || path == "/" || h == nil {
		return nil, fmt.Errorf("the route %q is not a path such as GET /name", pattern)
	}
	for _, t := range taken {
		if path == t || strings.HasSuffix(t, "/") && strings.HasPrefix(path+"/", t) {
			return nil, fmt.Errorf("the route %q is one of the API itself", pattern)
		}
	}
	rs.mu.Lock()
	defer rs.mu.Unlock()
	added := pluginRoute{pattern, h}
	if _, err := muxOf([]pluginRoute{added}); err != nil {
		return nil, fmt.Errorf("the route %q: %w", pattern, err)
	}
	for _, x := range rs.list {
		if _, err := muxOf([]pluginRoute{x, added}); err != nil {
			return nil, fmt.Errorf("the route %q clashes with %q", pattern, x.pattern)
		}
	}
	if err := rs.set(append(slices.Clone(rs.list), added)); err != nil {
		return nil, err
	}
	return func() { rs.remove(pattern) }, nil
}

func (rs *Routes) remove(pattern string) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	left := slices.DeleteFunc(slices.Clone(rs.list), func(x pluginRoute) bool { return x.pattern == pattern })
	if err := rs.set(left); err != nil {
		panic(err) // fewer do not clash where more did not
	}
}

// set answers with what is in a list from now on.
func (rs *Routes) set(list []pluginRoute) error {
	var mux *http.ServeMux
	if len(list) > 0 {
		var err error
		if mux, err = muxOf(list); err != nil {
			return err
		}
	}
	rs.list = list
	rs.mux.Store(mux)
	return nil
}

// muxOf makes the mux of a list: a ServeMux takes nothing back, and panics at a clash
// and at what is no pattern.
func muxOf(list []pluginRoute) (mux *http.ServeMux, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	mux = http.NewServeMux()
	for _, x := range list {
		mux.Handle(x.pattern, x.handler)
	}
	return mux, nil
}

// handler finds who answers a request, nil if nobody does.
func (rs *Routes) handler(r *http.Request) http.Handler {
	if rs == nil {
		return nil
	}
	mux := rs.mux.Load()
	if mux == nil {
		return nil
	}
	if _, pattern := mux.Handler(r); pattern == "" {
		return nil
	}
	return mux // not what it found: it fills in the values of the path
}
