package operators

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// Key is an API key as it is listed. Its secret is known only to who made it.
type Key struct {
	ID      string     `json:"id"`
	Role    string     `json:"role"`
	Note    string     `json:"note"`
	Created time.Time  `json:"created_at"`
	Expires *time.Time `json:"expires_at,omitempty"` // nil is never
}

// key is what is kept of one. The secret has 256 random bits, so that a quick hash of it is safe.
type key struct {
	Role    Role       `json:"role"`
	Note    string     `json:"note"`
	Hash    string     `json:"sha256"`
	Created time.Time  `json:"created"`
	Expires *time.Time `json:"expires,omitempty"`
}

// idPrefix is what all identifiers of keys begin with, so that none is taken for a user.
const idPrefix = "key-"

// NewKey makes a key, which is good until expires; nil is for ever. The secret is not kept: it is shown this once.
func (a *Accounts) NewKey(role Role, note string, expires *time.Time) (id, secret string, err error) {
	random := make([]byte, 9+32)
	_, _ = rand.Read(random) // it does not fail
	id = idPrefix + base64.RawURLEncoding.EncodeToString(random[:9])
	secret = base64.RawURLEncoding.EncodeToString(random[9:])
	k := key{Role: role, Note: note, Hash: digest(secret), Created: now().UTC().Truncate(time.Second), Expires: expires}
	value, err := json.Marshal(k)
	if err != nil {
		return "", "", err
	}
	a.writing.Lock()
	defer a.writing.Unlock()
	if err := a.table.Put([]byte(keyPrefix+id), value); err != nil {
		return "", "", err
	}
	a.mu.Lock()
	a.keys[id] = k
	a.mu.Unlock()
	return id, secret, nil
}

// DeleteKey deletes a key, which is good no more.
func (a *Accounts) DeleteKey(id string) error {
	a.writing.Lock()
	defer a.writing.Unlock()
	a.mu.RLock()
	_, exists := a.keys[id]
	a.mu.RUnlock()
	if !exists {
		return ErrNone
	}
	if err := a.table.Delete([]byte(keyPrefix + id)); err != nil {
		return err
	}
	a.mu.Lock()
	delete(a.keys, id)
	a.mu.Unlock()
	return nil
}

// Keys are all keys, by identifier.
func (a *Accounts) Keys() []Key {
	a.mu.RLock()
	list := make([]Key, 0, len(a.keys))
	for id, k := range a.keys {
		list = append(list, Key{ID: id, Role: k.Role.String(), Note: k.Note, Created: k.Created, Expires: k.Expires})
	}
	a.mu.RUnlock()
	slices.SortFunc(list, func(x, y Key) int { return strings.Compare(x.ID, y.ID) })
	return list
}

func (a *Accounts) checkKey(id, secret string) (Who, bool) {
	a.mu.RLock()
	k, ok := a.keys[id]
	a.mu.RUnlock()
	if !ok || k.Expires != nil && !now().Before(*k.Expires) {
		return Who{}, false
	}
	return Who{Name: id, Role: k.Role}, subtle.ConstantTimeCompare([]byte(digest(secret)), []byte(k.Hash)) == 1
}

func digest(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
