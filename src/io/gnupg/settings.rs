//! gpg.conf, as far as it says what is verified and signed with.

use crate::signature::openpgp::keyring::TrustModel;
use std::path::PathBuf;

/// What is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `trust-model`
    pub trust_model: Option<TrustModel>,
    /// `default-key`: the last one that is there signs where nobody names one.
    pub default_keys: Vec<String>,
    /// `local-user`: signs where nobody names one, before a default key.
    pub local_users: Vec<String>,
    /// `keyring`, in the order of the lines.
    pub keyrings: Vec<PathBuf>,
    /// `no-default-keyring`
    pub no_default_keyring: bool,
    /// `weak-digest`: the numbers of hash functions (RFC 9580 §9.5) whose signatures are not looked at.
    pub weak: Vec<u8>,
    /// `auto-key-retrieve`
    pub auto_key_retrieve: bool,
    /// `trustdb-name`
    pub trustdb: Option<PathBuf>,
    /// `no-auto-check-trustdb`
    pub no_auto_check_trustdb: bool,
    /// `allow-weak-digest-algos`: they are, all of them.
    pub allow_weak: bool,
}

impl Settings {
    /// Reads the text as gpg does: a name and its value in each line, between them white space; a value may stand in quotes.
    /// What it does not know, or not in that case, gpg passes over.
    pub fn parse(text: &[u8]) -> Self {
        let mut settings = Self::default();
        for line in text.split(|&b| b == b'\n') {
            let line = String::from_utf8_lossy(line).trim().to_owned();
            let (name, value) = line.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((&line, ""));
            let value = value.trim();
            let value = value.strip_prefix('"').map_or(value, |rest| rest.strip_suffix('"').unwrap_or(rest));
            match name {
                "trust-model" => settings.trust_model = TrustModel::of_name(value).or(settings.trust_model),
                "always-trust" => settings.trust_model = Some(TrustModel::Always),
                "default-key" if !value.is_empty() => settings.default_keys.push(value.to_owned()),
                "local-user" if !value.is_empty() => settings.local_users.push(value.to_owned()),
                "keyring" | "primary-keyring" if !value.is_empty() => settings.keyrings.push(PathBuf::from(value)),
                "no-default-keyring" => settings.no_default_keyring = true,
                "auto-key-retrieve" => settings.auto_key_retrieve = true,
                "no-auto-key-retrieve" => settings.auto_key_retrieve = false,
                "keyserver-options" if value.contains("auto-key-retrieve") => {
                    settings.auto_key_retrieve = !value.contains("no-auto-key-retrieve");
                }
                "trustdb-name" if !value.is_empty() => settings.trustdb = Some(PathBuf::from(value)),
                "no-auto-check-trustdb" => settings.no_auto_check_trustdb = true,
                "auto-check-trustdb" => settings.no_auto_check_trustdb = false,
                "allow-weak-digest-algos" => settings.allow_weak = true,
                "weak-digest" => settings.weak.extend(hash_number(value)),
                _ => {}
            }
        }
        settings
    }

    /// The numbers of the hash functions whose signatures are not looked at; MD5 unless all are.
    pub fn weak_digests(&self) -> Vec<u8> {
        const MD5: u8 = 1;
        if self.allow_weak { Vec::new() } else { [&[MD5], &self.weak[..]].concat() }
    }
}

/// A hash function's number by the name that gpg has for it.
fn hash_number(name: &str) -> Option<u8> {
    Some(match name.to_ascii_uppercase().as_str() {
        "MD5" | "H1" => 1,
        "SHA1" | "H2" => 2,
        "RIPEMD160" | "H3" => 3,
        "SHA256" | "H8" => 8,
        "SHA384" | "H9" => 9,
        "SHA512" | "H10" => 10,
        "SHA224" | "H11" => 11,
        _ => return None,
    })
}

/// Which of some file names in GnuPG's home gpg reads: one with a version (gpg.conf-2.2) before that without; the longest and
/// newest, since which gpg it is for is not known. Those of GnuPG 1 are not for us.
pub(super) fn choose<'a>(names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let version = |name: &'a str| {
        if name == "gpg.conf" {
            return Some((Vec::new(), name));
        }
        let parts = name.strip_prefix("gpg.conf-")?.split('.').map(|part| part.parse::<u32>().ok());
        let parts = parts.collect::<Option<Vec<u32>>>()?;
        parts.first().is_some_and(|&major| major >= 2).then_some((parts, name))
    };
    names.filter_map(version).max().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_gpg_reads_it() {
        let text = b"# a comment\nno-emit-version\n  trust-model\tALWAYS  \r\ndefault-key one\ndefault-key \"two of two\"\n\
            keyring ~/a ring.gpg\nweak-digest sha1\nweak-digest SHA9\nlocal-user me\ngroup team = A B\ntrust-model nonsense\n\
            keyring=no.gpg\n--no-default-keyring\nDefault-Key no\ndefault-key\nno-default-keyring\nkeyserver-options include-revoked auto-key-retrieve\ntrustdb-name trust";
        let want = Settings {
            trust_model: Some(TrustModel::Always),
            default_keys: vec!["one".into(), "two of two".into()],
            local_users: vec!["me".into()],
            keyrings: vec!["~/a ring.gpg".into()],
            no_default_keyring: true,
            weak: vec![2],
            auto_key_retrieve: true,
            trustdb: Some("trust".into()),
            no_auto_check_trustdb: false,
            allow_weak: false,
        };
        assert_eq!(Settings::parse(text), want);
        assert_eq!(Settings::parse(b""), Settings::default());
        assert_eq!(Settings::parse(b"trust-model tofu+PGP\ntrust-model auto").trust_model, Some(TrustModel::Pgp));
    }

    #[test]
    fn files_for_a_version() {
        for (names, want) in [
            (&["gpg.conf", "gpg.conf-2.2", "gpg.conf-2"][..], Some("gpg.conf-2.2")),
            (&["gpg.conf-2.2", "gpg.conf-2.10", "gpg.conf-2.2.40"], Some("gpg.conf-2.10")),
            (&["gpg.conf", "gpg.conf-1", "gpg.conf-1.4", "gpg.conf-x", "gpg.conf-2~", "gpg.conf.bak"], Some("gpg.conf")),
            (&["gpg.conf-2"], Some("gpg.conf-2")),
            (&["pubring.kbx"], None),
        ] {
            assert_eq!(choose(names.iter().copied()), want, "{names:?}");
        }
    }
}
