//! ssh-keygen's command line, as far as `-Y` goes.
//!
//! Two things differ from OpenSSH, whose getopt stops at the first operand: options hold after operands too, since git writes
//! `… -s SIGFILE "" -r REVOKED` where an object has no date, and then ssh-keygen never sees the revocations.

use super::lossy;
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
        /// `-Oprint-pubkey`
        print_key: bool,
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
        /// `-Oprint-pubkey`
        print_key: bool,
    },
    /// Which lines speak for this principal, whatever their key?
    MatchPrincipals {
        /// `-f`: the allowed signers.
        allowed: PathBuf,
        /// `-I`
        principal: OsString,
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
    /// `-Ohashalg=`, as written: ssh-keygen looks for the key first.
    pub hash: Option<String>,
    /// `-w`: the library that reaches FIDO tokens.
    pub provider: Option<OsString>,
    /// The operands; `-` is standard input.
    pub files: Vec<PathBuf>,
}

/// A command line that asks for nothing that can be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageError {
    /// What is wrong.
    pub kind: UsageErrorKind,
    /// The operation, where it is one.
    pub operation: Option<Name>,
    /// `-q`
    pub quiet: bool,
}

impl UsageError {
    /// Whether git feeds a payload to this operation: it must be read to its end, or git fails with a broken pipe.
    pub fn reads_stdin(&self) -> bool {
        matches!(self.operation, Some(Name::Verify | Name::CheckNovalidate))
    }

    /// ssh-keygen's exit status: 255 where an `-O` or an operand is bad, with match-principals 246, else 1.
    pub fn exit_status(&self) -> u8 {
        match (&self.kind, self.operation) {
            (UsageErrorKind::InvalidOption(_), Some(Name::MatchPrincipals)) => 246,
            (UsageErrorKind::InvalidOption(_) | UsageErrorKind::Mixed, _) => 255,
            _ => 1,
        }
    }
}

/// What `-Y` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // ssh-keygen(1) says what each one is
pub enum Name {
    FindPrincipals,
    MatchPrincipals,
    Sign,
    CheckNovalidate,
    Verify,
}

impl Name {
    /// OpenSSH compares as many bytes as its own name has, so that `signify` is `sign`.
    fn of(operation: &OsStr) -> Option<Self> {
        let names = [Self::FindPrincipals, Self::MatchPrincipals, Self::Sign, Self::CheckNovalidate, Self::Verify];
        names.into_iter().find(|name| operation.as_bytes().starts_with(name.as_str().as_bytes()))
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::FindPrincipals => "find-principals",
            Self::MatchPrincipals => "match-principals",
            Self::Sign => "sign",
            Self::CheckNovalidate => "check-novalidate",
            Self::Verify => "verify",
        }
    }
}

/// What is wrong with a command line. No message holds `usage:`, by which git knows an OpenSSH before 8.2.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageErrorKind {
    /// No `-Y`.
    #[error("only -Y sign, verify, find-principals, match-principals and check-novalidate are supported")]
    NoOperation,
    /// Something else after `-Y`.
    #[error("Unsupported operation for -Y: \"{0}\"")]
    UnknownOperation(String),
    /// An option letter that `-Y` does not take.
    #[error("unknown option -- {0}")]
    UnknownOption(char),
    /// An option at the end that wants a value.
    #[error("option requires an argument -- {0}")]
    NoValue(char),
    /// An option that the operation cannot do without.
    #[error("Too few arguments for {operation}:{}missing {what}", space(operation, what))]
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
    /// Standard input among files.
    #[error("Cannot sign mix of paths and standard input")]
    Mixed,
}

/// ssh-keygen leaves a space out where it misses a file for principals; git's own tests know it by that.
fn space(operation: &str, what: &str) -> &'static str {
    if operation.ends_with("-principals") && what.ends_with("file") { "" } else { " " }
}

/// The options as they stand, before they are given to an operation.
#[derive(Default)]
struct Options {
    operation: Option<OsString>,
    quiet: bool,
    agent_only: bool,
    provider: Option<OsString>,
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
        let operation = options.operation.as_deref().and_then(Name::of);
        let quiet = options.quiet;
        let result = match unreadable {
            Some(kind) => Err(kind),
            None => options.into_operation(operation),
        };
        match result {
            Ok(operation) => Ok(Self { quiet, operation }),
            Err(kind) => Err(UsageError { kind, operation, quiet }),
        }
    }
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
                    b'Y' | b'n' | b'f' | b's' | b'I' | b'r' | b'O' | b'w' => {
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
            b'w' => self.provider = Some(value),
            _ => self.settings.push(value),
        }
    }

    fn into_operation(mut self, name: Option<Name>) -> Result<Operation, UsageErrorKind> {
        let Some(operation) = self.operation.take() else { return Err(UsageErrorKind::NoOperation) };
        let Some(name) = name else { return Err(UsageErrorKind::UnknownOperation(lossy(&operation))) };
        let missing = |what| UsageErrorKind::Missing { operation: name.as_str(), what };
        match name {
            Name::FindPrincipals => {
                let signature = self.signature.take().ok_or(missing("signature file"))?.into();
                let allowed = self.file.take().ok_or(missing("allowed keys file"))?.into();
                Ok(Operation::FindPrincipals { allowed, signature, time: self.settings(Takes::Time)?.time })
            }
            Name::MatchPrincipals => {
                let allowed = self.file.take().ok_or(missing("allowed keys file"))?.into();
                let principal = self.principal.take().ok_or(missing("principal ID"))?;
                self.settings(Takes::Nothing)?;
                Ok(Operation::MatchPrincipals { allowed, principal })
            }
            Name::Sign => {
                let namespace = self.namespace(name)?;
                let key = self.file.take().ok_or(missing("key"))?.into();
                if self.operands.len() > 1 && self.operands.iter().any(|operand| operand == "-") {
                    return Err(UsageErrorKind::Mixed);
                }
                let hash = self.settings(Takes::Hash)?.hash;
                let files = self.operands.iter().map(PathBuf::from).collect();
                Ok(Operation::Sign(Sign { namespace, key, agent_only: self.agent_only, hash, provider: self.provider, files }))
            }
            Name::CheckNovalidate => {
                let namespace = self.namespace(name)?;
                let signature = self.signature.take().ok_or(missing("signature file"))?.into();
                let Settings { time, print_key, .. } = self.settings(Takes::TimeAndPrint)?;
                Ok(Operation::CheckNovalidate { namespace, signature, time, print_key })
            }
            Name::Verify => {
                let namespace = self.namespace(name)?;
                let signature = self.signature.take().ok_or(missing("signature file"))?.into();
                let allowed = self.file.take().ok_or(missing("allowed keys file"))?.into();
                let principal = self.principal.take().ok_or(missing("principal identity"))?;
                let revoked = self.revoked.take().map(PathBuf::from);
                let Settings { time, print_key, .. } = self.settings(Takes::TimeAndPrint)?;
                Ok(Operation::Verify { namespace, allowed, principal, signature, revoked, time, print_key })
            }
        }
    }

    fn namespace(&mut self, name: Name) -> Result<String, UsageErrorKind> {
        match self.namespace.take() {
            Some(namespace) if !namespace.is_empty() => namespace.into_string().map_err(|_| UsageErrorKind::Namespace),
            _ => Err(UsageErrorKind::Missing { operation: name.as_str(), what: "namespace" }),
        }
    }

    /// Reads the `-O`s; of several of a kind the last holds.
    fn settings(&self, takes: Takes) -> Result<Settings, UsageErrorKind> {
        let mut settings = Settings::default();
        for setting in &self.settings {
            let text = setting.to_str().unwrap_or_default();
            let takes_time = matches!(takes, Takes::Time | Takes::TimeAndPrint);
            if let Some(hash) = value(text, "hashalg=").filter(|_| takes == Takes::Hash) {
                settings.hash = Some(hash.to_owned());
            } else if let Some(time) = value(text, "verify-time=").filter(|_| takes_time) {
                settings.time = Some(time.to_owned());
            } else if takes == Takes::TimeAndPrint && text.eq_ignore_ascii_case("print-pubkey") {
                settings.print_key = true;
            } else {
                return Err(UsageErrorKind::InvalidOption(lossy(setting)));
            }
        }
        Ok(settings)
    }
}

/// Which `-O`s an operation knows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Nothing,
    Hash,
    Time,
    TimeAndPrint,
}

#[derive(Default)]
struct Settings {
    hash: Option<String>,
    time: Option<String>,
    print_key: bool,
}

/// What follows `name=`, whose case does not matter.
fn value<'a>(setting: &'a str, name: &str) -> Option<&'a str> {
    let (start, value) = setting.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then_some(value)
}

#[cfg(test)]
mod tests;
