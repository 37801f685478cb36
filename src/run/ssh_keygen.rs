//! `ssh-keygen -Y`, as git calls it: what it prints, and its exit statuses.
//!
//! It sees argv, standard input where git feeds a payload, SSH_AUTH_SOCK and the terminal: no configuration, no policy. Its
//! answers are ssh-keygen's save in three things: `-r` holds wherever it stands, a revocation file that lists nothing is an
//! error, and an Ed25519 signature has S < L.

use super::{complain, drain_stdin};
use crate::evidence::{Certificate, CertificateKind, Key};
use crate::io::{clock, keys};
use crate::personality::ssh_keygen::{Operation, Sign, SshKeygen, UsageError};
use crate::policy::allowed_signers::{AllowedSigners, Line, parse_time};
use crate::policy::pattern::matches;
use crate::policy::revocation::RevokedKeys;
use crate::signature::ssh::{detached, sign};
use crate::verdict::{Revoked, Utc};
use anyhow::{Context as _, bail};
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const FAILURE: u8 = 255;
const NOT_VERIFIED: &[u8] = b"Could not verify signature.\n";

/// Does what the command line asks for; the exit status.
pub fn run(request: Result<SshKeygen, UsageError>) -> u8 {
    let request = match request {
        Ok(request) => request,
        Err(error) => {
            if error.reads_stdin {
                drain_stdin();
            }
            complain(&error.kind.to_string());
            let status = error.kind.exit_status();
            if error.reads_stdin && status == FAILURE {
                let _ = print(NOT_VERIFIED);
            }
            return status;
        }
    };
    let quiet = request.quiet;
    match request.operation {
        Operation::Sign(request) => match sign_all(&request, quiet) {
            Ok(()) => 0,
            Err(error) => fail(&error),
        },
        Operation::FindPrincipals { allowed, signature, time } => {
            let found = find_principals(&allowed, &signature, time.as_deref());
            match found.and_then(|principals| print(&principals)) {
                Ok(()) => 0,
                Err(error) => {
                    let status = fail(&error);
                    complain("No principal matched.");
                    status
                }
            }
        }
        Operation::Verify { namespace, allowed, principal, signature, revoked, time } => {
            let message = read_stdin();
            let checked = verify(&namespace, &signature, &message, time.as_deref()).and_then(|(key, time)| {
                if let Some(revoked) = &revoked {
                    check_revoked(revoked, &key)?;
                }
                check_allowed(&allowed, &key, &principal, &namespace, time)?;
                Ok(key)
            });
            let by = [b" for ".as_slice(), principal.as_bytes()].concat();
            conclude(checked, &namespace, &by, quiet)
        }
        Operation::CheckNovalidate { namespace, signature, time } => {
            let message = read_stdin();
            let checked = verify(&namespace, &signature, &message, time.as_deref()).map(|(key, _)| key);
            conclude(checked, &namespace, b"", quiet)
        }
    }
}

fn fail(error: &anyhow::Error) -> u8 {
    complain(&format!("{error:#}"));
    FAILURE
}

/// Says what git looks for. Nothing but a good signature prints `Good`: git's `%G?` does not look at the exit status.
fn conclude(checked: anyhow::Result<Box<Key>>, namespace: &str, by: &[u8], quiet: bool) -> u8 {
    let (line, status) = match checked {
        Ok(key) => {
            let start = format!("Good \"{namespace}\" signature");
            let end = format!(" with {} key {}\n", key.short, key.fingerprint);
            ([start.as_bytes(), by, end.as_bytes()].concat(), 0)
        }
        Err(error) => {
            let status = fail(&error);
            (NOT_VERIFIED.to_vec(), status)
        }
    };
    match if quiet { Ok(()) } else { print(&line) } {
        Ok(()) => status,
        Err(error) => fail(&error),
    }
}

fn print(bytes: &[u8]) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).context("standard output")
}

/// The payload. What cannot be read ends it, and then no signature fits.
fn read_stdin() -> Vec<u8> {
    let mut message = Vec::new();
    let _ = io::stdin().lock().read_to_end(&mut message);
    message
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
    Ok(AllowedSigners::parse(&text, &clock::local))
}

fn check_allowed(path: &Path, key: &Key, principal: &OsStr, namespace: &str, time: i64) -> anyhow::Result<()> {
    let signers = read_allowed(path)?;
    let principal = principal.as_bytes();
    first_line(path, &signers, key, Some(principal), time, |line| line.covers_namespace(namespace.as_bytes())).map(|_| ())
}

/// The principals as ssh-keygen prints them: the items of the first line that fits, patterns as they are; of a certificate, its
/// names that match one of them.
fn find_principals(allowed: &Path, signature: &Path, time: Option<&str>) -> anyhow::Result<Vec<u8>> {
    let time = verify_time(time)?;
    let key = detached::named_key(&read_signature(signature)?)?;
    let signers = read_allowed(allowed)?;
    let names = |line: &Line| -> Vec<Vec<u8>> {
        let items = line.principals.items().take_while(|item| !item.is_empty());
        let Some(certificate) = &key.certificate else { return items.map(<[u8]>::to_vec).collect() };
        // each item by itself, `!` as a letter; the answer is a list again, so that a comma in a name parts it
        let matching = items.flat_map(|item| certificate.principals.iter().filter(|name| matches(name, item)));
        let list = matching.skip_while(|name| name.is_empty()).map(Vec::as_slice).collect::<Vec<_>>().join(&b',');
        list.split(|&b| b == b',').take_while(|name| !name.is_empty()).map(<[u8]>::to_vec).collect()
    };
    let line = first_line(allowed, &signers, &key, None, time, |line| !names(line).is_empty())?;
    Ok(names(line).into_iter().flat_map(|name| [name, b"\n".to_vec()]).flatten().collect())
}

/// The first line that lists the key, or the authority of its certificate, and holds; says on the way what ssh-keygen says of
/// the others.
fn first_line<'a>(
    path: &Path,
    signers: &'a AllowedSigners,
    key: &Key,
    principal: Option<&[u8]>,
    time: i64,
    fits: impl Fn(&Line) -> bool,
) -> anyhow::Result<&'a Line> {
    let name = path.display();
    for skipped in &signers.skipped {
        complain(&format!("{name}:{}: {}", skipped.number, skipped.why));
    }
    let certificate = key.certificate.as_deref();
    let lists = |line: &Line| match certificate {
        None => !line.cert_authority && line.key.blob == key.blob,
        Some(certificate) => line.cert_authority && line.key.blob == certificate.authority.blob,
    };
    let speaks = |line: &Line| principal.is_none_or(|principal| line.principals.matches(principal));
    for line in signers.lines.iter().filter(|line| speaks(line) && lists(line)) {
        if let Some(why) = certificate.and_then(|certificate| unauthorized(certificate, principal, time)) {
            complain(&format!("{name}:{}: certificate not authorized: {why}", line.number));
            continue;
        }
        if !fits(line) {
            continue;
        }
        if line.holds_at(time) {
            return Ok(line);
        }
        let (number, at) = (line.number, Utc(time));
        complain(&match line.valid_before.filter(|&before| time > before) {
            Some(before) => format!("{name}:{number}: key has expired: verify time {at} > valid-before {}", Utc(before)),
            None => format!("{name}:{number}: key is not yet valid: verify time {at} < valid-after"),
        });
    }
    bail!("no line of {name} allows {}", key.fingerprint)
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

/// Signs every operand, or standard input where there is none.
fn sign_all(request: &Sign, quiet: bool) -> anyhow::Result<()> {
    let socket = std::env::var_os("SSH_AUTH_SOCK");
    let mut signer = keys::signer(&request.key, request.agent_only, socket.as_deref())?;
    let mut sign = |message: &[u8]| sign::sign(&mut *signer, &request.namespace, request.hash, message);
    let say = |line: String| {
        if !quiet {
            complain(&line);
        }
    };
    let stdin = [PathBuf::from("-")];
    let files = if request.files.is_empty() { stdin.as_slice() } else { &request.files };
    for file in files {
        if file.as_os_str() == "-" {
            say("Signing data on standard input".to_owned());
            let mut message = Vec::new();
            io::stdin().lock().read_to_end(&mut message).context("standard input")?;
            print(&sign(&message).context("Signing standard input failed")?)?;
            continue;
        }
        let name = file.display();
        let message = fs::read(file).with_context(|| format!("Cannot open {name} for signing"))?;
        say(format!("Signing file {name}"));
        let target = signature_file(file);
        if fs::symlink_metadata(&target).is_ok() {
            bail!("{} already exists: remove it first", target.display());
        }
        let armored = sign(&message).with_context(|| format!("Signing {name} failed"))?;
        say(format!("Write signature to {}", target.display()));
        write_new(&target, &armored)?;
    }
    Ok(())
}

fn signature_file(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".sig");
    name.into()
}

/// Writes a file that is there whole or not at all. One that is there already stays: ssh-keygen would ask on standard input,
/// which is git's.
fn write_new(target: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let failed = || format!("Couldn't write {}", target.display());
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    // as ssh-keygen: what the umask leaves of 0666
    let builder = builder.prefix(".git-warrant-").permissions(Permissions::from_mode(0o666));
    let mut file = builder.tempfile_in(folder).with_context(failed)?;
    file.write_all(bytes).with_context(failed)?;
    let _: File = file.persist_noclobber(target).map_err(|error| error.error).with_context(failed)?;
    Ok(())
}
