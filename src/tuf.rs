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
}

/// Looks at a metadata file as it was fetched.
///
/// # Errors
/// Where an object in it has two members of one name, or a role, one key under two names.
pub fn check(bytes: &[u8]) -> Result<(), TufError> {
    let Strict(file) = serde_json::from_slice(bytes).map_err(|error| TufError::Json(error.to_string()))?;
    let signed = file.get("signed").unwrap_or(&Value::Null);
    let keys = signed.get("keys").unwrap_or(&Value::Null);
    for (role, said) in signed.get("roles").and_then(Value::as_object).into_iter().flatten() {
        let mut seen: BTreeMap<Vec<u8>, &str> = BTreeMap::new();
        for name in said.get("keyids").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            let public = keys.named(name).and_then(|key| key.pointer("/keyval/public")).and_then(Value::as_str);
            let Some(public) = public else { continue };
            if let Some(one) = seen.insert(material(public), name).filter(|one| *one != name) {
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

/// What all forms of a key have in common: PEM or hexadecimal, a point on a curve with its ordinate or with the sign of that only.
fn material(public: &str) -> Vec<u8> {
    const LAST: usize = 32; // an Ed25519 key, an abscissa, the end of a modulus: enough to tell keys apart
    const P256: usize = 91; // a SubjectPublicKeyInfo with a whole point on P-256: 26 bytes, 4, abscissa, ordinate
    let text = public.trim();
    let lines = || text.lines().map(str::trim).filter(|line| !line.starts_with("-----")).collect::<String>();
    let bytes = match text.starts_with("-----BEGIN") {
        true => STANDARD.decode(lines()).ok(),
        false => (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect(),
    };
    let mut bytes = bytes.unwrap_or_else(|| text.as_bytes().to_vec());
    if bytes.len() == P256 && bytes.get(26) == Some(&4) {
        bytes.truncate(P256 - LAST);
    }
    bytes.get(bytes.len().saturating_sub(LAST)..).unwrap_or_default().to_vec()
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

    #[test]
    fn one_point_in_two_forms() {
        let pem = |point: &[u8]| {
            let der = [&[0; 26], point].concat(); // what stands before says which curve
            format!("-----BEGIN PUBLIC KEY-----\\n{}\\n-----END PUBLIC KEY-----", STANDARD.encode(der))
        };
        let (whole, half) = (pem(&[&[4][..], &[7; 32], &[8; 32]].concat()), pem(&[&[2][..], &[7; 32]].concat()));
        let other = pem(&[&[4][..], &[9; 32], &[8; 32]].concat());
        let ids = r#"["a", "b"]"#;
        for (one, two, good) in [(&whole, &half, false), (&whole, &other, true), (&half, &other, true), (&whole, &whole, false)] {
            assert_eq!(check(root(one, two, ids).as_bytes()).is_ok(), good, "{one} {two}");
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
