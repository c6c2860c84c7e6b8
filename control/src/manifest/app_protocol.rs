//! `appProtocol`: what the endpoints of a workload speak, in the words of a Service's port.
//!
//! Decoded for `Process` and `Backend`. A value that is understood but not served is an error of
//! its own: taken for HTTP/1.1, it would fail at the first request only.

use proxy::Protocol;

use super::decode::Field;

/// Decodes `appProtocol`; HTTP/1.1 where it is absent. `None` only after an error was noted.
pub(super) fn decode(field: Option<&Field<'_>>) -> Option<Protocol> {
    match field {
        Some(field) => field.parse(parse),
        None => Some(Protocol::Http1),
    }
}

fn parse(text: &str) -> Result<Protocol, String> {
    match text {
        "http" | "kubernetes.io/ws" => Ok(Protocol::Http1),
        "kubernetes.io/h2c" | "grpc" => Ok(Protocol::H2c),
        "https" | "kubernetes.io/wss" => {
            Err(format!("{text:?}: TLS towards endpoints is not served yet"))
        }
        _ => Err(format!(
            "must be http, kubernetes.io/h2c, kubernetes.io/ws or grpc, not {text:?}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_ports_values() {
        for (text, expected) in [
            ("http", Protocol::Http1),
            ("kubernetes.io/ws", Protocol::Http1),
            ("kubernetes.io/h2c", Protocol::H2c),
            ("grpc", Protocol::H2c),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
        for text in ["https", "kubernetes.io/wss", "HTTP", "h2c", ""] {
            parse(text).expect_err(text);
        }
    }
}
