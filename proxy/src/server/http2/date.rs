//! The `Date` of answers that have none (RFC 9110 section 6.6.1), written once
//! per second and thread.

use http::HeaderValue;
use std::{
    cell::RefCell,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use time::OffsetDateTime;

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

thread_local! {
    /// The last one, and for how long it is the present one.
    static LAST: RefCell<Option<(SystemTime, HeaderValue)>> = const { RefCell::new(None) };
}

/// The present date.
pub(super) fn now() -> HeaderValue {
    let now = SystemTime::now();
    LAST.with_borrow_mut(|last| match last {
        Some((until, value)) if now < *until && *until <= now + Duration::from_secs(1) => {
            value.clone()
        }
        _ => {
            let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
            let second = Duration::from_secs(since.as_secs());
            let value = value_of(second);
            *last = Some((UNIX_EPOCH + second + Duration::from_secs(1), value.clone()));
            value
        }
    })
}

/// IMF-fixdate (RFC 9110 section 5.6.7).
fn value_of(since_epoch: Duration) -> HeaderValue {
    let date = OffsetDateTime::UNIX_EPOCH + since_epoch;
    let text = format!(
        "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
        DAYS[usize::from(date.weekday().number_days_from_monday())],
        date.day(),
        MONTHS[usize::from(u8::from(date.month())) - 1],
        date.year(),
        date.hour(),
        date.minute(),
        date.second(),
    );
    HeaderValue::try_from(text).expect("a date is ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_as_the_rfc_writes_them() {
        for (seconds, text) in [
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (951_827_696, "Tue, 29 Feb 2000 12:34:56 GMT"),
        ] {
            assert_eq!(value_of(Duration::from_secs(seconds)), text);
        }
        assert_eq!(now().len(), 29);
        assert_eq!(now().as_bytes().last(), Some(&b'T'));
    }
}
