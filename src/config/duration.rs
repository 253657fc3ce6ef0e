//! Lengths of time as Go writes them.

use std::time::Duration;

/// The longest time any option takes; far below where timer arithmetic could overflow.
const LONGEST: Duration = Duration::from_hours(10 * 365 * 24);

/// Reads a plain number of seconds (`60`) or a Go duration (`500ms`, `1m30s`, `1.5h`).
/// `None` for anything else, for negative times and for more than ten years.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let total = if text.bytes().all(|byte| byte.is_ascii_digit()) {
        Duration::from_secs(text.parse().ok()?)
    } else {
        parse_parts(text)?
    };
    (total <= LONGEST).then_some(total)
}

fn parse_parts(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(number_end);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, next) = tail.split_at(unit_end);
        total = total.checked_add(part(number, unit_in_nanoseconds(unit)?)?)?;
        rest = next;
    }
    Some(total)
}

/// One number with its unit. Fractions are worked out in whole numbers, so `0.1s` is exact.
fn part(number: &str, unit: u64) -> Option<Duration> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || fraction.len() > 15 {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut nanoseconds = u128::from(whole).checked_mul(u128::from(unit))?;
    if !fraction.is_empty() {
        let digits: u128 = fraction.parse().ok()?;
        let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        nanoseconds = nanoseconds.checked_add(digits.checked_mul(u128::from(unit))? / scale)?;
    }
    Some(Duration::from_nanos(u64::try_from(nanoseconds).ok()?))
}

fn unit_in_nanoseconds(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// Writes a time so that [`parse_duration`] reads it back: seconds, or the finer unit it needs.
#[must_use]
pub fn show_duration(time: Duration) -> String {
    if time.subsec_nanos() == 0 {
        format!("{}s", time.as_secs())
    } else if time.subsec_nanos().is_multiple_of(1_000_000) {
        format!("{}ms", time.as_millis())
    } else {
        format!("{}ns", time.as_nanos())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn goes_spellings() {
        for (text, milliseconds) in [
            ("60", 60_000),
            ("0", 0),
            ("60s", 60_000),
            ("500ms", 500),
            ("1m", 60_000),
            ("1m30s", 90_000),
            ("1.5h", 5_400_000),
            (".5s", 500),
            ("0.1s", 100),
            ("2000us", 2),
        ] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration() {
        for text in ["-1", "-1s", "1.5", "1d", "s", "1s2", ".s", "1..2s", "one", "999999h", "1 s"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn written_times_read_back(nanoseconds in 0_u64..1_000_000_000_000_000) {
            let time = Duration::from_nanos(nanoseconds);
            prop_assert_eq!(parse_duration(&show_duration(time)), Some(time));
        }

        #[test]
        fn any_text_is_read_without_panic(text in ".{0,40}") {
            let _ = parse_duration(&text);
        }
    }
}
