//! Times as Kubernetes writes them (RFC 3339), in unix seconds.
//!
//! Called by `meta` for `creationTimestamp`, which decides between routes that claim the same
//! requests; whole seconds are all that Kubernetes keeps.

/// Reads `2026-01-31T12:00:00Z`, also with a fraction (cut off) or an offset such as `+01:00`.
pub(super) fn unix_seconds(text: &str) -> Result<u64, String> {
    parse(text)
        .ok_or_else(|| format!("{text:?} is not a time after 1970 such as 2026-01-31T12:00:00Z"))
}

fn parse(text: &str) -> Option<u64> {
    let (date, time) = text.split_once(['T', 't'])?;
    let [year, month, day] = numbers(date, '-')?;
    let zone = time.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = time.split_at(zone);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let [hour, minute, second] = numbers(clock, ':')?;
    let valid = date.len() == 10
        && clock.len() == 8
        && !fraction.is_empty()
        && fraction.bytes().all(|b| b.is_ascii_digit())
        && (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        // A leap second counts as the second after it, as everywhere on unix.
        && second <= 60;
    if !valid {
        return None;
    }
    let local = days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    u64::try_from(local - offset(zone)?).ok()
}

/// Three numbers with a separator between.
fn numbers(text: &str, separator: char) -> Option<[i64; 3]> {
    let mut parts = text.split(separator).map(|part| {
        let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| part.parse::<i64>().ok()).flatten()
    });
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(numbers)
}

/// Seconds east of UTC.
fn offset(zone: &str) -> Option<i64> {
    let sign = match zone.split_at_checked(1)?.0 {
        "+" => 1,
        "-" => -1,
        _ => return (zone.len() == 1).then_some(0),
    };
    let clock = zone.split_at(1).1;
    let [hours, minutes, _] = numbers(&format!("{clock}:0"), ':')?;
    (clock.len() == 5 && hours < 24 && minutes < 60)
        .then_some(sign * (hours * 3_600 + minutes * 60))
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days of the proleptic Gregorian calendar. Years begin in March here, so that the leap day is
/// the last of its year and months have a fixed rhythm of lengths.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let days = 365 * year + year / 4 - year / 100 + year / 400;
    // 719,468 days from 0000-03-01 to 1970-01-01.
    days + (153 * month + 2) / 5 + (day - 1) - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_unix_seconds() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T23:59:59Z", 951_868_799),
            ("2026-06-28T10:20:30Z", 1_782_642_030),
            ("2026-06-28T10:20:30.999z", 1_782_642_030),
            ("2026-06-28T12:20:30+02:00", 1_782_642_030),
            ("2026-06-28t05:50:30-04:30", 1_782_642_030),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
        ] {
            assert_eq!(unix_seconds(text), Ok(seconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_time() {
        for text in [
            "",
            "2026-06-28",
            "2026-06-28T10:20:30",
            "2026-6-28T10:20:30Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01 00:00:00Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00+1:00",
            "2026-01-01T00:00:00Zx",
            "1969-12-31T23:59:59Z",
            "2026-01-01T00:00:00\u{e9}",
            "99999999999999999999-01-01T00:00:00Z",
        ] {
            assert!(unix_seconds(text).is_err(), "{text}");
        }
    }
}
