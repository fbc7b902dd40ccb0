//! Numbers as people write and read them.

use std::fmt::Write as _;
use std::time::Duration;

/// Reads `4096`, `64K`, `10M`, `1G` (powers of 1024, as `KiB`, `MiB`, `GiB`) or `10MB` (powers of 1000).
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    let split = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err("a number of bytes is like 4096, 64K, 10M or 1G".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "a number of bytes is like 4096, 64K, 10M or 1G".to_owned())?;
    let bytes = number.checked_mul(factor).filter(|bytes| *bytes < 1 << 62);
    bytes.ok_or_else(|| "that is more than a QUIC stream can carry (2^62 bytes)".to_owned())
}

/// Reads `50us` or `1ms`: how long to look for datagrams without sleeping, at most a millisecond.
pub(crate) fn parse_busy_poll(text: &str) -> Result<Duration, String> {
    let advice = "a time for busy polling is like 50us or 1ms, and at most 1ms";
    let split = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().map_err(|_| advice.to_owned())?;
    let span = match unit {
        "us" => Duration::from_micros(number),
        "ms" => Duration::from_millis(number),
        _ => return Err(advice.to_owned()),
    };
    if span > Duration::from_millis(1) { Err(advice.to_owned()) } else { Ok(span) }
}

/// `10.0 MiB`, and plain bytes below a kibibyte.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = UNITS[0];
    for larger in &UNITS[1..] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    format!("{value:.1} {unit}")
}

/// `311 Mbit/s`.
pub(crate) fn rate(bits_per_second: f64) -> String {
    match bits_per_second {
        rate if rate >= 1e9 => format!("{:.2} Gbit/s", rate / 1e9),
        rate if rate >= 1e7 => format!("{:.0} Mbit/s", rate / 1e6),
        rate if rate >= 1e6 => format!("{:.1} Mbit/s", rate / 1e6),
        rate => format!("{:.0} kbit/s", rate / 1e3),
    }
}

/// `0.21 ms`, `24 ms`, `1.50 s`.
pub(crate) fn time(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds >= 1.0 => format!("{seconds:.2} s"),
        seconds if seconds >= 0.01 => format!("{:.0} ms", seconds * 1e3),
        seconds => format!("{:.2} ms", seconds * 1e3),
    }
}

/// Lower-case hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").ok();
        text
    })
}

/// How a connection is to be closed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Close {
    pub(crate) code: u64,
    pub(crate) reason: String,
}

/// Reads `CODE` or `CODE REASON`.
pub(crate) fn parse_close(text: &str) -> Result<Close, String> {
    let (code, reason) = text.split_once(' ').unwrap_or((text, ""));
    let code = code.parse().ok().filter(|code| *code < 1 << 62);
    let code = code.ok_or("a code is a number below 2^62, followed by a space and the reason: '42 bye'")?;
    Ok(Close { code, reason: reason.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_polling_is_bounded() {
        assert_eq!(parse_busy_poll("50us"), Ok(Duration::from_micros(50)));
        assert_eq!(parse_busy_poll("1ms"), Ok(Duration::from_millis(1)));
        for wrong in ["", "50", "us", "2ms", "1001us", "1s", "-1us"] {
            assert!(parse_busy_poll(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn bytes_are_read_as_people_write_them() {
        for (text, count) in [
            ("0", 0),
            ("4096", 4096),
            ("64K", 65_536),
            ("10M", 10_485_760),
            ("10MiB", 10_485_760),
            ("10MB", 10_000_000),
            ("1g", 1 << 30),
        ] {
            assert_eq!(parse_bytes(text), Ok(count), "{text}");
        }
        for text in ["", "M", "-1", "1.5M", "10X", "99999999999999999999", "9999999999T", "4611686018427387904"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_are_shown_short() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(10 << 20), "10.0 MiB");
        assert_eq!(rate(311e6), "311 Mbit/s");
        assert_eq!(time(Duration::from_micros(210)), "0.21 ms");
        assert_eq!(time(Duration::from_millis(1500)), "1.50 s");
        assert_eq!(hexadecimal(&[0, 0xab]), "00ab");
    }

    #[test]
    fn a_close_is_a_code_and_words() {
        assert_eq!(parse_close("42 so long"), Ok(Close { code: 42, reason: "so long".to_owned() }));
        assert_eq!(parse_close("7"), Ok(Close { code: 7, reason: String::new() }));
        assert!(parse_close("bye").is_err() && parse_close("4611686018427387904").is_err());
    }
}
