//! The proxy as clients and backends see it: through real sockets, with
//! nothing mocked in between.

mod support;

mod sockets {
    mod cold_start;
    mod drain;
    mod failures;
    mod forwarding;
    mod grpc;
    mod h2c;
    mod hold;
    mod hostile;
    mod http2;
    mod leaving;
    mod recovery;
    mod routing;
    mod streaming;
    mod tls;
    mod tls_upstream;
    mod upgrade;
}
