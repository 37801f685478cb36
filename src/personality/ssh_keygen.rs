//! ssh-keygen's command line, as far as `-Y` goes.
//!
//! Two things differ from OpenSSH, whose getopt stops at the first operand: options hold after operands too, since git writes
//! `… -s SIGFILE "" -r REVOKED` where an object has no date, and then ssh-keygen never sees the revocations.

use super::lossy;
use crate::signature::ssh::MessageHash;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// A command line that could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshKeygen {
    /// `-q`
    pub quiet: bool,
    /// What is to be done.
    pub operation: Operation,
}

/// What `-Y` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Sign files, or standard input where none is given.
    Sign(Sign),
    /// Is this signature good, and by this principal?
    Verify {
        /// `-n`
        namespace: String,
        /// `-f`: the allowed signers.
        allowed: PathBuf,
        /// `-I`
        principal: OsString,
        /// `-s`
        signature: PathBuf,
        /// `-r`
        revoked: Option<PathBuf>,
        /// `-Overify-time=`, as written.
        time: Option<String>,
    },
    /// Whose key made this signature?
    FindPrincipals {
        /// `-f`: the allowed signers.
        allowed: PathBuf,
        /// `-s`
        signature: PathBuf,
        /// `-Overify-time=`, as written.
        time: Option<String>,
    },
    /// Is this signature good, by whatever key?
    CheckNovalidate {
        /// `-n`
        namespace: String,
        /// `-s`
        signature: PathBuf,
        /// `-Overify-time=`, as written; nothing depends on it, but it must be a time.
        time: Option<String>,
    },
}

/// `-Y sign`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sign {
    /// `-n`
    pub namespace: String,
    /// `-f`: a private or a public key.
    pub key: PathBuf,
    /// `-U`: by the agent or not at all.
    pub agent_only: bool,
    /// `-Ohashalg=`
    pub hash: MessageHash,
    /// The operands; `-` is standard input.
    pub files: Vec<PathBuf>,
}

/// A command line that asks for nothing that can be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageError {
    /// What is wrong.
    pub kind: UsageErrorKind,
    /// Whether git feeds a payload to this operation: it must be read to its end, or git fails with a broken pipe.
    pub reads_stdin: bool,
}

/// What is wrong with a command line. No message holds `usage:`, by which git knows an OpenSSH before 8.2.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageErrorKind {
    /// No `-Y`.
    #[error("only -Y sign, verify, find-principals and check-novalidate are supported")]
    NoOperation,
    /// Something else after `-Y`.
    #[error("Unsupported operation for -Y: \"{0}\"")]
    UnknownOperation(String),
    /// An operation of ssh-keygen's that is still to come.
    #[error("-Y {0} is not in this version")]
    NotYet(String),
    /// An option letter that `-Y` does not take.
    #[error("unknown option -- {0}")]
    UnknownOption(char),
    /// An option at the end that wants a value.
    #[error("option requires an argument -- {0}")]
    NoValue(char),
    /// An option that the operation cannot do without.
    #[error("Too few arguments for {operation}: missing {what}")]
    Missing {
        /// The operation.
        operation: &'static str,
        /// The option in words.
        what: &'static str,
    },
    /// A namespace that is not UTF-8.
    #[error("the namespace must be UTF-8")]
    Namespace,
    /// An `-O` that the operation does not know.
    #[error("Invalid option \"{0}\"")]
    InvalidOption(String),
    /// A hash function that SSHSIG does not know.
    #[error("unsupported hash algorithm \"{0}\"")]
    Hash(String),
}

impl UsageErrorKind {
    /// ssh-keygen's exit status: 255 where an `-O` is bad, else 1.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::InvalidOption(_) | Self::Hash(_) => 255,
            _ => 1,
        }
    }
}

/// The options as they stand, before they are given to an operation.
#[derive(Default)]
struct Options {
    operation: Option<OsString>,
    quiet: bool,
    agent_only: bool,
    namespace: Option<OsString>,
    file: Option<OsString>,
    signature: Option<OsString>,
    principal: Option<OsString>,
    revoked: Option<OsString>,
    settings: Vec<OsString>,
    operands: Vec<OsString>,
}

impl SshKeygen {
    /// Reads the arguments after argv\[0\].
    ///
    /// # Errors
    /// Where an option is unknown or one is missing.
    pub fn parse(args: &[OsString]) -> Result<Self, UsageError> {
        let (options, unreadable) = Options::read(args);
        let operation = options.operation.clone().unwrap_or_default();
        let reads_stdin = is(&operation, b"verify") || is(&operation, b"check-novalidate");
        let quiet = options.quiet;
        let result = match unreadable {
            Some(kind) => Err(kind),
            None => options.into_operation(),
        };
        match result {
            Ok(operation) => Ok(Self { quiet, operation }),
            Err(kind) => Err(UsageError { kind, reads_stdin }),
        }
    }
}

/// OpenSSH compares as many bytes as its own name has, so that `signify` is `sign`.
fn is(operation: &OsStr, name: &[u8]) -> bool {
    operation.as_bytes().starts_with(name)
}

impl Options {
    /// The first thing that cannot be read comes beside what can: which operation it is decides about standard input.
    fn read(args: &[OsString]) -> (Self, Option<UsageErrorKind>) {
        let mut options = Self::default();
        let mut unreadable = None;
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let letters = match arg.as_bytes() {
                b"--" => {
                    options.operands.extend(args.cloned());
                    break;
                }
                [b'-', letters @ ..] if !letters.is_empty() => letters,
                _ => {
                    options.operands.push(arg.clone());
                    continue;
                }
            };
            let mut rest = letters;
            while let Some((&letter, after)) = rest.split_first() {
                rest = after;
                match letter {
                    b'q' => options.quiet = true,
                    b'U' => options.agent_only = true,
                    b'v' => {}
                    b'Y' | b'n' | b'f' | b's' | b'I' | b'r' | b'O' => {
                        let value = match std::mem::take(&mut rest) {
                            [] => args.next().cloned(),
                            joined => Some(OsString::from_vec(joined.to_vec())),
                        };
                        match value {
                            Some(value) => options.set(letter, value),
                            None => unreadable = unreadable.or(Some(UsageErrorKind::NoValue(char::from(letter)))),
                        }
                    }
                    other => unreadable = unreadable.or(Some(UsageErrorKind::UnknownOption(char::from(other)))),
                }
            }
        }
        (options, unreadable)
    }

    fn set(&mut self, letter: u8, value: OsString) {
        match letter {
            b'Y' => self.operation = Some(value),
            b'n' => self.namespace = Some(value),
            b'f' => self.file = Some(value),
            b's' => self.signature = Some(value),
            b'I' => self.principal = Some(value),
            b'r' => self.revoked = Some(value),
            _ => self.settings.push(value),
        }
    }

    fn into_operation(mut self) -> Result<Operation, UsageErrorKind> {
        let Some(operation) = self.operation.take() else { return Err(UsageErrorKind::NoOperation) };
        if is(&operation, b"find-principals") {
            let missing = |what| UsageErrorKind::Missing { operation: "find-principals", what };
            let signature = self.signature.take().ok_or(missing("signature file"))?.into();
            let allowed = self.file.take().ok_or(missing("allowed keys file"))?.into();
            Ok(Operation::FindPrincipals { allowed, signature, time: self.time()? })
        } else if is(&operation, b"sign") {
            let namespace = self.namespace("sign")?;
            let key = self.file.take().ok_or(UsageErrorKind::Missing { operation: "sign", what: "key" })?.into();
            let files = self.operands.iter().map(PathBuf::from).collect();
            Ok(Operation::Sign(Sign { namespace, key, agent_only: self.agent_only, hash: self.hash()?, files }))
        } else if is(&operation, b"check-novalidate") {
            let namespace = self.namespace("check-novalidate")?;
            let missing = |what| UsageErrorKind::Missing { operation: "check-novalidate", what };
            let signature = self.signature.take().ok_or(missing("signature file"))?.into();
            Ok(Operation::CheckNovalidate { namespace, signature, time: self.time()? })
        } else if is(&operation, b"verify") {
            let namespace = self.namespace("verify")?;
            let missing = |what| UsageErrorKind::Missing { operation: "verify", what };
            let signature = self.signature.take().ok_or(missing("signature file"))?.into();
            let allowed = self.file.take().ok_or(missing("allowed keys file"))?.into();
            let principal = self.principal.take().ok_or(missing("principal identity"))?;
            let revoked = self.revoked.take().map(PathBuf::from);
            Ok(Operation::Verify { namespace, allowed, principal, signature, revoked, time: self.time()? })
        } else if is(&operation, b"match-principals") {
            Err(UsageErrorKind::NotYet(lossy(&operation)))
        } else {
            Err(UsageErrorKind::UnknownOperation(lossy(&operation)))
        }
    }

    fn namespace(&mut self, operation: &'static str) -> Result<String, UsageErrorKind> {
        match self.namespace.take() {
            Some(namespace) if !namespace.is_empty() => namespace.into_string().map_err(|_| UsageErrorKind::Namespace),
            _ => Err(UsageErrorKind::Missing { operation, what: "namespace" }),
        }
    }

    fn time(&self) -> Result<Option<String>, UsageErrorKind> {
        let mut time = None;
        for setting in &self.settings {
            match (setting.to_str().and_then(|text| value(text, "verify-time=")), setting.as_bytes()) {
                (Some(value), _) => time = Some(value.to_owned()),
                (None, text) if text.eq_ignore_ascii_case(b"print-pubkey") => {
                    return Err(UsageErrorKind::NotYet("… -Oprint-pubkey".to_owned()));
                }
                _ => return Err(UsageErrorKind::InvalidOption(lossy(setting))),
            }
        }
        Ok(time)
    }

    fn hash(&self) -> Result<MessageHash, UsageErrorKind> {
        let mut hash = MessageHash::Sha512;
        for setting in &self.settings {
            let name = setting.to_str().and_then(|text| value(text, "hashalg="));
            let name = name.ok_or_else(|| UsageErrorKind::InvalidOption(lossy(setting)))?;
            hash = MessageHash::of_name(name.as_bytes()).ok_or_else(|| UsageErrorKind::Hash(name.to_owned()))?;
        }
        Ok(hash)
    }
}

/// What follows `name=`, whose case does not matter.
fn value<'a>(setting: &'a str, name: &str) -> Option<&'a str> {
    let (start, value) = setting.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &str) -> Result<SshKeygen, UsageError> {
        let args: Vec<OsString> = args.split(' ').map(|arg| OsString::from(arg.trim_matches('"'))).collect();
        SshKeygen::parse(&args)
    }

    fn sign(files: &[&str], agent_only: bool) -> Operation {
        let files = files.iter().map(PathBuf::from).collect();
        Operation::Sign(Sign { namespace: "git".into(), key: "K".into(), agent_only, hash: MessageHash::Sha512, files })
    }

    fn verify(revoked: Option<&str>, time: Option<&str>) -> Operation {
        Operation::Verify {
            namespace: "git".into(),
            allowed: "A".into(),
            principal: "P".into(),
            signature: "S".into(),
            revoked: revoked.map(PathBuf::from),
            time: time.map(str::to_owned),
        }
    }

    #[test]
    fn what_git_writes_and_its_variants() {
        let find = |time: Option<&str>| Operation::FindPrincipals {
            allowed: "A".into(),
            signature: "S".into(),
            time: time.map(str::to_owned),
        };
        let novalidate = Operation::CheckNovalidate { namespace: "git".into(), signature: "S".into(), time: None };
        for (args, operation) in [
            ("-Y sign -n git -f K B", sign(&["B"], false)),
            ("-Y sign -n git -f K -U B", sign(&["B"], true)),
            ("-Ysign -ngit -fK B -U", sign(&["B"], true)),
            ("-qUY sign -n git -fK -- -B", sign(&["-B"], true)),
            ("-Y signify -n git -f K", sign(&[], false)),
            ("-Y sign -n git -f K - B", sign(&["-", "B"], false)),
            ("-Y sign -n git -f K -O HASHALG=sha512", sign(&[], false)),
            ("-Y find-principals -f A -s S -Overify-time=20240101", find(Some("20240101"))),
            ("-Y find-principals -f A -s S \"\"", find(None)),
            ("-Y verify -n git -f A -I P -s S -Overify-time=1 -r R", verify(Some("R"), Some("1"))),
            ("-Y verify -n git -f A -I P -s S \"\" -r R", verify(Some("R"), None)),
            ("-Y verify -n git -f A -I P -s S x -O Verify-Time=1 -O verify-time=2", verify(None, Some("2"))),
            ("-Y check-novalidate -n git -s S \"\"", novalidate),
        ] {
            assert_eq!(parse(args).map(|parsed| parsed.operation), Ok(operation), "{args}");
        }
        assert!(parse("-q -Y sign -n git -f K").is_ok_and(|parsed| parsed.quiet));
        let named = SshKeygen::parse(&["-Y", "sign", "-n", "git", "-f", "K"].map(OsString::from)).unwrap();
        let bytes = OsString::from_vec(vec![b'-', b'f', 0xff]);
        let raw = SshKeygen::parse(&["-Y".into(), "sign".into(), "-ngit".into(), bytes]).unwrap();
        assert_ne!(named, raw); // paths need not be UTF-8
    }

    #[test]
    fn what_is_refused() {
        use UsageErrorKind as Kind;
        let missing = |operation, what| Kind::Missing { operation, what };
        for (args, kind, status, reads_stdin) in [
            ("-l", Kind::UnknownOption('l'), 1, false),
            ("x", Kind::NoOperation, 1, false),
            ("-Y", Kind::NoValue('Y'), 1, false),
            ("-Y sig", Kind::UnknownOperation("sig".into()), 1, false),
            ("-Y match-principals -I P -f A", Kind::NotYet("match-principals".into()), 1, false),
            ("-Y sign -n git B", missing("sign", "key"), 1, false),
            ("-Y sign -f K B", missing("sign", "namespace"), 1, false),
            ("-Y sign -n \"\" -f K B", missing("sign", "namespace"), 1, false),
            ("-Y sign -n git -f K -Ofoo", Kind::InvalidOption("foo".into()), 255, false),
            ("-Y sign -n git -f K -Overify-time=1", Kind::InvalidOption("verify-time=1".into()), 255, false),
            ("-Y sign -n git -f K -Ohashalg=md5", Kind::Hash("md5".into()), 255, false),
            ("-Y verify -n git -f A -I P", missing("verify", "signature file"), 1, true),
            ("-Y verify -n git -f A -s S", missing("verify", "principal identity"), 1, true),
            ("-Y verify -n git -I P -s S", missing("verify", "allowed keys file"), 1, true),
            ("-Y verify -x -n git", Kind::UnknownOption('x'), 1, true),
            ("-Y verify -n git -f A -I P -s S -Ohashalg=sha512", Kind::InvalidOption("hashalg=sha512".into()), 255, true),
            ("-Y check-novalidate -n git -s S -Ofoo", Kind::InvalidOption("foo".into()), 255, true),
            ("-Y find-principals -s S", missing("find-principals", "allowed keys file"), 1, false),
            ("-Y find-principals -f A", missing("find-principals", "signature file"), 1, false),
        ] {
            let error = parse(args).unwrap_err();
            assert_eq!(error.kind.exit_status(), status, "{args}");
            assert!(!error.kind.to_string().contains("usage:"));
            assert_eq!(error, UsageError { kind, reads_stdin }, "{args}");
        }
    }
}
