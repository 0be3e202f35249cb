package local

import (
	"bytes"
	"strings"
	"sync"
)

// sharedBuffer keeps what both streams write, in order.
type sharedBuffer struct {
	mutex sync.Mutex
	bytes.Buffer
}

func (b *sharedBuffer) Write(text []byte) (int, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.Buffer.Write(text)
}

// lineLog hands on what is written to it, a line at a time and of any length.
type lineLog struct {
	mutex sync.Mutex
	say   func(string)
	rest  bytes.Buffer
}

func newLineLog(say func(string)) *lineLog { return &lineLog{say: say} }

func (l *lineLog) Write(text []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.rest.Write(text)
	for bytes.IndexByte(l.rest.Bytes(), '\n') >= 0 {
		line, _ := l.rest.ReadString('\n')
		l.say(strings.TrimRight(line, "\r\n"))
	}
	return len(text), nil
}

// Flush hands on a last line that has no newline.
func (l *lineLog) Flush() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.rest.Len() > 0 {
		l.say(l.rest.String())
		l.rest.Reset()
	}
}
