//! What metadata of The Update Framework must hold besides its signatures (specification 1.0): one meaning for whoever reads it,
//! and thresholds that count keys.
//!
//! sigstore-tuf, which walks the client's workflow, reads JSON as most do (of two members of one name the last counts) and tells
//! keys apart by the names that the metadata gives them, so that one key under two names would sign twice.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::collections::BTreeMap;
use std::fmt;

/// What is wrong with metadata.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TufError {
    /// It is no JSON, or an object in it has two members of one name.
    #[error("{0}")]
    Json(String),
    /// Two names of a role's keys are of one key.
    #[error("its role {role} names one key twice, as {one} and as {other}: it would sign for two")]
    SameKey {
        /// The role.
        role: String,
        /// One name.
        one: String,
        /// The other.
        other: String,
    },
    /// A key is written in a form of which others may make something else.
    #[error("the key {name} of its role {role} is neither hexadecimal nor one plain PEM block of a public key")]
    Key {
        /// The role.
        role: String,
        /// The key's name.
        name: String,
    },
    /// No repository counts that far.
    #[error("its version, {0}, is no version")]
    Version(u64),
}

/// Looks at a metadata file as it was fetched.
///
/// # Errors
/// Where an object in it has two members of one name, or a role, one key under two names; where a role's key is in none of the two
/// forms in which it can only be read as one key; where its version leaves no room for a next one.
pub fn check(bytes: &[u8]) -> Result<(), TufError> {
    let Strict(file) = serde_json::from_slice(bytes).map_err(|error| TufError::Json(error.to_string()))?;
    let signed = file.get("signed").unwrap_or(&Value::Null);
    if let Some(version) = signed.get("version").and_then(Value::as_u64).filter(|version| i64::try_from(*version).is_err()) {
        return Err(TufError::Version(version));
    }
    let keys = signed.get("keys").unwrap_or(&Value::Null);
    for (role, said) in signed.get("roles").and_then(Value::as_object).into_iter().flatten() {
        let mut seen: BTreeMap<Vec<u8>, &str> = BTreeMap::new();
        for name in said.get("keyids").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            let public = keys.named(name).and_then(|key| key.pointer("/keyval/public")).and_then(Value::as_str);
            let Some(public) = public else { continue };
            let named = || TufError::Key { role: role.clone(), name: name.to_owned() };
            if let Some(one) = seen.insert(material(public).ok_or_else(named)?, name).filter(|one| *one != name) {
                let (role, one, other) = (role.clone(), one.to_owned(), name.to_owned());
                return Err(TufError::SameKey { role, one, other });
            }
        }
    }
    Ok(())
}

/// A member by its whole name, which is not a path.
trait Member {
    fn named(&self, name: &str) -> Option<&Value>;
}

impl Member for Value {
    fn named(&self, name: &str) -> Option<&Value> {
        self.as_object()?.get(name)
    }
}

/// What all forms of a key have in common: PEM or hexadecimal, a point on a curve with its ordinate or with the sign of that only,
/// a modulus with any exponent. `None` where the text is in neither form: what is not understood here, others may still take for
/// a key.
fn material(public: &str) -> Option<Vec<u8>> {
    let text = public.trim();
    let bits = match text.strip_prefix("-----BEGIN PUBLIC KEY-----") {
        Some(rest) => {
            let inner = rest.strip_suffix("-----END PUBLIC KEY-----")?.strip_prefix(['\r', '\n'])?.trim();
            bits(&STANDARD.decode(inner.lines().map(str::trim_end).collect::<String>()).ok()?)?
        }
        None => hex::decode(text).ok()?,
    };
    const INTEGER: u8 = 2;
    const SEQUENCE: u8 = 0x30;
    let half = bits.len() / 2;
    match (bits.first()?, bits.len()) {
        (2 | 3, 33 | 49 | 67) => bits.get(1..).map(<[u8]>::to_vec),
        (4 | 6 | 7, 65 | 97 | 133) => bits.get(1..=half).map(<[u8]>::to_vec),
        (&SEQUENCE, _) if bits.len() > 64 => {
            let (modulus, _) = element(INTEGER, whole(SEQUENCE, &bits)?)?;
            Some(modulus.iter().copied().skip_while(|&byte| byte == 0).collect())
        }
        _ => Some(bits),
    }
}

/// The bits of the key in a SubjectPublicKeyInfo, whatever it says of the algorithm.
fn bits(der: &[u8]) -> Option<Vec<u8>> {
    let (_, rest) = element(0x30, whole(0x30, der)?)?;
    whole(3, rest)?.strip_prefix(&[0]).map(<[u8]>::to_vec)
}

/// What is in the one element that these bytes are.
fn whole(tag: u8, der: &[u8]) -> Option<&[u8]> {
    element(tag, der).filter(|(_, rest)| rest.is_empty()).map(|(content, _)| content)
}

/// What is in the first element, and what follows it.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = der.split_first_chunk()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 => rest.split_first().map(|(&length, rest)| (usize::from(length), rest)).filter(|(length, _)| *length >= 0x80)?,
        0x82 => {
            let (&length, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(length)), rest)
        }
        _ => return None,
    };
    (found == tag).then_some(())?;
    rest.split_at_checked(length)
}

/// JSON in which no object has two members of one name.
struct Strict(Value);

impl<'de> de::Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            all.push(item);
        }
        Ok(Value::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut all = Map::new();
        while let Some((name, Strict(value))) = members.next_entry::<String, Strict>()? {
            if all.contains_key(&name) {
                return Err(de::Error::custom(format_args!("an object in it has two members named `{}`", name.escape_debug())));
            }
            all.insert(name, value);
        }
        Ok(Value::Object(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str =
        r"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\n-----END PUBLIC KEY-----\n";
    const SAME_PEM: &str =
        r"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAAQIDBAUGBwgJCgsMDQ4P\nEBESExQVFhcYGRobHB0eHyA=\n-----END PUBLIC KEY-----";
    const SAME_HEX: &str = "0102030405060708090A0B0c0d0e0f101112131415161718191a1b1c1d1e1f20";
    const OTHER_HEX: &str = "0102030405060708090A0B0c0d0e0f101112131415161718191a1b1c1d1e1f21";

    fn root(one: &str, other: &str, ids: &str) -> String {
        let key = |public: &str| format!(r#"{{"keytype": "x", "scheme": "x", "keyval": {{"public": "{public}"}}}}"#);
        let keys = format!(r#"{{"a": {}, "b": {}}}"#, key(one), key(other));
        format!(r#"{{"signatures": [], "signed": {{"keys": {keys}, "roles": {{"root": {{"keyids": {ids}, "threshold": 2}}}}}}}}"#)
    }

    #[test]
    fn one_key_under_two_names() {
        for (one, other, ids, good) in [
            (PEM, OTHER_HEX, r#"["a", "b"]"#, true),
            (PEM, PEM, r#"["a", "b"]"#, false),
            (PEM, SAME_PEM, r#"["a", "b"]"#, false),
            (PEM, SAME_HEX, r#"["b", "a"]"#, false),
            (PEM, PEM, r#"["a"]"#, true),
            (PEM, PEM, r#"["a", "a"]"#, true), // one name, which counts once
            (PEM, PEM, r#"["a", "absent"]"#, true),
        ] {
            let found = check(root(one, other, ids).as_bytes());
            assert_eq!(found.is_ok(), good, "{one} {other} {ids}: {found:?}");
        }
    }

    fn sequence(parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let head = match u8::try_from(content.len()).unwrap() {
            length @ 0..0x80 => vec![0x30, length],
            length => vec![0x30, 0x81, length],
        };
        [head, content].concat()
    }

    fn spki(bits: &[u8]) -> Vec<u8> {
        let mut string = sequence(&[&[0], bits]);
        string[0] = 3;
        sequence(&[&sequence(&[&[6, 1, 42]]), &string])
    }

    fn pem(der: &[u8]) -> String {
        format!("-----BEGIN PUBLIC KEY-----\\n{}\\n-----END PUBLIC KEY-----", STANDARD.encode(der))
    }

    #[test]
    fn one_point_in_two_forms() {
        for width in [32, 48, 66] {
            let point = |first: u8, x: u8| pem(&spki(&[&[first][..], &vec![x; width], &vec![8; width]].concat()));
            let half = pem(&spki(&[&[2][..], &vec![7; width]].concat()));
            let (all, hybrid, other) = (point(4, 7), point(6, 7), point(4, 9));
            let ids = r#"["a", "b"]"#;
            for (one, two, good) in [
                (&all, &half, false),
                (&all, &hybrid, false),
                (&half, &hybrid, false),
                (&all, &other, true),
                (&half, &other, true),
                (&all, &all, false),
            ] {
                assert_eq!(check(root(one, two, ids).as_bytes()).is_ok(), good, "{one} {two}");
            }
        }
        let modulus = |exponent: u8, zeros: &[u8]| {
            let number = [zeros, &[0x55; 70]].concat();
            let length = u8::try_from(number.len()).unwrap();
            pem(&spki(&sequence(&[&[2, length], &number, &[2, 1, exponent]])))
        };
        assert!(check(root(&modulus(3, &[]), &modulus(17, &[0]), r#"["a", "b"]"#).as_bytes()).is_err());
    }

    /// Of what is read otherwise elsewhere nothing is made here: it could be a key that another name has already.
    #[test]
    fn a_key_in_another_form_is_none() {
        let der = spki(&[&[4][..], &[7; 48], &[8; 48]].concat());
        let (good, text) = (pem(&der), STANDARD.encode(&der));
        assert!(text.ends_with('='));
        let begin = "-----BEGIN PUBLIC KEY-----";
        let end = "-----END PUBLIC KEY-----";
        let ids = r#"["a", "b"]"#;
        assert!(check(root(&good, OTHER_HEX, ids).as_bytes()).is_ok());
        let windows = format!("{begin}\\r\\n{text}\\r\\n{end}\\r\\n");
        assert!(check(root(&windows, OTHER_HEX, ids).as_bytes()).is_ok());
        for public in [
            format!("{begin}\\nX: y\\n\\n{text}\\n{end}"),
            format!("{good}\\n{good}"),
            format!("{good}\\njunk"),
            format!("junk\\n{good}"),
            format!("{begin}\\n{}\\n{end}", text.replacen('A', "A ", 1)),
            format!("{begin}\\n{}\\n{end}", text.trim_end_matches('=')),
            format!("{begin}{text}{end}"),
            format!("{begin}\\n{}\\n{end}", STANDARD.encode([&der[..], &[0]].concat())),
            format!("-----BEGIN CERTIFICATE-----\\n{text}\\n-----END CERTIFICATE-----"),
            good.replace("PUBLIC KEY", "EC PUBLIC KEY"),
            SAME_HEX.replacen("01", "+1", 1),
            SAME_HEX[1..].to_owned(),
            text.clone(),
            String::new(),
        ] {
            let error = check(root(OTHER_HEX, &public, ids).as_bytes()).expect_err(&public);
            assert_eq!(error, TufError::Key { role: "root".to_owned(), name: "b".to_owned() }, "{public}");
        }
    }

    #[test]
    fn versions_have_a_next_one() {
        let body = |version: &str| format!(r#"{{"signed": {{"version": {version}}}}}"#);
        assert!(check(body("9223372036854775807").as_bytes()).is_ok());
        for version in ["9223372036854775808", "18446744073709551615"] {
            let error = check(body(version).as_bytes()).expect_err(version);
            assert_eq!(error.to_string(), format!("its version, {version}, is no version"));
        }
    }

    #[test]
    fn members_of_one_name() {
        for (text, good) in [
            (r#"{"signed": {"version": 1}, "signatures": [{"a": 1}, {"a": 1}]}"#, true),
            (r#"{"signed": {"version": 1}, "signed": {"version": 2}}"#, false),
            (r#"{"signed": {"version": 1, "version": 2}}"#, false),
            (r#"{"signed": {"version": 1, "vers\u0069on": 2}}"#, false),
            (r#"{"signed": {"a": [{"b": {"c": null, "c": true}}]}}"#, false),
            ("{} {}", false),
            ("", false),
            ("[]", true),
            ("1.5", true),
        ] {
            assert_eq!(check(text.as_bytes()).is_ok(), good, "{text}");
        }
        let deep = "[".repeat(100_000);
        assert!(check(deep.as_bytes()).is_err());
    }
}
