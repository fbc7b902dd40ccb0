package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
)

func serve(o options) error {
	certificate, err := tls.LoadX509KeyPair(o.cert, o.key)
	if err != nil {
		return err
	}
	secrets, err := keyLog()
	if err != nil {
		return err
	}
	address, err := net.ResolveUDPAddr("udp", o.listen)
	if err != nil {
		return err
	}
	socket, err := net.ListenUDP("udp", address)
	if err != nil {
		return err
	}
	transport := &quic.Transport{
		Conn:                socket,
		StatelessResetKey:   &resetKey,
		VerifySourceAddress: func(net.Addr) bool { return o.retry },
	}
	listener, err := transport.Listen(&tls.Config{
		Certificates: []tls.Certificate{certificate},
		NextProtos:   []string{"echo", "hq-interop"},
		KeyLogWriter: secrets,
	}, config(o))
	if err != nil {
		return err
	}
	fmt.Println("listening on", listener.Addr())
	for {
		connection, err := listener.Accept(context.Background())
		if err != nil {
			return err
		}
		go serveConnection(connection, o.root)
	}
}

func serveConnection(connection *quic.Conn, root string) {
	files := connection.ConnectionState().TLS.NegotiatedProtocol == "hq-interop"
	if !files {
		go echoUnidirectional(connection)
		go echoDatagrams(connection)
	}
	var bytes atomic.Int64
	for streams := 0; ; streams++ {
		stream, err := connection.AcceptStream(context.Background())
		if err != nil {
			if !files {
				fmt.Printf("served streams=%d bytes=%d\n", streams, bytes.Load())
			}
			fmt.Println(describe(err))
			return
		}
		go func() {
			var err error
			if files {
				err = serveFile(stream, root)
			} else {
				err = echo(connection, stream, &bytes)
			}
			if err != nil {
				fmt.Println("stream", err)
			}
		}()
	}
}

func echo(connection *quic.Conn, stream *quic.Stream, bytes *atomic.Int64) error {
	var start head
	echoed, err := io.Copy(io.MultiWriter(stream, &start), stream)
	if err != nil {
		return err
	}
	bytes.Add(echoed)
	// `close 42 bye` asks for the connection to be closed with that code and reason.
	if request, found := strings.CutPrefix(string(start), "close "); found {
		code, reason, err := codeAndReason(request)
		if err != nil {
			return err
		}
		return connection.CloseWithError(code, reason)
	}
	return stream.Close()
}

// head keeps the first bytes that are written to it.
type head []byte

func (h *head) Write(data []byte) (int, error) {
	room := max(0, 256-len(*h))
	*h = append(*h, data[:min(room, len(data))]...)
	return len(data), nil
}

func echoUnidirectional(connection *quic.Conn) {
	for {
		receive, err := connection.AcceptUniStream(context.Background())
		if err != nil {
			return
		}
		go func() {
			data, err := io.ReadAll(receive)
			if err != nil {
				return
			}
			send, err := connection.OpenUniStreamSync(context.Background())
			if err != nil {
				return
			}
			if _, err := send.Write(data); err == nil {
				_ = send.Close()
			}
		}()
	}
}

func echoDatagrams(connection *quic.Conn) {
	for {
		data, err := connection.ReceiveDatagram(context.Background())
		if err != nil {
			return
		}
		// The other side may know already that the path takes more: until we do, too, this one does not fit.
		var tooLarge *quic.DatagramTooLargeError
		for tries := 0; tries < 100 && errors.As(connection.SendDatagram(data), &tooLarge); tries++ {
			time.Sleep(10 * time.Millisecond)
		}
	}
}

func serveFile(stream *quic.Stream, root string) error {
	request, err := io.ReadAll(io.LimitReader(stream, 4096))
	if err != nil {
		return err
	}
	path, found := strings.CutPrefix(string(request), "GET /")
	path = strings.TrimSpace(path)
	if !found || !filepath.IsLocal(path) {
		return fmt.Errorf("a bad request: %q", request)
	}
	data, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		return err
	}
	if _, err := stream.Write(data); err != nil {
		return err
	}
	return stream.Close()
}
