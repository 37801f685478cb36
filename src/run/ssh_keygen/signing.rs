//! `ssh-keygen -Y sign`.

use super::print;
use crate::io::keys::{self, Sources};
use crate::io::secrecy::forbid_cores;
use crate::personality::ssh_keygen::Sign;
use crate::report::escape::printable;
use crate::run::complain;
use crate::signature::ssh::MessageHash;
use crate::signature::ssh::sign;
use anyhow::{Context as _, Result, bail};
use std::env;
use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{self, BufRead, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Signs every operand, or standard input where there is none. What was signed before a failure stays, as with ssh-keygen.
pub(super) fn sign_all(request: &Sign, quiet: bool) -> Result<()> {
    forbid_cores();
    let socket = env::var_os("SSH_AUTH_SOCK");
    let provider = request.provider.clone().or_else(|| env::var_os("SSH_SK_PROVIDER"));
    let provider = provider.filter(|name| !name.is_empty()).unwrap_or_else(|| OsString::from("internal"));
    let sources = Sources { agent_only: request.agent_only, socket: socket.as_deref(), provider: &provider };
    let mut signer = keys::signer(&request.key, sources)?;
    let hash = message_hash(request.hash.as_deref());
    let mut sign = |message: &[u8]| -> Result<Vec<u8>> {
        match &hash {
            Ok(hash) => Ok(sign::sign(&mut *signer, &request.namespace, *hash, message)?),
            Err(why) => bail!("{why}"),
        }
    };
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
            print(&sign(&message).context("Signing (stdin) failed")?)?;
            continue;
        }
        let name = file.display();
        let opened = File::open(file).with_context(|| format!("Cannot open {name} for signing"))?;
        say(format!("Signing file {name}"));
        let message = read(opened).with_context(|| format!("Signing {name} failed"))?;
        let target = signature_file(file);
        let there = fs::symlink_metadata(&target).is_ok();
        if there && !may_overwrite(&target)? {
            continue;
        }
        let armored = sign(&message).with_context(|| format!("Signing {name} failed"))?;
        write(&target, &armored, there)?;
        say(format!("Write signature to {}", target.display()));
    }
    Ok(())
}

/// What `-Ohashalg=` names, or why nothing can be signed with it.
fn message_hash(name: Option<&str>) -> Result<MessageHash, String> {
    let Some(name) = name else { return Ok(MessageHash::Sha512) };
    MessageHash::of_name(name.as_bytes()).ok_or_else(|| format!("unsupported hash algorithm \"{}\"", name.escape_debug()))
}

fn read(mut file: File) -> io::Result<Vec<u8>> {
    let mut message = Vec::new();
    file.read_to_end(&mut message)?;
    Ok(message)
}

fn signature_file(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".sig");
    name.into()
}

/// Whether somebody says that a signature which is there already may go. As ssh-keygen: the question goes to standard output, the
/// answer comes from standard input, whatever these are; two bytes are read, or what there is of a line, and a `y` at their start
/// is a yes. Git never asks for a signature that is there: it names a new file each time.
fn may_overwrite(target: &Path) -> Result<bool> {
    let name = target.display().to_string();
    print(format!("{} already exists.\nOverwrite (y/n)? ", printable(&name)).as_bytes())?;
    let mut answer = Vec::new();
    io::stdin().lock().take(2).read_until(b'\n', &mut answer).context("standard input")?;
    Ok(matches!(answer.first(), Some(b'y' | b'Y')))
}

/// Writes a file that is there whole or not at all. It has no name before it is whole; a system that knows no files without a
/// name, and a file that takes another's place, get one for the moment, always the same: what a killed run left there goes first.
fn write(target: &Path, bytes: &[u8], overwrite: bool) -> Result<()> {
    let failed = || format!("Couldn't write {}", target.display());
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = target.file_name().with_context(failed)?;
    let mut beside = OsString::from(".");
    beside.push(name);
    beside.push(".git-warrant");
    let _ = fs::remove_file(folder.join(&beside));
    if let Some(mut file) = nameless(folder).filter(|_| !overwrite) {
        file.write_all(bytes).with_context(failed)?;
        if give_name(&file, target).with_context(failed)? {
            return Ok(());
        }
    }
    let mut builder = tempfile::Builder::new();
    // as ssh-keygen: what the umask leaves of 0666
    let builder = builder.prefix(&beside).rand_bytes(0).permissions(Permissions::from_mode(0o666));
    let mut file = builder.tempfile_in(folder).with_context(failed)?;
    file.write_all(bytes).with_context(failed)?;
    let written = if overwrite { file.persist(target) } else { file.persist_noclobber(target) };
    written.map(drop).map_err(|error| error.error).with_context(failed)
}

#[cfg(target_os = "linux")]
fn nameless(folder: &Path) -> Option<File> {
    use rustix::fs::{Mode, OFlags, open};
    let mode = Mode::from_raw_mode(0o666); // as below
    open(folder, OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC, mode).ok().map(File::from)
}

/// Names a file; gives whether that can be done here. A file that has the name already keeps it.
#[cfg(target_os = "linux")]
fn give_name(file: &File, target: &Path) -> io::Result<bool> {
    use rustix::fs::{AtFlags, CWD, linkat};
    use std::os::fd::AsRawFd;
    let open = format!("/proc/self/fd/{}", file.as_raw_fd());
    match linkat(CWD, open, CWD, target, AtFlags::SYMLINK_FOLLOW) {
        Ok(()) => Ok(true),
        Err(error) if error == rustix::io::Errno::EXIST => Err(error.into()),
        Err(_) => Ok(false), // no /proc
    }
}

#[cfg(not(target_os = "linux"))]
fn nameless(_: &Path) -> Option<File> {
    None
}

#[cfg(not(target_os = "linux"))]
fn give_name(_: &File, _: &Path) -> io::Result<bool> {
    Ok(false)
}
