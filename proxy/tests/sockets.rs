//! The proxy as clients and backends see it: through real sockets, with
//! nothing mocked in between.

mod support;

mod sockets {
    mod access_log;
    mod client_address;
    mod cold_start;
    mod concurrency;
    mod connections;
    mod drain;
    mod expect;
    mod failures;
    mod forwarding;
    mod grpc;
    mod h2c;
    mod hold;
    mod hostile;
    mod http1_endpoints;
    mod http2;
    mod interim;
    mod leaving;
    mod limits;
    mod linger;
    mod outliers;
    mod pacing;
    mod proxy_protocol;
    mod recovery;
    mod retries;
    mod routing;
    mod sessions;
    mod streaming;
    mod tls;
    mod tls_upstream;
    mod traces;
    mod trailers;
    mod upgrade;
    mod websocket;
}
