package config

import "strings"

// escape makes one word of a key of any text: a dot in it is written `\.`.
func escape(word string) string { return strings.ReplaceAll(word, ".", `\.`) }

// unescape undoes escape.
func unescape(word string) string { return strings.ReplaceAll(word, `\.`, ".") }

// split cuts a key at its dots. Words keep their escapes.
func split(key string) []string {
	var words []string
	start := 0
	for i := 0; i < len(key); i++ {
		switch key[i] {
		case '\\':
			i++ // the next byte belongs to the word
		case '.':
			words = append(words, key[start:i])
			start = i + 1
		}
	}
	return append(words, key[start:])
}
