//! How each peer is configured and started: one worker on the proxy's core,
//! keep-alive to the origin, `X-Forwarded-For`, no access log, no TLS.

pub(crate) mod envoy;
pub(super) mod haproxy;
pub(super) mod hyper;
pub(super) mod nginx;
pub(super) mod reveille;
