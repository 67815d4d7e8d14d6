// Command grpcprobe is gRPC's own interoperability suite, as a server and as a client that calls through a gateway.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"

	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

// prefixed puts a path before each method: a client that cannot be called by a host of its own.
type prefixed struct {
	grpc.ClientConnInterface
	path string
}

func (p prefixed) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	return p.ClientConnInterface.Invoke(ctx, p.path+method, args, reply, opts...)
}

func (p prefixed) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return p.ClientConnInterface.NewStream(ctx, desc, p.path+method, opts...)
}

func serve(address string) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	testgrpc.RegisterTestServiceServer(server, interop.NewTestServer())
	fmt.Println(listener.Addr())
	log.Fatal(server.Serve(listener))
}

func call(address, authority, path string) {
	options := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	if authority != "" {
		options = append(options, grpc.WithAuthority(authority))
	}
	connection, err := grpc.NewClient("passthrough:///"+address, options...)
	if err != nil {
		log.Fatal(err)
	}
	through := prefixed{connection, path}
	client := testgrpc.NewTestServiceClient(through)
	ctx := context.Background()
	for _, one := range []struct {
		name string
		run  func(context.Context, testgrpc.TestServiceClient, ...grpc.CallOption)
	}{
		{"empty_unary", interop.DoEmptyUnaryCall},
		{"large_unary", interop.DoLargeUnaryCall},
		{"client_streaming", interop.DoClientStreaming},
		{"server_streaming", interop.DoServerStreaming},
		{"ping_pong", interop.DoPingPong},
		{"empty_stream", interop.DoEmptyStream},
		{"timeout_on_sleeping_server", interop.DoTimeoutOnSleepingServer},
		{"cancel_after_begin", interop.DoCancelAfterBegin},
		{"cancel_after_first_response", interop.DoCancelAfterFirstResponse},
		{"status_code_and_message", interop.DoStatusCodeAndMessage},
		{"special_status_message", interop.DoSpecialStatusMessage},
		{"custom_metadata", interop.DoCustomMetadata},
	} {
		// Each ends the process when it fails.
		one.run(ctx, client)
		fmt.Println("ok", one.name)
	}
	if path == "" {
		// It takes no prefix.
		interop.DoUnimplementedMethod(ctx, connection)
		fmt.Println("ok unimplemented_method")
	}
	interop.DoUnimplementedService(ctx, testgrpc.NewUnimplementedServiceClient(through))
	fmt.Println("ok unimplemented_service")
}

func main() {
	listen := flag.String("serve", "", "serve at this address")
	address := flag.String("call", "", "call what is at this address")
	authority := flag.String("authority", "", "the host to call by")
	path := flag.String("path", "", "what to put before each method")
	flag.Parse()
	switch {
	case *listen != "":
		serve(*listen)
	case *address != "":
		call(*address, *authority, *path)
	default:
		flag.Usage()
		os.Exit(2)
	}
}
