//! A policy in TOML made of what other programs keep: each person or certificate becomes a principal.

pub mod dialect;
pub mod signers;

use std::collections::HashSet;
use std::fmt::Write as _;
use toml_edit::{Array, Key, Value};

/// A policy that is to be written. All text in it is put as TOML has it: what stands in a name or a comment cannot become
/// anything else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// What the file begins with, a comment line each.
    pub heading: Vec<String>,
    /// Who signs.
    pub principals: Vec<Person>,
    /// Whose certificates are believed.
    pub authorities: Vec<Authority>,
    /// What the file ends with, a comment line each.
    pub ending: Vec<String>,
}

/// A principal of a draft.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// The name that is wished for.
    pub name: String,
    /// What the name becomes where it is empty, and what tells it from another of the same name.
    pub mark: String,
    /// A line each.
    pub comments: Vec<String>,
    /// The committer e-mails; empty: not bound.
    pub emails: Vec<String>,
    /// The keys.
    pub keys: Vec<DraftKey>,
}

/// A key of a draft.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DraftKey {
    /// A line each.
    pub comments: Vec<String>,
    /// The key itself.
    pub credential: DraftCredential,
    /// Whether it is out of use.
    pub retired: bool,
}

/// What a key of a draft is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DraftCredential {
    /// `type base64`.
    Ssh(String),
    /// A certificate.
    OpenPgp {
        /// Uppercase hexadecimal.
        fingerprint: String,
        /// With its certificate, armoured.
        armored: String,
    },
}

/// An authority of a draft.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authority {
    /// The name that is wished for.
    pub name: String,
    /// As that of a [`Person`].
    pub mark: String,
    /// A line each.
    pub comments: Vec<String>,
    /// `type base64`.
    pub key: String,
    /// For which names it may speak.
    pub principals: Vec<String>,
    /// Whether it is out of use.
    pub retired: bool,
}

/// Longer names are cut, in characters.
const MAX_NAME: usize = 100;

impl Draft {
    /// The file's text.
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        comments(&mut text, &self.heading);
        text.push_str("version = 1\n");
        let mut names = Names::default();
        for person in &self.principals {
            let name = names.take(&person.name, &person.mark);
            text.push('\n');
            comments(&mut text, &person.comments);
            let _ = writeln!(text, "[principals.{name}]");
            if !person.emails.is_empty() {
                let _ = writeln!(text, "emails = {}", array(&person.emails));
            }
            for key in &person.keys {
                comments(&mut text, &key.comments);
                let _ = writeln!(text, "[[principals.{name}.keys]]");
                let _ = match &key.credential {
                    DraftCredential::Ssh(key) => writeln!(text, "ssh = {}", string(key)),
                    DraftCredential::OpenPgp { fingerprint, armored } => {
                        writeln!(text, "openpgp = {}\ncert = \"\"\"\n{armored}\"\"\"", string(fingerprint))
                    }
                };
                retired(&mut text, key.retired);
            }
        }
        let mut names = Names::default();
        for authority in &self.authorities {
            let name = names.take(&authority.name, &authority.mark);
            text.push('\n');
            comments(&mut text, &authority.comments);
            let (key, principals) = (string(&authority.key), array(&authority.principals));
            let _ = writeln!(text, "[authorities.{name}]\nssh-ca = {key}\nprincipals = {principals}");
            retired(&mut text, authority.retired);
        }
        if !self.ending.is_empty() {
            text.push('\n');
            comments(&mut text, &self.ending);
        }
        text
    }
}

fn retired(text: &mut String, retired: bool) {
    if retired {
        text.push_str("status = \"retired\"\n");
    }
}

fn comments(text: &mut String, lines: &[String]) {
    for line in lines {
        let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let _ = writeln!(text, "#{}{line}", if line.is_empty() { "" } else { " " });
    }
}

fn string(text: &str) -> String {
    Value::from(text).to_string()
}

fn array(texts: &[String]) -> String {
    texts.iter().map(String::as_str).collect::<Array>().to_string()
}

/// The names that were given.
#[derive(Default)]
struct Names(HashSet<String>);

impl Names {
    /// A name that nobody has yet, as a key of TOML. Control characters in it become spaces.
    fn take(&mut self, wanted: &str, mark: &str) -> String {
        let plain: String = wanted.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let plain: String = plain.trim().chars().take(MAX_NAME).collect();
        let plain = if plain.is_empty() { mark.to_owned() } else { plain };
        let marked = std::iter::once(plain.clone()).chain(std::iter::once(format!("{plain} ({mark})")));
        let numbered = (2_usize..).map(|number| format!("{plain} ({number})"));
        let name = marked.chain(numbered).find(|name| !self.0.contains(name)).unwrap_or_default();
        self.0.insert(name.clone());
        Key::new(name).display_repr().into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::file::PolicyFile;

    const KEYS: [&str; 4] = [
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKecyjh9aNmD4rb8WblA8v91JjRb0Cd2JtkzqxcggGeG",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC/L8E1DfiZ9cHzygqx0IzRCSAlmh4tXH7mZPwWZEY1L",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFR+8EVk/54g3uvundqASKe3IGJ4T32FLymoo+wwhUqe",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPmHz4q9G9bMZVuUx9LcDWuhuFyCZ0vbMnEDCIxvN3Zt",
    ];

    fn person(name: &str, key: &str) -> Person {
        let key = DraftKey { comments: vec!["a\nb".into()], credential: DraftCredential::Ssh(key.to_owned()), retired: false };
        Person { name: name.to_owned(), mark: "M".into(), comments: vec![name.to_owned()], emails: vec![], keys: vec![key] }
    }

    #[test]
    fn whatever_stands_in_a_name_is_a_name() {
        let hostile = [
            "a\"]\n[principals.eve]\nkeys = []",
            "'''\"\"\"\\",
            "x.y]",
            "\u{1}\u{7f}\r\n",
            "# x",
            "",
            "keys",
            "\u{202e}]",
            &"long ".repeat(100),
        ];
        for first in hostile {
            let mut draft = Draft {
                principals: [first, first, "M", first].iter().zip(KEYS).map(|(name, key)| person(name, key)).collect(),
                ..Draft::default()
            };
            draft.heading = vec![first.to_owned()];
            draft.ending = vec![first.to_owned(), String::new()];
            let text = draft.to_toml();
            let file = PolicyFile::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{text}"));
            let names: HashSet<_> = file.principals.iter().map(|it| it.name.clone()).collect();
            assert_eq!((names.len(), file.principals.len()), (4, 4), "{text}");
            assert!(file.principals.iter().all(|it| it.keys.len() == 1 && it.emails.is_empty()), "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut draft = Draft { principals: vec![person("alice", KEYS[0])], ..Draft::default() };
        draft.principals[0].emails = vec!["a\"b@x".into(), "alice@x".into()];
        draft.principals[0].keys[0].retired = true;
        draft.authorities.push(Authority {
            name: "corp".into(),
            mark: "M".into(),
            key: KEYS[1].into(),
            principals: vec!["*@x".into(), "!eve@x".into()],
            retired: true,
            ..Authority::default()
        });
        let file = PolicyFile::parse(draft.to_toml().as_bytes()).unwrap();
        assert_eq!(file.principals[0].emails, ["a\"b@x", "alice@x"]);
        assert_eq!(file.principals[0].keys[0].status, crate::policy::file::Status::Retired { before: None });
        assert_eq!((file.authorities[0].name.as_str(), file.authorities[0].principals.as_bytes()), ("corp", &b"*@x,!eve@x"[..]));
        assert_eq!(file.authorities[0].status, crate::policy::file::Status::Retired { before: None });
    }
}
