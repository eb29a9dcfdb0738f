//! Parses and shows times and durations, always in UTC.

use std::time::UNIX_EPOCH;

use countersign_protocol::UnixTime;
use jiff::Timestamp;

const MINUTE: i64 = 60;
const HOUR: i64 = 3600;
const DAY: i64 = 86_400;
/// Units, largest first: letter and seconds.
const UNITS: [(&str, i64); 4] = [("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", 1)];

/// A time on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// An absolute time.
    At(UnixTime),
    /// Seconds from now.
    In(i64),
}

impl When {
    /// Returns the absolute time.
    pub(crate) fn from(self, now: UnixTime) -> UnixTime {
        match self {
            Self::At(at) => at,
            Self::In(seconds) => now.saturating_add(seconds),
        }
    }
}

/// Parses `90s`, `15m`, `24h`, `30d`. A number without a unit is refused, because it is ambiguous.
pub(crate) fn parse_duration(text: &str) -> Result<i64, String> {
    let unit = UNITS.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, *seconds)));
    let number = unit.filter(|(digits, _)| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let seconds = number.and_then(|(digits, seconds)| digits.parse::<i64>().ok()?.checked_mul(seconds));
    seconds.ok_or_else(|| "must be a duration with a unit, such as 90s, 15m, 24h or 30d".to_owned())
}

/// Parses RFC 3339, seconds since 1970, or `in 90d`.
pub(crate) fn parse_when(text: &str) -> Result<When, String> {
    if let Some(duration) = text.strip_prefix("in ") {
        return parse_duration(duration.trim()).map(When::In);
    }
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let at = if is_number { text.parse().ok() } else { text.parse().ok().map(Timestamp::as_second) };
    at.map(When::At).ok_or_else(|| "must be a time such as 2026-12-24T18:00:00Z, or `in 90d`".to_owned())
}

/// Formats `2026-11-25 10:05`. A number outside the years -9999 to 9999 is shown unchanged.
pub(crate) fn show(at: UnixTime) -> String {
    match Timestamp::from_second(at) {
        Ok(at) => at.strftime("%Y-%m-%d %H:%M").to_string(),
        Err(_) => at.to_string(),
    }
}

/// Formats `3 h ago`, `in 2 d`.
pub(crate) fn show_age(at: UnixTime, now: UnixTime) -> String {
    let apart = now.saturating_sub(at);
    let (unit, seconds) = UNITS.into_iter().find(|(_, seconds)| apart.abs() >= *seconds).unwrap_or(("s", 1));
    let count = apart.abs() / seconds;
    if apart < 0 { format!("in {count} {unit}") } else { format!("{count} {unit} ago") }
}

/// Formats `15m`, in the largest unit without a remainder.
pub(crate) fn show_duration(duration: i64) -> String {
    let (unit, seconds) = UNITS.into_iter().find(|(_, seconds)| duration % seconds == 0).unwrap_or(("s", 1));
    if duration == 0 { "0s".to_owned() } else { format!("{}{unit}", duration / seconds) }
}

/// Parses `Wed, 25 Nov 2026 10:05:00 GMT`, or one of the two obsolete formats of RFC 9110 §5.6.7.
pub(crate) fn parse_http_date(text: &str) -> Option<UnixTime> {
    let date = httpdate::parse_http_date(text).ok()?;
    date.duration_since(UNIX_EPOCH).ok()?.as_secs().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_parsed_and_shown_in_one_unit() {
        for (text, seconds, shown) in
            [("90s", 90, "90s"), ("15m", 900, "15m"), ("24h", 86_400, "1d"), ("30d", 2_592_000, "30d"), ("0s", 0, "0s")]
        {
            assert_eq!(parse_duration(text), Ok(seconds));
            assert_eq!(show_duration(seconds), shown);
        }
        for bad in ["", "s", "5", "0", "-5m", "+5m", "1.5h", "15 m", "1w", "9223372036854775807d", "1h30m"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_are_parsed_in_three_formats() {
        for (text, when) in [
            ("1970-01-01T00:00:00Z", When::At(0)),
            ("2026-11-25T10:05:00Z", When::At(1_795_601_100)),
            ("2026-11-25t12:05:00.999+02:00", When::At(1_795_601_100)),
            ("2026-11-25 05:35:00-04:30", When::At(1_795_601_100)),
            ("2000-02-29T00:00:00z", When::At(951_782_400)),
            ("1795601100", When::At(1_795_601_100)),
            ("in 90d", When::In(7_776_000)),
        ] {
            assert_eq!(parse_when(text), Ok(when), "{text}");
        }
        for bad in [
            "",
            "tomorrow",
            "2026-11-25",
            "2026-11-25T10:05:00",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-25T24:00:00Z",
            "2026-11-25T10:05:00.Z",
            "2026-11-25T10:05:00+2:00",
            "+5",
            "in 90x",
            "é026-11-25T10:05:00Z",
        ] {
            assert!(parse_when(bad).is_err(), "{bad}");
        }
        assert_eq!((When::In(60).from(100), When::At(7).from(100)), (160, 7));
    }

    #[test]
    fn the_date_of_a_response_is_parsed() {
        for date in ["Wed, 25 Nov 2026 10:05:00 GMT", "Wednesday, 25-Nov-26 10:05:00 GMT", "Wed Nov 25 10:05:00 2026"] {
            assert_eq!(parse_http_date(date), Some(1_795_601_100), "{date}");
        }
        for bad in ["", "Wed, 25 Nov 2026 10:05:00", "2026-11-25T10:05:00Z", "Wed, 5 Nov 2026 10:05:00 GMT"] {
            assert_eq!(parse_http_date(bad), None, "{bad}");
        }
    }

    #[test]
    fn times_are_shown_to_the_minute_and_ages_in_one_unit() {
        assert_eq!(show(1_795_601_159), "2026-11-25 10:05");
        assert_eq!(show(-1), "1969-12-31 23:59");
        assert_eq!(show(i64::MAX), "9223372036854775807");
        let now = 1_000_000;
        for (at, shown) in [(now, "0 s ago"), (now - 59, "59 s ago"), (now - 3 * HOUR - 5, "3 h ago")] {
            assert_eq!(show_age(at, now), shown);
        }
        assert_eq!(show_age(now + 2 * DAY, now), "in 2 d");
    }
}
