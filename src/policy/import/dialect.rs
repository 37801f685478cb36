//! Which policy in TOML a text is meant to be, however broken it is: a policy that cannot be read is no list of keys.

/// A form of policy in TOML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// That of git-warrant.
    Warrant,
    /// sequoia-git's `openpgp-policy.toml`.
    Sequoia,
}

/// How lines of one form alone begin, without blanks and quotation marks.
const SEQUOIA: [&[u8]; 4] = [b"[authorization", b"authorization.", b"commit_goodlist=", b"version=0"];
/// How other lines of policies do.
const EITHER: [&[u8]; 11] = [
    b"[principals",
    b"[[principals",
    b"principals.",
    b"[authorities",
    b"[[exempt",
    b"[[rules",
    b"keyring=",
    b"cert=",
    b"openpgp=",
    b"keyless=",
    b"ssh=",
];

/// The form that the lines of a text are of; `None` where none is one of a policy. Looks at all lines, also within armoured
/// blocks: where a block ends is not known in a text that is broken.
pub fn dialect(text: &[u8]) -> Option<Dialect> {
    let mut found = None;
    for line in text.split(|&b| b == b'\n') {
        let line: Vec<u8> = line.iter().copied().filter(|b| !b" \t\r\"'".contains(b)).collect();
        if SEQUOIA.iter().any(|start| line.starts_with(start)) {
            return Some(Dialect::Sequoia);
        }
        let versioned = line.strip_prefix(b"version=").is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_digit));
        if versioned || EITHER.iter().any(|start| line.starts_with(start)) {
            found = Some(Dialect::Warrant);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_tell() {
        for (text, want) in [
            (&b"x\n [ \"authorization\" . a]\n"[..], Some(Dialect::Sequoia)),
            (b"version = 0\n", Some(Dialect::Sequoia)),
            (b"# Ren\xe9\nversion = 12", Some(Dialect::Warrant)),
            (b"cert = \"\"\"-----BEGIN", Some(Dialect::Warrant)),
            (b"-----BEGIN PGP X\n[[principals.a.keys]]\r\n", Some(Dialect::Warrant)),
            (b"keyring = '''\nversion = 1\n[authorization.x]", Some(Dialect::Sequoia)),
            (b"Version: GnuPG v1\nComment: \"\"\" [principals.eve]\nuid version = 1\nversions\n", None),
            (b"", None),
        ] {
            assert_eq!(dialect(text), want, "{}", String::from_utf8_lossy(text));
        }
    }
}
