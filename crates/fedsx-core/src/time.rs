//! Instants as Unix milliseconds, and the three texts they are written in.
//!
//! RFC 3339 is read strictly (section 5.6, with `T` and `Z` in either case): what documents carry
//! is compared and hashed, so a lax reading would let two servers disagree on when something was
//! said. Deliberately absent: a clock. The time comes in as an argument everywhere.

use jiff::Timestamp;
use jiff::fmt::rfc2822;

/// The instant of an RFC 3339 text, in Unix milliseconds; a finer fraction is cut off.
#[must_use]
pub fn parse_rfc3339_ms(text: &str) -> Option<i64> {
    if !has_rfc3339_shape(text.as_bytes()) {
        return None;
    }
    let instant: Timestamp = text.parse().ok()?;
    i64::try_from(instant.as_nanosecond().div_euclid(1_000_000)).ok()
}

/// The instant with three digits of fraction: `2026-01-01T00:00:00.000Z`.
#[must_use]
pub fn format_rfc3339_ms(ms: i64) -> String {
    format!("{:.3}", instant(ms))
}

/// The instant cut to whole seconds: `2026-01-01T00:00:00Z`.
#[must_use]
pub fn format_rfc3339_s(ms: i64) -> String {
    format!("{:.0}", instant(ms.div_euclid(1_000).saturating_mul(1_000)))
}

/// The instant of an HTTP date such as `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7),
/// in Unix milliseconds.
#[must_use]
pub fn parse_http_date_ms(text: &str) -> Option<i64> {
    if text.len() > 40 {
        return None;
    }
    let instant = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(instant.as_millisecond())
}

/// The instant as an HTTP date, cut to whole seconds; `None` for years that such a date has no place for.
#[must_use]
pub fn format_http_date(ms: i64) -> Option<String> {
    let instant = Timestamp::from_second(ms.div_euclid(1_000)).ok()?;
    let printer = rfc2822::DateTimePrinter::new();
    printer.timestamp_to_rfc9110_string(&instant).ok()
}

/// Clamped to the years `jiff` can print, which lie far outside anything a document may carry.
fn instant(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(if ms < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}

/// `YYYY-MM-DDThh:mm:ss[.d+](Z|±hh:mm)`; `jiff` checks the ranges and also reads wider grammars.
fn has_rfc3339_shape(text: &[u8]) -> bool {
    if text.len() > 64 || text.len() < 20 {
        return false;
    }
    let (stem, rest) = text.split_at(19);
    if !matches_shape(stem, b"0000-00-00T00:00:00") {
        return false;
    }
    let zone = match rest.split_first() {
        Some((b'.', after)) => {
            let digits = after
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count();
            if digits == 0 {
                return false;
            }
            after.split_at(digits).1
        }
        _ => rest,
    };
    match zone {
        [b'Z' | b'z'] => true,
        [b'+' | b'-', offset @ ..] => matches_shape(offset, b"00:00"),
        _ => false,
    }
}

/// `0` in the shape stands for any digit, a letter for itself in either case.
fn matches_shape(text: &[u8], shape: &[u8]) -> bool {
    text.len() == shape.len()
        && text.iter().zip(shape).all(|(have, want)| match want {
            b'0' => have.is_ascii_digit(),
            _ => have.eq_ignore_ascii_case(want),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop_assert_eq, proptest};

    #[test]
    fn reads_rfc3339_and_nothing_wider() {
        assert_eq!(parse_rfc3339_ms("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(parse_rfc3339_ms("1970-01-01T00:00:01.5Z"), Some(1_500));
        assert_eq!(parse_rfc3339_ms("1970-01-01T01:00:00.0019+01:00"), Some(1));
        assert_eq!(parse_rfc3339_ms("1969-12-31T23:59:59.9999Z"), Some(-1));
        assert_eq!(
            parse_rfc3339_ms("2023-02-24t23:36:38z"),
            Some(1_677_281_798_000)
        );
        for wider in [
            "",
            "2023-02-24",
            "2023-02-24T23:36:38",
            "2023-02-24 23:36:38Z",
            "20230224T233638Z",
            "2023-02-24T23:36Z",
            "2023-02-24T23:36:38,5Z",
            "2023-02-24T23:36:38.Z",
            "2023-02-24T23:36:38+0100",
            "2023-02-24T23:36:38Z[UTC]",
            "+002023-02-24T23:36:38Z",
            "2023-02-30T23:36:38Z",
            "2023-02-24T24:00:00Z",
            " 2023-02-24T23:36:38Z",
            "２023-02-24T23:36:38Z",
        ] {
            assert_eq!(parse_rfc3339_ms(wider), None, "{wider}");
        }
    }

    #[test]
    fn prints_milliseconds_and_seconds() {
        assert_eq!(
            format_rfc3339_ms(1_677_281_798_007),
            "2023-02-24T23:36:38.007Z"
        );
        assert_eq!(format_rfc3339_s(1_677_281_798_999), "2023-02-24T23:36:38Z");
        assert_eq!(format_rfc3339_ms(-1), "1969-12-31T23:59:59.999Z");
        assert_eq!(format_rfc3339_s(-1), "1969-12-31T23:59:59Z");
        assert!(format_rfc3339_ms(i64::MAX).starts_with("9999-"));
        assert!(format_rfc3339_s(i64::MIN).starts_with("-009999-"));
    }

    #[test]
    fn reads_http_dates() {
        let ms = parse_http_date_ms("Sun, 05 Jan 2014 21:31:40 GMT");
        assert_eq!(ms, Some(1_388_957_500_000));
        assert_eq!(parse_http_date_ms("yesterday"), None);
        let text = format_http_date(1_388_957_500_999);
        assert_eq!(text.as_deref(), Some("Sun, 05 Jan 2014 21:31:40 GMT"));
        assert_eq!(format_http_date(i64::MAX), None);
    }

    proptest! {
        #[test]
        fn printing_is_read_back(ms in -62_167_219_200_000_i64..253_402_207_200_000) {
            prop_assert_eq!(parse_rfc3339_ms(&format_rfc3339_ms(ms)), Some(ms));
            prop_assert_eq!(parse_rfc3339_ms(&format_rfc3339_s(ms)), Some(ms.div_euclid(1_000) * 1_000));
        }
    }
}
