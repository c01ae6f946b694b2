//! One value as it was given, and the types it is read into.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use fedsx_core::address::Instance;
use fedsx_core::backfill::Mode;
use fedsx_core::trust::Trust;
use fedsx_store::engine::EngineKind;
use ipnet::IpNet;

use super::LogFormat;

/// A value as it was given.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Given<'a> {
    /// From the environment or the command line.
    Text(&'a str),
    /// From the file.
    Toml(&'a toml::Value),
}

impl Given<'_> {
    fn text(&self) -> Result<&str, String> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Toml(toml::Value::String(text)) => Ok(text),
            Self::Toml(other) => Err(format!(
                "expected a string, not a value of type {}",
                other.type_str()
            )),
        }
    }
}

/// A type that settings have.
pub(crate) trait Setting: Sized {
    /// Reads a value; the error says what was expected.
    fn read(given: &Given<'_>) -> Result<Self, String>;

    /// The value as it is given.
    fn show(&self) -> String;
}

impl Setting for String {
    fn read(given: &Given<'_>) -> Result<Self, String> {
        given.text().map(str::to_owned)
    }

    fn show(&self) -> String {
        self.clone()
    }
}

/// The base URL.
impl Setting for Option<String> {
    fn read(given: &Given<'_>) -> Result<Self, String> {
        let instance = Instance::new(given.text()?).map_err(|error| error.to_string())?;
        Ok(Some(instance.base_url().to_owned()))
    }

    fn show(&self) -> String {
        self.clone()
            .unwrap_or_else(|| "(of the listener)".to_owned())
    }
}

/// What of the past is asked for.
impl Setting for Option<Mode> {
    fn read(given: &Given<'_>) -> Result<Self, String> {
        Mode::parse(given.text()?).map_err(|refusal| refusal.detail)
    }

    fn show(&self) -> String {
        self.as_ref()
            .map_or_else(|| "none".to_owned(), Mode::to_string)
    }
}

impl Setting for SocketAddr {
    fn read(given: &Given<'_>) -> Result<Self, String> {
        let text = given.text()?;
        let text = text
            .strip_prefix("localhost:")
            .map(|port| format!("127.0.0.1:{port}"));
        let text = text.as_deref().unwrap_or(given.text()?);
        text.parse()
            .map_err(|_| format!("expected an address like 127.0.0.1:8080 and not `{text}`"))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for bool {
    fn read(given: &Given<'_>) -> Result<Self, String> {
        match given {
            Given::Toml(toml::Value::Boolean(truth)) => Ok(*truth),
            Given::Text("true" | "1" | "yes" | "on") => Ok(true),
            Given::Text("false" | "0" | "no" | "off") => Ok(false),
            Given::Text(other) => Err(format!("expected true or false and not `{other}`")),
            Given::Toml(_) => Err("expected true or false, without quotes".to_owned()),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for u32 {
    fn read(given: &Given<'_>) -> Result<Self, String> {
        let number = match given {
            Given::Toml(toml::Value::Integer(number)) => Self::try_from(*number).ok(),
            Given::Text(text) => text.parse().ok(),
            Given::Toml(_) => None,
        };
        number.ok_or_else(|| "expected a whole number".to_owned())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for usize {
    fn read(given: &Given<'_>) -> Result<Self, String> {
        u32::read(given).map(|number| number as Self)
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for Duration {
    fn read(given: &Given<'_>) -> Result<Self, String> {
        match given {
            Given::Toml(toml::Value::Integer(seconds)) => duration(&seconds.to_string()),
            given => duration(given.text()?),
        }
    }

    fn show(&self) -> String {
        shown(*self)
    }
}

/// An address or a network of them.
impl Setting for IpNet {
    fn read(given: &Given<'_>) -> Result<Self, String> {
        let text = given.text()?;
        let one = || text.parse::<IpAddr>().ok().map(Self::from);
        text.parse().ok().or_else(one).ok_or_else(|| {
            format!("expected an address or a network like 10.0.0.0/8 and not `{text}`")
        })
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// `"30s,5m"`, `["30s", "5m"]` or `[30, 300]`; an empty text has no items.
impl<T: Setting> Setting for Vec<T> {
    fn read(given: &Given<'_>) -> Result<Self, String> {
        if let Given::Toml(toml::Value::Array(items)) = given {
            let items = items.iter().map(|item| T::read(&Given::Toml(item)));
            return items.collect();
        }
        let text = given.text()?.trim();
        let items = text.split(',').filter(|_| !text.is_empty());
        items
            .map(|item| T::read(&Given::Text(item.trim())))
            .collect()
    }

    fn show(&self) -> String {
        self.iter().map(T::show).collect::<Vec<_>>().join(",")
    }
}

impl Setting for Option<EngineKind> {
    fn read(given: &Given<'_>) -> Result<Self, String> {
        given
            .text()?
            .parse()
            .map(Some)
            .map_err(|error: fedsx_store::engine::UnknownEngine| error.to_string())
    }

    fn show(&self) -> String {
        self.map_or_else(
            || "(that of the index, else fjall)".to_owned(),
            |kind| kind.to_string(),
        )
    }
}

/// Whose definitions are taken.
impl Setting for Trust {
    fn read(given: &Given<'_>) -> Result<Self, String> {
        let words = Vec::<String>::read(given)?;
        Self::of_words(words.iter().map(String::as_str)).map_err(|error| error.to_string())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for LogFormat {
    fn read(given: &Given<'_>) -> Result<Self, String> {
        match given.text()? {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(format!("expected text or json and not `{other}`")),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Json => "json".to_owned(),
        }
    }
}

/// A number and its unit: `250ms`, `30s`, `5m`, `6h`, `7d`; a bare number is seconds. At most ten
/// years.
fn duration(text: &str) -> Result<Duration, String> {
    const LONGEST_MS: u64 = 10 * 366 * 86_400_000;
    let expected = || format!("expected a duration like 30s, 5m, 6h or 7d and not `{text}`");
    let unit_at = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let unit_ms = match unit.trim() {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(expected()),
    };
    let number: u64 = number.parse().map_err(|_| expected())?;
    let ms = number.checked_mul(unit_ms).filter(|ms| *ms <= LONGEST_MS);
    ms.map(Duration::from_millis).ok_or_else(expected)
}

/// A duration in the largest unit that it is a whole number of.
fn shown(duration: Duration) -> String {
    let ms = duration.as_millis();
    let units = [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "m"),
        (1_000, "s"),
    ];
    match units
        .into_iter()
        .find(|(unit, _)| ms >= *unit && ms.is_multiple_of(*unit))
    {
        Some((unit, name)) => format!("{}{name}", ms / unit),
        None => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_humane() {
        let ms = |text: &str| duration(text).map(|duration| duration.as_millis());
        for (text, expected) in [
            ("250ms", 250),
            ("30", 30_000),
            ("30s", 30_000),
            ("5m", 300_000),
            ("6h", 21_600_000),
            ("7d", 604_800_000),
        ] {
            assert_eq!(ms(text), Ok(expected), "{text}");
            let again = shown(duration(text).expect("read before"));
            assert_eq!(ms(&again), Ok(expected), "{again}");
        }
        for wrong in [
            "",
            "s",
            "-1s",
            "1.5s",
            "1 week",
            "99999999999999999999s",
            "9999999d",
        ] {
            assert!(ms(wrong).is_err(), "{wrong}");
        }
    }
}
