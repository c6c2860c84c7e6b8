//! Which of the two text formats a page is in.
//!
//! Sources: "Exposition formats" of the Prometheus documentation (0.0.4) and
//! the OpenMetrics specification, version 1.0. Other versions of either read
//! alike.

/// What is asked for: OpenMetrics rather than text, because it tells when
/// series were created.
pub(super) const ACCEPT: &str = "application/openmetrics-text;version=1.0.0,\
    application/openmetrics-text;version=0.0.1;q=0.75,\
    text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

/// A text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `text/plain`: times in milliseconds, no end.
    Text,
    /// `application/openmetrics-text`: times in seconds, exemplars, `# EOF`.
    OpenMetrics,
}

impl Format {
    /// From a `content-type`. A page without one is text, as it was before
    /// there were others; of anything else, such as HTML, there is none.
    #[must_use]
    pub fn from_content_type(value: Option<&str>) -> Option<Self> {
        let Some(value) = value else {
            return Some(Self::Text);
        };
        let media = value.split(';').next().unwrap_or_default().trim();
        if media.eq_ignore_ascii_case("application/openmetrics-text") {
            Some(Self::OpenMetrics)
        } else if media.eq_ignore_ascii_case("text/plain") || media.is_empty() {
            Some(Self::Text)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_media_type_decides() {
        for (value, format) in [
            (None, Some(Format::Text)),
            (Some(""), Some(Format::Text)),
            (Some("text/plain"), Some(Format::Text)),
            (
                Some("text/plain; version=0.0.4; charset=utf-8; escaping=values"),
                Some(Format::Text),
            ),
            (
                Some("Application/OpenMetrics-Text; version=1.0.0; charset=utf-8"),
                Some(Format::OpenMetrics),
            ),
            (Some("text/html; charset=utf-8"), None),
            (Some("application/json"), None),
            (Some("application/vnd.google.protobuf;proto=x"), None),
        ] {
            assert_eq!(Format::from_content_type(value), format, "{value:?}");
        }
    }
}
