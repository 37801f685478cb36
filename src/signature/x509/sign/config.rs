//! Signing configurations (`SigningConfig` v0.2 of Sigstore's protobuf-specs): which services an instance has, and when.
//!
//! Of services of a kind the one counts that holds now, has the highest version asked for, and began last; where several are as
//! good, the first. A signature that git carries has room for one log entry and one timestamp, so that a configuration that
//! wants more of either cannot be followed.

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use std::cmp::Reverse;
use std::collections::BTreeSet;

const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.signingconfig.v0.2+json";

/// Why a signing configuration cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It is none.
    #[error("not a signing configuration: {0}")]
    Form(String),
    /// It is one of another version.
    #[error("a signing configuration of the form `{0}`; v0.2 is read")]
    Other(String),
    /// It wants more than fits.
    #[error("it asks for {wanted} of its {kind}, and a signature that git carries has room for one")]
    Several {
        /// Of what.
        kind: &'static str,
        /// How many.
        wanted: usize,
    },
    /// It does not say how many.
    #[error("it does not say how many of its {0} to ask")]
    Undefined(&'static str),
    /// It wants more operators than it has.
    #[error("it asks for {wanted} of its {kind}, of which {found} can be used now")]
    TooFew {
        /// Of what.
        kind: &'static str,
        /// How many.
        wanted: usize,
        /// How many there are.
        found: usize,
    },
}

/// Which services an instance has.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SigningConfig {
    media_type: String,
    #[serde(default, deserialize_with = "or_nothing")]
    ca_urls: Vec<Service>,
    #[serde(default, deserialize_with = "or_nothing")]
    oidc_urls: Vec<Service>,
    #[serde(default, deserialize_with = "or_nothing")]
    rekor_tlog_urls: Vec<Service>,
    #[serde(default, deserialize_with = "or_nothing")]
    tsa_urls: Vec<Service>,
    #[serde(default, deserialize_with = "or_nothing")]
    rekor_tlog_config: Number,
    #[serde(default, deserialize_with = "or_nothing")]
    tsa_config: Number,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Service {
    url: String,
    #[serde(deserialize_with = "number")]
    major_api_version: u32,
    #[serde(default, deserialize_with = "or_nothing")]
    valid_for: Span,
    #[serde(default, deserialize_with = "or_nothing")]
    operator: String,
}

/// Without an end, or a beginning, it holds at any time after, or before.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct Span {
    start: Option<Timestamp>,
    end: Option<Timestamp>,
}

/// How many of a kind are to be asked.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct Number {
    #[serde(default, deserialize_with = "or_nothing")]
    selector: Selector,
    #[serde(default, deserialize_with = "number")]
    count: u32,
}

#[derive(Clone, Copy, Debug, Default)]
enum Selector {
    #[default]
    Undefined,
    All,
    Any,
    Exact,
}

impl<'de> Deserialize<'de> for Selector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u32),
            Name(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(0) => Ok(Self::Undefined),
            Written::Number(1) => Ok(Self::All),
            Written::Number(2) => Ok(Self::Any),
            Written::Number(3) => Ok(Self::Exact),
            Written::Number(other) => Err(D::Error::custom(format_args!("no selector has the number {other}"))),
            Written::Name(name) => match name.as_str() {
                "SERVICE_SELECTOR_UNDEFINED" => Ok(Self::Undefined),
                "ALL" => Ok(Self::All),
                "ANY" => Ok(Self::Any),
                "EXACT" => Ok(Self::Exact),
                _ => Err(D::Error::custom(format_args!("no selector is named `{}`", name.escape_debug()))),
            },
        }
    }
}

/// protobuf's JSON may say `null` where it could say nothing.
fn or_nothing<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// protobuf's JSON may write numbers as text.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(u32),
        Text(String),
        Nothing(()),
    }
    match Written::deserialize(deserializer)? {
        Written::Number(number) => Ok(number),
        Written::Text(text) => text.parse().map_err(D::Error::custom),
        Written::Nothing(()) => Ok(0),
    }
}

impl SigningConfig {
    /// Reads one, in JSON.
    ///
    /// # Errors
    /// Where it is none of v0.2.
    pub fn parse(json: &[u8]) -> Result<Self, ConfigError> {
        let config: Self = serde_json::from_slice(json).map_err(|error| ConfigError::Form(error.to_string()))?;
        if config.media_type != MEDIA_TYPE {
            return Err(ConfigError::Other(config.media_type.chars().take(100).collect()));
        }
        Ok(config)
    }

    /// The certificate authority at a time (seconds since 1970).
    pub fn fulcio(&self, now: i64) -> Option<&str> {
        best(&self.ca_urls, now, 1).map(|service| service.url.as_str())
    }

    /// The issuer of identity tokens.
    pub fn issuer(&self, now: i64) -> Option<&str> {
        best(&self.oidc_urls, now, 1).map(|service| service.url.as_str())
    }

    /// The log of a version of Rekor's API.
    ///
    /// # Errors
    /// Where more than one is to be asked.
    pub fn rekor(&self, now: i64, version: u32) -> Result<Option<&str>, ConfigError> {
        one(&self.rekor_tlog_urls, self.rekor_tlog_config, now, version, "logs")
    }

    /// The timestamp authority.
    ///
    /// # Errors
    /// Where more than one is to be asked.
    pub fn timestamps(&self, now: i64) -> Result<Option<&str>, ConfigError> {
        one(&self.tsa_urls, self.tsa_config, now, 1, "timestamp authorities")
    }
}

fn usable(services: &[Service], now: i64, version: u32) -> impl Iterator<Item = &Service> {
    let holds = move |span: Span| {
        let begun = span.start.is_none_or(|start| start.as_second() <= now);
        begun && span.end.is_none_or(|end| now <= end.as_second())
    };
    services.iter().filter(move |service| service.major_api_version == version && holds(service.valid_for))
}

fn best(services: &[Service], now: i64, version: u32) -> Option<&Service> {
    usable(services, now, version).min_by_key(|service| Reverse(service.valid_for.start))
}

fn one<'a>(
    services: &'a [Service],
    number: Number,
    now: i64,
    version: u32,
    kind: &'static str,
) -> Result<Option<&'a str>, ConfigError> {
    let Some(best) = best(services, now, version) else { return Ok(None) };
    let operators = usable(services, now, version).map(|service| &service.operator).collect::<BTreeSet<_>>().len();
    match (number.selector, usize::try_from(number.count).unwrap_or(usize::MAX)) {
        (Selector::Any, _) | (Selector::Exact, 1) => Ok(Some(&best.url)),
        (Selector::All, _) if operators == 1 => Ok(Some(&best.url)),
        (Selector::All, _) => Err(ConfigError::Several { kind, wanted: operators }),
        (Selector::Exact, wanted) if wanted > operators => Err(ConfigError::TooFew { kind, wanted, found: operators }),
        (Selector::Undefined, _) | (Selector::Exact, 0) => Err(ConfigError::Undefined(kind)),
        (Selector::Exact, wanted) => Err(ConfigError::Several { kind, wanted }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `name version start end operator`, one service each; times in days since 1970, - is none.
    fn services(text: &str) -> String {
        let day = |word: &str| match word {
            "-" => "null".to_owned(),
            days => format!("\"{}\"", Timestamp::from_second(days.parse::<i64>().unwrap() * 86_400).unwrap()),
        };
        let one = |line: &str| {
            let [name, version, start, end, operator] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            format!(
                r#"{{"url": "https://{name}", "majorApiVersion": {version}, "validFor": {{"start": {}, "end": {}}}, "operator": "{operator}"}}"#,
                day(start),
                day(end)
            )
        };
        format!("[{}]", text.split(", ").filter(|line| !line.is_empty()).map(one).collect::<Vec<_>>().join(","))
    }

    fn config(logs: &str, number: &str) -> SigningConfig {
        let (logs, authorities) = (services(logs), services("old 1 5 20 o, new 1 8 - o"));
        let text = format!(
            r#"{{"mediaType": "{MEDIA_TYPE}", "caUrls": {authorities}, "oidcUrls": {authorities}, "rekorTlogUrls": {logs},
                "tsaUrls": {authorities}, "rekorTlogConfig": {number}, "tsaConfig": {{"selector": "ANY"}}}}"#
        );
        SigningConfig::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn which_log_is_chosen() {
        let both = "v2b 2 9 - a, v2a 2 7 - a, v1 1 1 - a";
        let any = r#"{"selector": "ANY"}"#;
        for (logs, number, version, want) in [
            (both, any, 2, Ok(Some("https://v2b"))),
            (both, any, 1, Ok(Some("https://v1"))),
            (both, any, 3, Ok(None)),
            ("a 2 1 9 x, b 2 1 10 x", any, 2, Ok(Some("https://b"))), // the last day counts
            ("a 2 11 - x", any, 2, Ok(None)),
            ("a 2 10 - x", any, 2, Ok(Some("https://a"))),
            ("a 2 3 - x, b 2 3 - y", any, 2, Ok(Some("https://a"))),
            ("a 2 - - x, b 2 3 - y", any, 2, Ok(Some("https://b"))),
            (both, r#"{"selector": "ALL"}"#, 2, Ok(Some("https://v2b"))), // of one operator the newest only
            ("a 2 1 - x, b 2 1 - y", r#"{"selector": "ALL"}"#, 2, Err(ConfigError::Several { kind: "logs", wanted: 2 })),
            ("a 2 1 - x, b 2 1 - y", r#"{"selector": "EXACT", "count": 1}"#, 2, Ok(Some("https://a"))),
            (
                "a 2 1 - x, b 2 1 - y",
                r#"{"selector": "EXACT", "count": 2}"#,
                2,
                Err(ConfigError::Several { kind: "logs", wanted: 2 }),
            ),
            (
                "a 2 1 - x",
                r#"{"selector": "EXACT", "count": 2}"#,
                2,
                Err(ConfigError::TooFew { kind: "logs", wanted: 2, found: 1 }),
            ),
            ("a 2 1 - x", r#"{"selector": "EXACT"}"#, 2, Err(ConfigError::Undefined("logs"))),
            ("a 2 1 - x", r#"{"selector": "SERVICE_SELECTOR_UNDEFINED"}"#, 2, Err(ConfigError::Undefined("logs"))),
            ("a 2 1 - x", "{}", 2, Err(ConfigError::Undefined("logs"))),
            ("", "{}", 2, Ok(None)),
        ] {
            let config = config(logs, number);
            assert_eq!(config.rekor(10 * 86_400, version), want, "{logs}; {number}");
        }
    }

    #[test]
    fn what_holds_at_which_time() {
        let config = config("", "{}");
        for (day, want) in [(4, None), (5, Some("https://old")), (7, Some("https://old")), (8, Some("https://new"))] {
            let now = day * 86_400;
            assert_eq!((config.fulcio(now), config.issuer(now)), (want, want), "{day}");
            assert_eq!(config.timestamps(now), Ok(want), "{day}");
        }
    }

    #[test]
    fn as_protobuf_may_write_it() {
        let text = |service: &str, number: &str| {
            format!(r#"{{"mediaType": "{MEDIA_TYPE}", "caUrls": null, "rekorTlogUrls": [{service}], "rekorTlogConfig": {number}}}"#)
        };
        let any = r#"{"selector": "ANY"}"#;
        let service = r#"{"url": "https://a", "majorApiVersion": 1, "validFor": {"start": "1970-01-02T00:00:00Z"}}"#;
        for (service, number, found) in [
            (service, any, true),
            (service, r#"{"selector": 2}"#, true),
            (service, r#"{"selector": 3, "count": "1"}"#, true),
            (service, r#"{"selector": "ALL", "count": null}"#, true),
            (r#"{"url": "https://a", "majorApiVersion": "1"}"#, any, true),
            (r#"{"url": "https://a", "majorApiVersion": 1, "validFor": null, "operator": null}"#, any, true),
            (r#"{"url": "https://a", "majorApiVersion": "2"}"#, any, false),
        ] {
            let config = SigningConfig::parse(text(service, number).as_bytes()).unwrap();
            assert_eq!(config.rekor(86_400, 1), Ok(found.then_some("https://a")), "{service} {number}");
        }
    }

    #[test]
    fn what_is_none() {
        let other = MEDIA_TYPE.replace("v0.2", "v0.1");
        for (text, want) in [
            (format!(r#"{{"mediaType": "{MEDIA_TYPE}"}}"#), true),
            (format!(r#"{{"mediaType": "{MEDIA_TYPE}", "caUrls": null, "tsaConfig": null}}"#), true),
            (format!(r#"{{"mediaType": "{MEDIA_TYPE}", "tsaConfig": {{"selector": 4}}}}"#), false),
            (format!(r#"{{"mediaType": "{MEDIA_TYPE}", "tsaConfig": {{"selector": "EXACT", "count": "-1"}}}}"#), false),
            (format!(r#"{{"mediaType": "{other}"}}"#), false),
            (format!(r#"{{"mediaType": "{MEDIA_TYPE}", "caUrls": [{{"url": "https://a"}}]}}"#), false),
            (format!(r#"{{"mediaType": "{MEDIA_TYPE}", "tsaConfig": {{"selector": "SOME"}}}}"#), false),
            ("{}".to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(SigningConfig::parse(text.as_bytes()).is_ok(), want, "{text}");
        }
    }
}
