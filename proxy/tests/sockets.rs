//! The proxy as clients and backends see it: through real sockets, with
//! nothing mocked in between.

mod support;

mod sockets {
    mod cold_start;
    mod concurrency;
    mod drain;
    mod failures;
    mod forwarding;
    mod grpc;
    mod h2c;
    mod hold;
    mod hostile;
    mod http2;
    mod leaving;
    mod outliers;
    mod pacing;
    mod recovery;
    mod retries;
    mod routing;
    mod sessions;
    mod streaming;
    mod upgrade;
}
