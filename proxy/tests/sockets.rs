//! The proxy as clients and backends see it: through real sockets, with
//! nothing mocked in between.

mod support;

mod sockets {
    mod forwarding;
    mod hold;
    mod leaving;
    mod routing;
    mod streaming;
}
