package hash

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// The parameters for new passwords: what OWASP asks for at least, 19 MB of
// memory and two passes. Others that are stored are obeyed within the limits.
const (
	argonMemory, argonTime, argonThreads = 19456, 2, 1
	argonLength, argonSalt               = 32, 16

	maxArgonMemory, maxArgonTime, maxArgonThreads = 1 << 18, 64, 64 // 256 MB
)

func storeArgon2id(password []byte) string {
	salt := make([]byte, argonSalt)
	_, _ = rand.Read(salt) // it does not fail
	key := argon2.IDKey(password, salt, argonTime, argonMemory, argonThreads, argonLength)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads,
		b64.EncodeToString(salt), b64.EncodeToString(key))
}

// checkArgon2id reads the form that all libraries write:
// $argon2id$v=19$m=65536,t=3,p=4$salt$key.
func checkArgon2id(stored string, password []byte) (bool, error) {
	parts := strings.Split(stored, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return false, ErrStored
	}
	var memory, time, threads uint32
	var rest string
	n, _ := fmt.Sscanf(parts[3]+" .", "m=%d,t=%d,p=%d %s", &memory, &time, &threads, &rest)
	if n != 4 || rest != "." || memory < 8*threads || memory > maxArgonMemory || time < 1 || time > maxArgonTime || threads < 1 || threads > maxArgonThreads {
		return false, ErrStored
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(parts[4])
	want, err2 := base64.RawStdEncoding.DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(want) < 4 || len(want) > maxLength {
		return false, ErrStored
	}
	got := argon2.IDKey(password, salt, time, memory, uint8(threads), uint32(len(want)))
	return subtle.ConstantTimeCompare(want, got) == 1, nil
}
