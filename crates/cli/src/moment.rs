//! Moments and durations: how they are typed, and how they are shown. UTC, always.

use countersign_protocol::UnixTime;

const MINUTE: i64 = 60;
const HOUR: i64 = 3600;
const DAY: i64 = 86_400;
/// Units, the largest first: in words of one letter, and in seconds.
const UNITS: [(&str, i64); 4] = [("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", 1)];

/// A moment as it was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// This one.
    At(UnixTime),
    /// So many seconds from now.
    In(i64),
}

impl When {
    /// The moment itself.
    pub(crate) fn from(self, now: UnixTime) -> UnixTime {
        match self {
            Self::At(at) => at,
            Self::In(seconds) => now.saturating_add(seconds),
        }
    }
}

/// `90s`, `15m`, `24h`, `30d`. A bare number is refused: who wrote 24 meant hours, and who reads it seconds.
pub(crate) fn parse_duration(text: &str) -> Result<i64, String> {
    let unit = UNITS.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, *seconds)));
    let number = unit.filter(|(digits, _)| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let seconds = number.and_then(|(digits, seconds)| digits.parse::<i64>().ok()?.checked_mul(seconds));
    seconds.ok_or_else(|| "must be a duration with its unit, such as 90s, 15m, 24h or 30d".to_owned())
}

/// RFC 3339, seconds since 1970, or `in 90d`.
pub(crate) fn parse_when(text: &str) -> Result<When, String> {
    if let Some(duration) = text.strip_prefix("in ") {
        return parse_duration(duration.trim()).map(When::In);
    }
    let seconds = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    let at = seconds.or_else(|| parse_rfc3339(text)).map(When::At);
    at.ok_or_else(|| "must be a moment such as 2026-12-24T18:00:00Z, or `in 90d`".to_owned())
}

/// `2026-11-25 10:05`
pub(crate) fn show(at: UnixTime) -> String {
    let (year, month, day) = date(at.div_euclid(DAY));
    let of_day = at.rem_euclid(DAY);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}", of_day / HOUR, of_day % HOUR / MINUTE)
}

/// `3 h ago`, `in 2 d`
pub(crate) fn show_age(at: UnixTime, now: UnixTime) -> String {
    let apart = now.saturating_sub(at);
    let (unit, seconds) = UNITS.into_iter().find(|(_, seconds)| apart.abs() >= *seconds).unwrap_or(("s", 1));
    let count = apart.abs() / seconds;
    if apart < 0 { format!("in {count} {unit}") } else { format!("{count} {unit} ago") }
}

/// `15m`, in the largest unit that leaves no rest.
pub(crate) fn show_duration(duration: i64) -> String {
    let (unit, seconds) = UNITS.into_iter().find(|(_, seconds)| duration % seconds == 0).unwrap_or(("s", 1));
    if duration == 0 { "0s".to_owned() } else { format!("{}{unit}", duration / seconds) }
}

/// `Wed, 25 Nov 2026 10:05:00 GMT`: the one form of RFC 9110 §5.6.7 that is sent.
pub(crate) fn parse_http_date(text: &str) -> Option<UnixTime> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let words: Vec<&str> = text.split(' ').collect();
    let [_, day, month, year, time, "GMT"] = words.as_slice() else {
        return None;
    };
    let month = MONTHS.iter().position(|known| known == month)? + 1;
    parse_rfc3339(&format!("{year}-{month:02}-{day}T{time}Z"))
}

/// `date-time` of RFC 3339 §5.6; parts of a second are dropped, leap seconds are none of ours.
fn parse_rfc3339(text: &str) -> Option<UnixTime> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to)?;
        if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
    };
    let is = |at: usize, expected: &[u8]| bytes.get(at).is_some_and(|byte| expected.contains(byte));
    if !(is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":") && is(16, b":")) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let days = days(year, month, day);
    if date(days) != (year, month, day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let offset = parse_offset(skip_fraction(text.get(19..)?)?)?;
    Some(days * DAY + hour * HOUR + minute * MINUTE + second - offset)
}

fn skip_fraction(rest: &str) -> Option<&str> {
    match rest.strip_prefix('.') {
        None => Some(rest),
        Some(rest) => {
            let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            (after.len() < rest.len()).then_some(after)
        }
    }
}

/// `Z`, or `+02:00`, in seconds.
fn parse_offset(text: &str) -> Option<i64> {
    if matches!(text, "Z" | "z") {
        return Some(0);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = text.strip_prefix(['+', '-'])?.split_once(':')?;
    let number = |digits: &str, most: i64| {
        let is_two = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|number: &i64| is_two && *number <= most)
    };
    Some(sign * (number(hours, 23)? * HOUR + number(minutes, 59)? * MINUTE))
}

/// Days since 1970-01-01 of a date; years begin in March, so that the leap day is a year's last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The date of days since 1970-01-01.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let (month, day) = ((shifted + 2) % 12 + 1, of_year - (153 * shifted + 2) / 5 + 1);
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_shown_in_one_unit() {
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
    fn moments_are_read_in_three_ways() {
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
    fn the_date_of_an_answer_is_read() {
        assert_eq!(parse_http_date("Wed, 25 Nov 2026 10:05:00 GMT"), Some(1_795_601_100));
        for bad in
            ["", "Wed, 25 Nov 2026 10:05:00", "Wednesday, 25-Nov-26 10:05:00 GMT", "Wed, 5 Nov 2026 10:05:00 GMT"]
        {
            assert_eq!(parse_http_date(bad), None, "{bad}");
        }
    }

    #[test]
    fn moments_are_shown_to_the_minute_and_ages_in_one_unit() {
        assert_eq!(show(1_795_601_159), "2026-11-25 10:05");
        assert_eq!(show(-1), "1969-12-31 23:59");
        let now = 1_000_000;
        for (at, shown) in [(now, "0 s ago"), (now - 59, "59 s ago"), (now - 3 * HOUR - 5, "3 h ago")] {
            assert_eq!(show_age(at, now), shown);
        }
        assert_eq!(show_age(now + 2 * DAY, now), "in 2 d");
    }

    #[test]
    fn every_day_of_four_centuries_is_its_own_date() {
        for day in 0..146_097 {
            let (year, month, of_month) = date(day);
            assert_eq!(days(year, month, of_month), day);
        }
    }
}
