//! What Kubernetes and HTTP accept as names.
//!
//! Each check gives the message for the person who wrote the name: what is wrong and what is
//! allowed. Called by the decoders through `Field::parse`.

/// Longest DNS-1123 subdomain, in bytes: the limit for most object names.
pub(super) const MAX_SUBDOMAIN: usize = 253;

/// Longest DNS-1123 label, in bytes: namespaces, and ScaledObjects (KEDA labels with their name).
pub(super) const MAX_LABEL: usize = 63;

/// Checks an object name: a DNS-1123 subdomain of at most `max` bytes.
pub(super) fn object_name(name: &str, max: usize) -> Result<String, String> {
    if name.len() > max {
        return Err(format!(
            "must be at most {max} characters long, not {}",
            name.len()
        ));
    }
    if name.split('.').all(is_label) {
        return Ok(name.to_owned());
    }
    Err(format!(
        "{name:?} is not a valid name: use lower-case letters, digits, '-' and '.', beginning and \
         ending with a letter or digit"
    ))
}

/// Checks a namespace: a DNS-1123 label.
pub(super) fn namespace(name: &str) -> Result<String, String> {
    if name.len() <= MAX_LABEL && is_label(name) {
        return Ok(name.to_owned());
    }
    Err(format!(
        "{name:?} is not a valid namespace: use at most {MAX_LABEL} lower-case letters, digits and \
         '-', beginning and ending with a letter or digit"
    ))
}

/// Checks an HTTP header name: a token.
pub(super) fn header_name(name: &str) -> Result<String, String> {
    if is_token(name) {
        return Ok(name.to_owned());
    }
    Err(format!(
        "{name:?} is not a valid header name: use letters, digits and any of !#$%&'*+-.^_`|~"
    ))
}

/// Checks the value of a header that is sent: visible text without line breaks.
pub(super) fn header_value(value: &str) -> Result<String, String> {
    match http::HeaderValue::from_bytes(value.as_bytes()) {
        Ok(_) => Ok(value.to_owned()),
        Err(_) => Err("must not contain control characters or line breaks".to_owned()),
    }
}

/// Checks a cookie name: an RFC 6265 token of 1 to 256 bytes.
pub(super) fn cookie_name(name: &str) -> Result<String, String> {
    if is_token(name) && name.len() <= 256 {
        return Ok(name.to_owned());
    }
    Err(
        "is not a valid cookie name: use 1 to 256 letters, digits and any of !#$%&'*+-.^_`|~"
            .to_owned(),
    )
}

fn is_label(label: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(inner)
}

/// RFC 9110 section 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}
