//! Lines of the access log. Whatever clients and endpoints send, a line is one
//! line: in text, bytes other than printable ASCII, quotes and backslashes are
//! written as `\xHH`; JSON escapes by its own rules, and what is not UTF-8
//! becomes U+FFFD.

use super::{AccessLogFormat, Line};
use http::Version;
use serde::Serialize;
use std::{
    borrow::Cow,
    io::{self, Write},
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use time::OffsetDateTime;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// One line with its end.
pub(super) fn format(line: &Line<'_>, form: AccessLogFormat) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    let written = match form {
        AccessLogFormat::Common => text(line, false, &mut out),
        AccessLogFormat::Combined => text(line, true, &mut out),
        AccessLogFormat::Json => json(line, &mut out),
    };
    written.expect("writing to memory does not fail");
    out.push(b'\n');
    out
}

fn text(line: &Line<'_>, is_combined: bool, out: &mut Vec<u8>) -> io::Result<()> {
    let at = OffsetDateTime::from(line.begun);
    write!(
        out,
        "{} - - [{:02}/{}/{:04}:{:02}:{:02}:{:02} +0000] \"",
        line.client,
        at.day(),
        MONTHS[usize::from(u8::from(at.month())) - 1],
        at.year(),
        at.hour(),
        at.minute(),
        at.second(),
    )?;
    escape(line.method.as_bytes(), out)?;
    out.push(b' ');
    escape(line.target.as_bytes(), out)?;
    write!(out, " {}\" {} ", protocol(line.version), line.status)?;
    match line.bytes {
        0 => out.push(b'-'),
        bytes => write!(out, "{bytes}")?,
    }
    if is_combined {
        for value in [line.referer, line.user_agent] {
            out.extend(b" \"");
            escape(value.unwrap_or(b"-"), out)?;
            out.push(b'"');
        }
    }
    write!(out, " {:.6}", line.duration.as_secs_f64())
}

fn escape(bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    for &byte in bytes {
        match byte {
            b'"' | b'\\' | 0..=0x1f | 0x7f.. => write!(out, "\\x{byte:02X}")?,
            _ => out.push(byte),
        }
    }
    Ok(())
}

/// Names are for machines: never renamed, only added to.
#[derive(Serialize)]
struct Json<'a> {
    time: String,
    client: IpAddr,
    peer: SocketAddr,
    method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<Cow<'a, str>>,
    target: &'a str,
    protocol: &'static str,
    status: u16,
    bytes: u64,
    request_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    referer: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<Cow<'a, str>>,
    /// Seconds, like `hold`.
    duration: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint_address: Option<SocketAddr>,
    cold_start: bool,
    hold: f64,
    retries: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    grpc_status: Option<Cow<'a, str>>,
    blame: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
}

fn json(line: &Line<'_>, out: &mut Vec<u8>) -> io::Result<()> {
    let at = OffsetDateTime::from(line.begun);
    let time = format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        at.microsecond(),
    );
    let seconds = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e6;
    let object = Json {
        time,
        client: line.client,
        peer: line.peer,
        method: line.method,
        host: line.host.map(String::from_utf8_lossy),
        target: &line.target,
        protocol: protocol(line.version),
        status: line.status,
        bytes: line.bytes,
        request_bytes: line.request_bytes,
        referer: line.referer.map(String::from_utf8_lossy),
        user_agent: line.user_agent.map(String::from_utf8_lossy),
        duration: seconds(line.duration),
        route: line.route.map(ToString::to_string),
        endpoint: line.endpoint.map(|(name, _)| name),
        endpoint_address: line.endpoint.map(|(_, addr)| addr),
        cold_start: line.hold.is_some(),
        hold: seconds(line.hold.unwrap_or_default()),
        retries: line.retries,
        grpc_status: line.grpc_status.map(String::from_utf8_lossy),
        blame: line.blame.as_str(),
        reason: line.reason,
        trace_id: line.trace_id.as_deref(),
    };
    serde_json::to_writer(out, &object).map_err(io::Error::from)
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{journal::Blame, target::TargetId};
    use proptest::prelude::*;
    use std::time::SystemTime;

    pub(in crate::access_log) fn line() -> Line<'static> {
        Line {
            begun: SystemTime::UNIX_EPOCH + Duration::from_micros(1_709_164_799_012_345),
            client: [203, 0, 113, 9].into(),
            peer: ([10, 0, 0, 1], 4711).into(),
            method: "GET",
            target: "/a?b=1".to_owned(),
            version: Version::HTTP_11,
            host: Some(b"a.test"),
            status: 200,
            bytes: 12,
            request_bytes: 3,
            referer: None,
            user_agent: Some(b"curl/8"),
            duration: Duration::from_micros(1_234),
            hold: None,
            route: None,
            endpoint: None,
            retries: 0,
            grpc_status: None,
            blame: Blame::None,
            reason: None,
            trace_id: None,
        }
    }

    fn shown(line: &Line<'_>, form: AccessLogFormat) -> String {
        String::from_utf8(format(line, form)).expect("UTF-8")
    }

    #[test]
    fn text_lines_are_apaches_and_the_duration() {
        assert_eq!(
            shown(&line(), AccessLogFormat::Common),
            "203.0.113.9 - - [28/Feb/2024:23:59:59 +0000] \"GET /a?b=1 HTTP/1.1\" 200 12 0.001234\n"
        );
        assert_eq!(
            shown(&line(), AccessLogFormat::Combined),
            "203.0.113.9 - - [28/Feb/2024:23:59:59 +0000] \"GET /a?b=1 HTTP/1.1\" 200 12 \"-\" \"curl/8\" 0.001234\n"
        );
        let nothing = Line {
            bytes: 0,
            version: Version::HTTP_2,
            ..line()
        };
        assert!(shown(&nothing, AccessLogFormat::Common).contains(" HTTP/2.0\" 200 - 0"));
    }

    #[test]
    fn json_has_everything() {
        let id = TargetId::new("default", "web");
        let full = Line {
            referer: Some(b"http://r.test/"),
            hold: Some(Duration::from_millis(1_500)),
            route: Some(&id),
            endpoint: Some(("web-1", ([127, 0, 0, 1], 8000).into())),
            retries: 2,
            grpc_status: Some(b"14"),
            blame: Blame::Endpoint,
            reason: Some("the endpoint broke the connection"),
            trace_id: Some("0af7651916cd43dd8448eb211c80319c".to_owned()),
            ..line()
        };
        assert_eq!(
            shown(&full, AccessLogFormat::Json),
            concat!(
                r#"{"time":"2024-02-28T23:59:59.012345Z","client":"203.0.113.9","#,
                r#""peer":"10.0.0.1:4711","method":"GET","host":"a.test","target":"/a?b=1","#,
                r#""protocol":"HTTP/1.1","status":200,"bytes":12,"request_bytes":3,"#,
                r#""referer":"http://r.test/","user_agent":"curl/8","duration":0.001234,"#,
                r#""route":"default/web","endpoint":"web-1","endpoint_address":"127.0.0.1:8000","#,
                r#""cold_start":true,"hold":1.5,"retries":2,"grpc_status":"14","#,
                r#""blame":"endpoint","reason":"the endpoint broke the connection","#,
                r#""trace_id":"0af7651916cd43dd8448eb211c80319c"}"#,
                "\n"
            )
        );
        let none: serde_json::Value =
            serde_json::from_str(&shown(&line(), AccessLogFormat::Json)).expect("JSON");
        assert_eq!(none["cold_start"], false);
        assert_eq!(none.get("route"), None);
    }

    #[test]
    fn nothing_that_is_sent_can_forge_a_line_or_a_field() {
        let evil = b"\" 200 1\r\n6.6.6.6 - - \\\x1b[2J\x7f\0\xff\xe4";
        let forged = Line {
            method: "GE\"T",
            target: "/\"\\".to_owned(),
            host: Some(evil),
            referer: Some(evil),
            user_agent: Some(evil),
            grpc_status: Some(evil),
            ..line()
        };
        let text = shown(&forged, AccessLogFormat::Combined);
        assert!(
            text.contains(r#""GE\x22T /\x22\x5C HTTP/1.1" 200 12 "\x22 200 1\x0D\x0A6.6.6.6 - - \x5C\x1B[2J\x7F\x00\xFF\xE4" ""#),
            "{text}"
        );
        let json = shown(&forged, AccessLogFormat::Json);
        assert_eq!(json.lines().count(), 1);
        let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(json["user_agent"], String::from_utf8_lossy(evil).as_ref());
    }

    proptest! {
        #[test]
        fn whatever_bytes_come_a_line_stays_one_line(bytes: Vec<u8>, target: String) {
            let any = Line {
                target,
                host: Some(&bytes),
                referer: Some(&bytes),
                user_agent: Some(&bytes),
                grpc_status: Some(&bytes),
                ..line()
            };
            let json = format(&any, AccessLogFormat::Json);
            serde_json::from_slice::<serde_json::Value>(&json).expect("JSON");
            for form in [AccessLogFormat::Json, AccessLogFormat::Combined, AccessLogFormat::Common] {
                let line = format(&any, form);
                prop_assert_eq!(line.iter().filter(|&&byte| byte < b' ').count(), 1);
            }
            let text = format(&any, AccessLogFormat::Combined);
            prop_assert_eq!(text.iter().filter(|&&byte| byte == b'"').count(), 6);
            prop_assert!(text.is_ascii());
        }
    }
}
