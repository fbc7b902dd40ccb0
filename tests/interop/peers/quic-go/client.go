package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/quic-go/quic-go"
)

// Bytes which must have come back before --rebind acts.
const actAfter = 32 * 1024

func connect(o options) error {
	authority, err := os.ReadFile(o.cacert)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return errors.New("no certificate in --cacert")
	}
	secrets, err := keyLog()
	if err != nil {
		return err
	}
	alpn := "echo"
	if o.get != "" {
		alpn = "hq-interop"
	}
	address, err := net.ResolveUDPAddr("udp", o.address)
	if err != nil {
		return err
	}
	transport, err := newTransport(address.IP)
	if err != nil {
		return err
	}
	settings := config(o)
	if o.offerVersion != "" {
		settings.Versions = []quic.Version{quic.Version2, quic.Version1}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	connection, err := transport.Dial(ctx, address, &tls.Config{
		RootCAs:      roots,
		ServerName:   "localhost",
		NextProtos:   []string{alpn},
		KeyLogWriter: secrets,
	}, settings)
	if err != nil {
		return err
	}
	if err := act(ctx, o, connection); err != nil {
		// The connection's own end says more than a stream's.
		if cause := context.Cause(connection.Context()); cause != nil {
			return cause
		}
		return err
	}
	if o.offerVersion != "" {
		fmt.Println("version", connection.ConnectionState().Version)
	}
	code, reason, err := codeAndReason(o.close)
	if err != nil {
		return err
	}
	if err := connection.CloseWithError(code, reason); err != nil {
		return err
	}
	return transport.Close()
}

func newTransport(ip net.IP) (*quic.Transport, error) {
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: ip})
	if err != nil {
		return nil, err
	}
	return &quic.Transport{Conn: socket, StatelessResetKey: &resetKey}, nil
}

func act(ctx context.Context, o options, connection *quic.Conn) error {
	switch {
	case o.get != "":
		return download(ctx, connection, o.get, o.output)
	case o.closeRequest != "":
		return requestClose(ctx, connection, o.closeRequest)
	case o.waitForReset != "":
		return waitForReset(ctx, connection)
	case o.datagrams > 0:
		return sendDatagrams(ctx, connection, o.datagrams, o.bytes)
	case o.unidirectional > 0:
		return sendUnidirectional(ctx, connection, o.unidirectional, o.bytes)
	}
	return sendStreams(ctx, connection, o)
}

func sendStreams(ctx context.Context, connection *quic.Conn, o options) error {
	started := time.Now()
	results := make(chan error, o.streams)
	for number := range o.streams {
		stream, err := connection.OpenStreamSync(ctx)
		if err != nil {
			return err
		}
		var midway func() error
		if number == 0 && o.rebind {
			midway = func() error { return rebind(ctx, connection) }
		}
		go func() { results <- echoStream(stream, pattern(number, o.bytes), midway) }()
	}
	for range o.streams {
		if err := <-results; err != nil {
			return err
		}
	}
	fmt.Printf("echoed streams=%d bytes=%d milliseconds=%d\n", o.streams, o.streams*o.bytes, time.Since(started).Milliseconds())
	return nil
}

// echoStream calls midway, if there is one, when some bytes have come back.
func echoStream(stream *quic.Stream, data []byte, midway func() error) error {
	sent := make(chan error, 1)
	go func() {
		_, err := stream.Write(data)
		if err == nil {
			err = stream.Close()
		}
		sent <- err
	}()
	got := make([]byte, 0, len(data)+1)
	buffer := make([]byte, 64*1024)
	for {
		length, err := stream.Read(buffer)
		got = append(got, buffer[:length]...)
		if midway != nil && len(got) >= min(actAfter, len(data)) {
			if err := midway(); err != nil {
				return err
			}
			midway = nil
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if !bytes.Equal(got, data) {
		return fmt.Errorf("the echo differs: %d of %d bytes", len(got), len(data))
	}
	return <-sent
}

// rebind proves a path from a new port and goes over to it.
func rebind(ctx context.Context, connection *quic.Conn) error {
	transport, err := newTransport(connection.LocalAddr().(*net.UDPAddr).IP)
	if err != nil {
		return err
	}
	path, err := connection.AddPath(transport)
	if err != nil {
		return err
	}
	probing, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := path.Probe(probing); err != nil {
		return fmt.Errorf("the new path was not proven: %w", err)
	}
	return path.Switch()
}

func sendUnidirectional(ctx context.Context, connection *quic.Conn, streams, length int) error {
	wanted := make(map[string]int)
	for number := range streams {
		send, err := connection.OpenUniStreamSync(ctx)
		if err != nil {
			return err
		}
		data := pattern(number, length)
		wanted[string(data)]++
		if _, err := send.Write(data); err != nil {
			return err
		}
		if err := send.Close(); err != nil {
			return err
		}
	}
	for range streams {
		receive, err := connection.AcceptUniStream(ctx)
		if err != nil {
			return err
		}
		data, err := io.ReadAll(receive)
		if err != nil {
			return err
		}
		if wanted[string(data)] == 0 {
			return errors.New("a stream came back changed")
		}
		wanted[string(data)]--
	}
	fmt.Printf("echoed unidirectional streams=%d\n", streams)
	return nil
}

func sendDatagrams(ctx context.Context, connection *quic.Conn, datagrams, length int) error {
	for number := range datagrams {
		// Datagrams may be lost, even here: each is tried some times.
		for try := 0; ; try++ {
			if err := connection.SendDatagram(pattern(number, length)); err != nil {
				return err
			}
			waiting, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
			data, err := connection.ReceiveDatagram(waiting)
			cancel()
			if err == nil && !bytes.Equal(data, pattern(number, length)) {
				return errors.New("a datagram came back changed")
			}
			if err == nil {
				break
			}
			if try == 5 || !errors.Is(err, context.DeadlineExceeded) {
				return fmt.Errorf("datagram %d never came back: %w", number, err)
			}
		}
	}
	fmt.Printf("echoed datagrams=%d\n", datagrams)
	return nil
}

func requestClose(ctx context.Context, connection *quic.Conn, what string) error {
	stream, err := connection.OpenStreamSync(ctx)
	if err != nil {
		return err
	}
	if _, err := stream.Write([]byte("close " + what)); err != nil {
		return err
	}
	if err := stream.Close(); err != nil {
		return err
	}
	select {
	case <-connection.Context().Done():
		fmt.Println(describe(context.Cause(connection.Context())))
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// waitForReset echoes a little again and again, until the server that came back without memory says so.
func waitForReset(ctx context.Context, connection *quic.Conn) error {
	stream, err := connection.OpenStreamSync(ctx)
	if err != nil {
		return err
	}
	if _, err := stream.Write([]byte("hello")); err != nil {
		return err
	}
	if _, err := io.ReadFull(stream, make([]byte, 5)); err != nil {
		return err
	}
	fmt.Println("ready")
	for connection.Context().Err() == nil {
		time.Sleep(50 * time.Millisecond)
		_, _ = stream.Write([]byte("still there?"))
	}
	cause := context.Cause(connection.Context())
	fmt.Println(describe(cause))
	var reset *quic.StatelessResetError
	if !errors.As(cause, &reset) {
		return errors.New("not a stateless reset")
	}
	return nil
}

func download(ctx context.Context, connection *quic.Conn, path, output string) error {
	started := time.Now()
	stream, err := connection.OpenStreamSync(ctx)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(stream, "GET %s\r\n", path); err != nil {
		return err
	}
	if err := stream.Close(); err != nil {
		return err
	}
	data, err := io.ReadAll(stream)
	if err != nil {
		return err
	}
	fmt.Printf("downloaded bytes=%d milliseconds=%d\n", len(data), time.Since(started).Milliseconds())
	return os.WriteFile(output, data, 0o644)
}

// pattern is bytes which repeat nowhere near each other, different for each stream.
func pattern(stream, length int) []byte {
	data := make([]byte, length)
	for at := range data {
		data[at] = byte(at*131 ^ (at>>8)*17 ^ stream*29 ^ stream>>8)
	}
	return data
}
