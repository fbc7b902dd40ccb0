package main

import (
	"encoding/binary"
	"errors"
	"io"
)

// Frames of WebSockets (RFC 6455, section 5.2), as far as an echo needs them: no fragments.
const (
	textFrame  = 1
	closeFrame = 8
)

const longestMessage = 1 << 20

// A client's frames are masked; the key may be any, and here it is always the same.
var maskingKey = [4]byte{0x37, 0xfa, 0x21, 0x3d}

func writeFrame(w io.Writer, kind int, payload []byte, masked bool) error {
	frame := []byte{0x80 | byte(kind)}
	switch length := len(payload); {
	case length < 126:
		frame = append(frame, byte(length))
	case length < 1<<16:
		frame = binary.BigEndian.AppendUint16(append(frame, 126), uint16(length))
	default:
		frame = binary.BigEndian.AppendUint64(append(frame, 127), uint64(length))
	}
	if masked {
		frame[1] |= 0x80
		frame = append(frame, maskingKey[:]...)
	}
	start := len(frame)
	frame = append(frame, payload...)
	if masked {
		mask(frame[start:], maskingKey[:])
	}
	_, err := w.Write(frame)
	return err
}

func readFrame(r io.Reader) (int, []byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	if head[0]&0xf0 != 0x80 {
		return 0, nil, errors.New("neither fragments nor extensions were agreed on")
	}
	length := uint64(head[1] & 0x7f)
	if length >= 126 {
		wide := make([]byte, 2+6*(length-126))
		if _, err := io.ReadFull(r, wide); err != nil {
			return 0, nil, err
		}
		length = 0
		for _, part := range wide {
			length = length<<8 | uint64(part)
		}
	}
	if length > longestMessage {
		return 0, nil, errors.New("a message is too long")
	}
	var key []byte
	if head[1]&0x80 != 0 {
		key = make([]byte, 4)
		if _, err := io.ReadFull(r, key); err != nil {
			return 0, nil, err
		}
	}
	payload := make([]byte, length)
	if _, err := io.ReadFull(r, payload); err != nil {
		return 0, nil, err
	}
	mask(payload, key)
	return int(head[0] & 0x0f), payload, nil
}

func mask(payload, key []byte) {
	if len(key) == 0 {
		return
	}
	for at := range payload {
		payload[at] ^= key[at%4]
	}
}
