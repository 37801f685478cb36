//! sequoia-git's `openpgp-policy.toml` (format version 0): who is authorized to do what, with the certificates.

use super::fields::{Fields, FileError, of_version};
use toml_edit::Document;

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SequoiaPolicy {
    /// Commits that count as good whatever signed them, as written.
    pub goodlist: Vec<String>,
    /// Who may do what, in the order of the file.
    pub authorizations: Vec<Authorization>,
}

/// One authorization.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authorization {
    /// Its name.
    pub name: String,
    /// Its line in the file.
    pub line: usize,
    /// Whether it lets its holder sign commits.
    pub sign_commit: bool,
    /// What else it lets its holder do, by sequoia-git's names.
    pub others: Vec<&'static str>,
    /// The certificates, armoured.
    pub keyring: String,
    /// The line on which the certificates begin.
    pub keyring_line: usize,
}

/// Whether text is such a file, in TOML that can be read: one of its keys is at the top.
pub fn is_sequoia_policy(text: &[u8]) -> bool {
    let text = std::str::from_utf8(text).unwrap_or_default();
    let document = Document::parse(text).ok();
    document.is_some_and(|it| ["authorization", "commit_goodlist"].iter().any(|key| it.as_table().contains_key(key)))
}

impl SequoiaPolicy {
    /// Reads a file.
    ///
    /// # Errors
    /// At the first thing that this version of the format does not have, with its line and column.
    pub fn parse(text: &[u8]) -> Result<Self, FileError> {
        of_version(text, 0, Self::of_root)
    }

    fn of_root(root: Fields<'_>) -> Result<Self, FileError> {
        let policy = Self {
            goodlist: root.strings("commit_goodlist")?.unwrap_or_default(),
            authorizations: root.named_tables("authorization")?.into_iter().map(authorization).collect::<Result<_, _>>()?,
        };
        root.finish(&[])?;
        Ok(policy)
    }
}

fn authorization(fields: Fields<'_>) -> Result<Authorization, FileError> {
    let mut others = Vec::new();
    let sign_commit = fields.boolean("sign_commit")?.unwrap_or(false);
    for right in ["sign_tag", "sign_archive", "add_user", "retire_user", "audit"] {
        if fields.boolean(right)?.unwrap_or(false) {
            others.push(right);
        }
    }
    let keyring = fields.string("keyring")?.ok_or_else(|| fields.error("`keyring` is missing"))?;
    let keyring_line = fields.first_line_of("keyring");
    fields.finish(&[])?;
    Ok(Authorization { name: fields.name().to_owned(), line: fields.line(), sign_commit, others, keyring, keyring_line })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files() {
        let text = "version = 0\ncommit_goodlist = [\"abc\"]\n[authorization.\"A <a@x>\"]\nsign_commit = true\nsign_tag = false\naudit = true\nkeyring = \"\"\"\nx\"\"\"\n[authorization.b]\nkeyring = \"y\"\n";
        let policy = SequoiaPolicy::parse(text.as_bytes()).unwrap();
        assert_eq!(policy.goodlist, ["abc"]);
        let [a, b] = &policy.authorizations[..] else { panic!("{policy:?}") };
        assert_eq!((a.name.as_str(), a.line, a.sign_commit, &a.others[..]), ("A <a@x>", 3, true, &["audit"][..]));
        assert_eq!((a.keyring.as_str(), a.keyring_line, b.keyring_line, b.sign_commit), ("x", 8, 10, false));
        for (from, to, line, words) in [
            ("version = 0", "version = 1", 1, "version 1 is not known"),
            ("version = 0\n", "", 1, "`version = 0` is missing"),
            ("sign_tag", "sign_tga", 5, "`sign_tga` is not a key here; `sign_tag` is meant?"),
            ("keyring = \"y\"\n", "", 9, "`keyring` is missing"),
            ("true", "\"yes\"", 4, "true or false"),
            ("[authorization.b]", "[authorization.b", 9, ""),
        ] {
            let error = SequoiaPolicy::parse(text.replacen(from, to, 1).as_bytes()).unwrap_err();
            assert_eq!(error.line, line, "{error}");
            assert!(error.what.contains(words), "{error}");
        }
        assert!(is_sequoia_policy(text.as_bytes()) && !is_sequoia_policy(b"version = 1\n") && !is_sequoia_policy(b"\xff"));
    }
}
