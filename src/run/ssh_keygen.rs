//! `ssh-keygen -Y`, as git calls it: what it prints, and its exit statuses.
//!
//! It sees argv, standard input where git feeds a payload, SSH_AUTH_SOCK and the terminal: no configuration, no policy. Its
//! answers are ssh-keygen's save in few things: `-r` holds wherever it stands, a revocation file that lists nothing is an
//! error, an Ed25519 signature has S < L, and names hold no zero byte.

mod signing;

use super::{complain, drain_stdin};
use crate::evidence::{Certificate, CertificateKind, Key};
use crate::io::clock;
use crate::personality::ssh_keygen::{Name, Operation, SshKeygen, UsageError};
use crate::policy::allowed_signers::{AllowedSigners, Line, parse_time};
use crate::policy::pattern::{PatternList, matches};
use crate::policy::revocation::RevokedKeys;
use crate::signature::ssh::detached;
use crate::verdict::Revoked;
use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::ffi::OsStr;
use std::fmt::Display;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

const FAILURE: u8 = 255;
/// What ssh-keygen's own error numbers make of its exit status: no principal, a line that cannot be read, a file that cannot.
const NO_PRINCIPAL: u8 = 210;
const BAD_LINE: u8 = 252;
const NO_FILE: u8 = 232;
const NOT_VERIFIED: &[u8] = b"Could not verify signature.\n";
const NOT_MATCHED: &str = "No principal matched.";

/// No line lists the key: ssh-keygen says nothing of it beside what it said of lines that do but do not hold.
#[derive(Debug, thiserror::Error)]
#[error("")]
struct Unlisted;

/// What is to be said of a good signature.
struct Answer<'a> {
    namespace: &'a str,
    by: Vec<u8>,
    quiet: bool,
    print_key: bool,
}

/// Does what the command line asks for; the exit status.
pub fn run(request: Result<SshKeygen, UsageError>) -> u8 {
    let request = match request {
        Ok(request) => request,
        Err(error) => {
            if error.reads_stdin() {
                drain_stdin();
            }
            complain(&error.kind.to_string());
            let status = error.exit_status();
            match error.operation {
                Some(Name::Verify | Name::CheckNovalidate) if status == FAILURE && !error.quiet => {
                    let _ = print(NOT_VERIFIED);
                }
                Some(Name::FindPrincipals) if status == FAILURE => complain(NOT_MATCHED),
                _ => {}
            }
            return status;
        }
    };
    let quiet = request.quiet;
    match request.operation {
        Operation::Sign(request) => match signing::sign_all(&request, quiet) {
            Ok(()) => 0,
            Err(error) => fail(&error),
        },
        Operation::FindPrincipals { allowed, signature, time } => {
            let found = find_principals(&allowed, &signature, time.as_deref());
            match found.and_then(|principals| print(&principals)) {
                Ok(()) => 0,
                Err(error) => {
                    let status = fail(&error);
                    complain(NOT_MATCHED);
                    status
                }
            }
        }
        Operation::MatchPrincipals { allowed, principal } => match_principals(&allowed, &principal),
        Operation::Verify { namespace, allowed, principal, signature, revoked, time, print_key } => {
            let read = read_stdin().and_then(|message| verify(&namespace, &signature, &message, time.as_deref()));
            let checked = read.and_then(|(key, time)| {
                if let Some(revoked) = &revoked {
                    check_revoked(revoked, &key)?;
                }
                check_allowed(&allowed, &key, &principal, &namespace, time)?;
                Ok(key)
            });
            let by = [b" for ".as_slice(), principal.as_bytes()].concat();
            conclude(checked, &Answer { namespace: &namespace, by, quiet, print_key })
        }
        Operation::CheckNovalidate { namespace, signature, time, print_key } => {
            let read = read_stdin().and_then(|message| verify(&namespace, &signature, &message, time.as_deref()));
            let checked = read.map(|(key, _)| key);
            conclude(checked, &Answer { namespace: &namespace, by: Vec::new(), quiet, print_key })
        }
    }
}

fn fail(error: &anyhow::Error) -> u8 {
    let said = format!("{error:#}");
    if !said.is_empty() {
        complain(&plainly(&said));
    }
    FAILURE
}

/// An error as strerror(3) has it: without the number that Rust puts behind it.
fn plainly(error: &impl Display) -> String {
    let mut text = error.to_string();
    while let Some(start) = text.find(" (os error ") {
        let Some(length) = text.get(start..).and_then(|rest| rest.find(')')) else { break };
        text.replace_range(start..=start + length, "");
    }
    text
}

/// Says what git looks for. Nothing but a good signature prints `Good`: git's `%G?` does not look at the exit status.
fn conclude(checked: anyhow::Result<Box<Key>>, answer: &Answer<'_>) -> u8 {
    let (text, status) = match checked {
        Ok(key) => {
            let start = format!("Good \"{}\" signature", answer.namespace);
            let end = format!(" with {} key {}\n", key.short, key.fingerprint);
            let mut text = if answer.quiet { Vec::new() } else { [start.as_bytes(), &answer.by, end.as_bytes()].concat() };
            if answer.print_key {
                text.extend(format!("{} {}\n", key.algorithm, STANDARD.encode(key.wire())).into_bytes());
            }
            (text, 0)
        }
        Err(error) => {
            let status = fail(&error);
            (if answer.quiet { Vec::new() } else { NOT_VERIFIED.to_vec() }, status)
        }
    };
    match print(&text) {
        Ok(()) => status,
        Err(error) => fail(&error),
    }
}

fn print(bytes: &[u8]) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).context("standard output")
}

/// The payload.
fn read_stdin() -> anyhow::Result<Vec<u8>> {
    let mut message = Vec::new();
    io::stdin().lock().read_to_end(&mut message).context("standard input")?;
    Ok(message)
}

/// The key of a good signature, and the time to judge it at.
fn verify(namespace: &str, signature: &Path, message: &[u8], time: Option<&str>) -> anyhow::Result<(Box<Key>, i64)> {
    let time = verify_time(time)?;
    let key = detached::verify(&read_signature(signature)?, namespace, message)?;
    Ok((Box::new(Key::clone(&key)), time))
}

fn verify_time(time: Option<&str>) -> anyhow::Result<i64> {
    match time {
        None => Ok(clock::now()),
        Some(text) => match parse_time(text.as_bytes(), &clock::local) {
            Some((time, _)) if time != 0 => Ok(time),
            _ => bail!("Invalid \"verify-time\" option"),
        },
    }
}

fn read_signature(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).context("Couldn't read signature file")
}

fn check_revoked(path: &Path, key: &Key) -> anyhow::Result<()> {
    let name = path.display();
    let text = fs::read(path).with_context(|| format!("Couldn't read revocation file {name}"))?;
    let revoked = RevokedKeys::parse(&text).with_context(|| format!("Couldn't use revocation file {name}"))?;
    match revoked.find(key) {
        None => Ok(()),
        Some(Revoked::Key) => bail!("Signing key {} is revoked by {name}", key.fingerprint),
        Some(what) => bail!("Signing key {} is revoked by {name}: the {what} is", key.fingerprint),
    }
}

fn read_allowed(path: &Path) -> anyhow::Result<AllowedSigners> {
    let text = fs::read(path).with_context(|| format!("Unable to open allowed keys file \"{}\"", path.display()))?;
    Ok(AllowedSigners::parse_as_ssh_keygen(&text, &clock::local))
}

fn check_allowed(path: &Path, key: &Key, principal: &OsStr, namespace: &str, time: i64) -> anyhow::Result<()> {
    let signers = read_allowed(path)?;
    first_line(path, &signers, key, Some((principal.as_bytes(), namespace)), |_| true, time).map(|_| ())
}

/// The principals as ssh-keygen prints them: the items of the first line that fits, patterns as they are; of a certificate, its
/// names that match one of them.
fn find_principals(allowed: &Path, signature: &Path, time: Option<&str>) -> anyhow::Result<Vec<u8>> {
    let time = verify_time(time)?;
    let key = detached::named_key(&read_signature(signature)?)?;
    let signers = read_allowed(allowed)?;
    let names = |line: &Line| -> Vec<Vec<u8>> {
        let items = line.principals.items().take_while(|item| !item.is_empty());
        let authorized = key.certificate.as_ref().filter(|_| line.cert_authority);
        let Some(certificate) = authorized else { return items.map(<[u8]>::to_vec).collect() };
        // each item by itself, `!` as a letter; the answer is a list again, so that a comma in a name parts it
        let matching = items.flat_map(|item| certificate.principals.iter().filter(|name| matches(name, item)));
        let list = matching.skip_while(|name| name.is_empty()).map(Vec::as_slice).collect::<Vec<_>>().join(&b',');
        list.split(|&b| b == b',').take_while(|name| !name.is_empty()).map(<[u8]>::to_vec).collect()
    };
    let line = first_line(allowed, &signers, &key, None, |line| !line.cert_authority || !names(line).is_empty(), time)?;
    Ok(names(line).into_iter().flat_map(|name| [name, b"\n".to_vec()]).flatten().collect())
}

/// Prints the principal fields of all lines that speak for somebody; the exit status.
fn match_principals(allowed: &Path, principal: &OsStr) -> u8 {
    let name = allowed.display();
    let text = match fs::read(allowed) {
        Ok(text) => text,
        Err(error) => {
            complain(&format!("Unable to open allowed keys file \"{name}\": {}", plainly(&error)));
            complain(NOT_MATCHED);
            return NO_FILE;
        }
    };
    let (found, status) = match AllowedSigners::speaking_for(&text, principal.as_bytes(), &clock::local) {
        Ok(found) if found.is_empty() => (found, NO_PRINCIPAL),
        Ok(found) => (found, 0),
        Err(bad) => {
            complain(&format!("{name}:{}: {}", bad.number, bad.why));
            (Vec::new(), BAD_LINE)
        }
    };
    if status != 0 {
        complain(NOT_MATCHED);
        return status;
    }
    let lines: Vec<u8> = found.iter().flat_map(|list| [list.as_bytes(), b"\n"]).flatten().copied().collect();
    match print(&lines) {
        Ok(()) => 0,
        Err(error) => fail(&error),
    }
}

/// The first line that lists the key, or the authority of its certificate, and holds, for a principal and a namespace where they
/// are asked for; says on the way, line by line, what ssh-keygen says of the others.
fn first_line<'a>(
    path: &Path,
    signers: &'a AllowedSigners,
    key: &Key,
    asked: Option<(&[u8], &str)>,
    fits: impl Fn(&Line) -> bool,
    time: i64,
) -> anyhow::Result<&'a Line> {
    let name = path.display();
    let speaks = |list: &PatternList| asked.is_none_or(|(principal, _)| list.matches(principal));
    let mut skipped = signers.skipped.iter().filter(|bad| bad.principals.as_ref().is_none_or(speaks)).peekable();
    let certificate = key.certificate.as_deref();
    // OpenSSH's `sshkey_equal`: a listed certificate is good for itself, byte for byte, whatever it says of times and names; as
    // an authority it is the key inside
    let lists = |line: &&Line| {
        let listed = match line.cert_authority {
            false => line.key.wire() == key.wire(),
            true => certificate.is_some_and(|certificate| line.key.blob == certificate.authority.blob),
        };
        listed && speaks(&line.principals)
    };
    for line in signers.lines.iter().filter(lists) {
        while let Some(bad) = skipped.next_if(|bad| bad.number < line.number) {
            complain(&format!("{name}:{}: {}", bad.number, bad.why));
        }
        let principal = asked.map(|(principal, _)| principal);
        let authorized = certificate.filter(|_| line.cert_authority);
        if let Some(why) = authorized.and_then(|certificate| unauthorized(certificate, principal, time)) {
            complain(&format!("{name}:{}: certificate not authorized: {why}", line.number));
            continue;
        }
        if !fits(line) {
            continue;
        }
        match refusal(line, asked.map(|(_, namespace)| namespace), time) {
            None => return Ok(line),
            Some(why) => complain(&format!("{name}:{}: {why}", line.number)),
        }
    }
    for bad in skipped {
        complain(&format!("{name}:{}: {}", bad.number, bad.why));
    }
    Err(Unlisted.into())
}

/// OpenSSH's `sshkey_cert_check_authority`. Critical options are not looked at, as there.
fn unauthorized(certificate: &Certificate, principal: Option<&[u8]>, time: i64) -> Option<&'static str> {
    if certificate.kind != CertificateKind::User {
        return Some("Certificate invalid: not a user certificate");
    }
    if time < certificate.valid_after {
        return Some("Certificate invalid: not yet valid");
    }
    if time >= certificate.valid_before {
        return Some("Certificate invalid: expired");
    }
    if certificate.principals.is_empty() {
        return Some("Certificate lacks principal list");
    }
    let named = principal.is_none_or(|principal| certificate.principals.iter().any(|name| name == principal));
    (!named).then_some("Certificate invalid: name is not a listed principal")
}

/// Why a line that lists the key does not hold.
fn refusal(line: &Line, namespace: Option<&str>, time: i64) -> Option<String> {
    if let Some(namespace) = namespace.filter(|namespace| !line.covers_namespace(namespace.as_bytes())) {
        return Some(format!("key is not permitted for use in signature namespace \"{namespace}\""));
    }
    let at = clock::local_text(time);
    match (line.valid_after, line.valid_before) {
        (Some(after), _) if time < after => {
            Some(format!("key is not yet valid: verify time {at} < valid-after {}", clock::local_text(after)))
        }
        (_, Some(before)) if time > before => {
            Some(format!("key has expired: verify time {at} > valid-before {}", clock::local_text(before)))
        }
        _ => None,
    }
}
