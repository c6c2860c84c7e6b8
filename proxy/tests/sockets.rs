//! The proxy as clients and backends see it: through real sockets, with
//! nothing mocked in between.

mod support;

mod sockets {
    mod cold_start;
    mod connections;
    mod drain;
    mod failures;
    mod forwarding;
    mod grpc;
    mod h2c;
    mod hold;
    mod hostile;
    mod http1_endpoints;
    mod http2;
    mod leaving;
    mod limits;
    mod linger;
    mod recovery;
    mod routing;
    mod streaming;
    mod upgrade;
}
