//! Which program git takes us for: argv to request.

pub mod gpg;
pub mod ssh_keygen;

use gpg::{Gpg, GpgUsage};
use ssh_keygen::{SshKeygen, UsageError};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What a command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A command of our own, with the arguments after argv\[0\].
    Native(Vec<OsString>),
    /// What git asks of `gpg.program`, or why it cannot be read.
    Gpg(Result<Gpg, GpgUsage>),
    /// What git asks of `gpg.x509.program`, where the name says so; else it asks in gpg's words.
    Gpgsm(Result<Gpg, GpgUsage>),
    /// What git asks of `gpg.ssh.program`, or why it cannot be read.
    SshKeygen(Result<SshKeygen, UsageError>),
}

impl Request {
    /// Reads a command line, argv\[0\] first. The file name in argv\[0\] decides: git keeps a symlink's name, and it is all that
    /// tells gpg from gpgsm when signing. Else the first argument does; no native command begins with `-`.
    pub fn of_argv(argv: impl IntoIterator<Item = OsString>) -> Self {
        let mut argv = argv.into_iter();
        let program = argv.next().unwrap_or_default();
        let args: Vec<OsString> = argv.collect();
        let name = Path::new(&program).file_name().unwrap_or_default();
        match name.as_bytes() {
            b"ssh-keygen" | b"git-warrant-ssh" => Self::SshKeygen(SshKeygen::parse(&args)),
            b"gpg" | b"git-warrant-gpg" => Self::Gpg(Gpg::parse(&args)),
            b"gpgsm" | b"git-warrant-gpgsm" => Self::Gpgsm(Gpg::parse(&args)),
            _ => match args.first().map(|first| first.as_bytes()) {
                Some(first) if first.starts_with(b"-Y") => Self::SshKeygen(SshKeygen::parse(&args)),
                Some(first) if is_gpg(first) => Self::Gpg(Gpg::parse(&args)),
                _ => Self::Native(args),
            },
        }
    }
}

/// Whether gpg's command line begins so, as git writes it.
fn is_gpg(first: &[u8]) -> bool {
    let bundle = |letters: &[u8]| !letters.is_empty() && letters.iter().all(|letter| b"bsau".contains(letter));
    first.starts_with(b"--status-fd")
        || first.starts_with(b"--keyid-format")
        || first == b"--verify"
        || first.strip_prefix(b"-").is_some_and(bundle)
}

/// For messages: names are bytes.
fn lossy(text: &OsStr) -> String {
    text.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn argv_decides() {
        type Check = fn(&Request) -> bool;
        const SSH: Check = |request| matches!(request, Request::SshKeygen(_));
        const GPG: Check = |request| matches!(request, Request::Gpg(_));
        const GPGSM: Check = |request| matches!(request, Request::Gpgsm(_));
        const NATIVE: Check = |request| matches!(request, Request::Native(_));
        let table: [(&[&str], Check); 21] = [
            (&[], NATIVE),
            (&["/usr/bin/ssh-keygen"], SSH),
            (&["git-warrant-ssh", "verify"], SSH),
            (&["gpg", "-Y", "sign"], GPG),
            (&["/x/git-warrant-gpg"], GPG),
            (&["gpgsm", "--status-fd=2", "-bsau", "KEY"], GPGSM),
            (&["./git-warrant-gpgsm"], GPGSM),
            (&["git-warrant", "-Y", "sign"], SSH),
            (&["git-warrant", "-Ysign"], SSH),
            (&["git-warrant", "--status-fd=2", "-bsau", "KEY"], GPG),
            (&["git-warrant", "--keyid-format=long", "--status-fd=1"], GPG),
            (&["git-warrant", "--verify", "FILE"], GPG),
            (&["git-warrant", "-bsau", "KEY"], GPG),
            (&["git-warrant", "-sb"], GPG),
            (&["git-warrant", "-"], NATIVE),
            (&["git-warrant", "-h"], NATIVE),
            (&["git-warrant", "-bx"], NATIVE),
            (&["git-warrant", "--verifyx"], NATIVE),
            (&["git-warrant", "--help"], NATIVE),
            (&["git-warrant", "verify", "-Y"], NATIVE),
            (&["git-warrant"], NATIVE),
        ];
        for (argv, expected) in table {
            let request = Request::of_argv(argv.iter().map(OsString::from));
            assert!(expected(&request), "{argv:?}: {request:?}");
        }
        let Request::Native(args) = Request::of_argv(["git-warrant", "verify", "HEAD"].map(OsString::from)) else { panic!() };
        assert_eq!(args, ["verify", "HEAD"]);
    }
}
