//! `hook install` and `hook uninstall`: our pre-receive hook beside the one that is there.

use super::session::{Asked, Loaded, Place};
use super::stdout;
use crate::cli::{HookChange, HookInstall, HookUninstall, PreReceive};
use crate::io::hooks::{Found, HookFile, KEPT};
use crate::io::policy::Search;
use crate::object::ObjectId;
use crate::report::ExitStatus;
use crate::report::escape::printable;
use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};
use std::env;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;

const SHELL: &[u8] = b"#!/bin/sh\n# Installed by git-warrant; `git warrant hook uninstall` takes it out. sha256 of what follows: ";

/// Installs the hook; what was done goes to standard output.
///
/// # Errors
/// Where the policy cannot be used, the hook's place cannot be, or something stands there that would be lost.
pub fn install(args: &HookInstall) -> Result<ExitStatus> {
    let mut place = Place::open()?;
    for named in args.with.policy.policy.iter().chain(&args.with.policy.revoked) {
        let revision = named.split_once(':').is_some_and(|(rev, _)| rev.starts_with("refs/") || rev.parse::<ObjectId>().is_ok());
        if !revision && !named.starts_with('/') && !named.starts_with("~/") {
            bail!("`{named}` is relative, and the hook runs in another folder; give the path from the root");
        }
    }
    let policy = &args.with.policy;
    let search = Search { policy: policy.policy.clone(), revoked: policy.revoked.clone(), range_start: None, hook: true };
    Loaded::find(&mut place, &search, Asked::by_hook(policy, args.with.allow_wildcard))
        .context("nothing is installed: the hook could not work")?;
    let file = HookFile::find(&place.repository, &place.config, args.change.outside)?;
    let found = file.found()?;
    let (hook, kept) = (file.hook.display(), file.kept.display());
    let ours = match &found {
        Found::File(Some(text)) => check_ours(&file, text, &args.change)?,
        _ => false,
    };
    let foreign = found != Found::Nothing && !ours;
    let cut_off = file.is_kept_twice();
    if !ours && file.is_kept() && !cut_off {
        bail!("{kept} is there, kept from an earlier installation, and would be lost; move it back to {hook}, or away");
    }
    let chained = if foreign { HookFile::runs(&file.hook) } else { ours && HookFile::runs(&file.kept) };
    if let Found::File(Some(text)) = &found
        && ours
        && !chained
        && memchr::memmem::find(text, KEPT.as_bytes()).is_some()
    {
        bail!(
            "{hook} runs {kept} as well, and that is gone or cannot be run; put it back (chmod +x), or run: git warrant hook uninstall"
        );
    }
    let script = script(&args.with, chained)?;
    if found == Found::File(Some(script.clone())) {
        return say(&args.change, &format!("{hook} is installed already"));
    }
    if !args.change.dry_run {
        if foreign && !cut_off {
            file.keep()?;
        }
        file.write(&script)?;
    }
    if foreign {
        let runs = if chained { "runs after ours" } else { "is not executable, so git did not run it, and we don't" };
        say(&args.change, &format!("the hook that was there is kept as {kept}; it {runs}"))?;
    }
    say(&args.change, &format!("{} {hook}", if ours { "renewed" } else { "installed" }))
}

/// Takes the hook out; what was done goes to standard output.
///
/// # Errors
/// Where the hook is not ours, or was edited, or cannot be removed.
pub fn uninstall(args: &HookUninstall) -> Result<ExitStatus> {
    let place = Place::open()?;
    let file = HookFile::find(&place.repository, &place.config, args.change.outside)?;
    let found = file.found()?;
    let (hook, kept) = (file.hook.display(), file.kept.display());
    let act = !args.change.dry_run;
    if file.is_kept_twice() {
        if act {
            file.forget_kept()?;
        }
        return say(&args.change, &format!("{hook} is as it was; removed its second name {kept}"));
    }
    match found {
        Found::Nothing if file.is_kept() => {}
        Found::Nothing => return say(&args.change, &format!("{hook} is not there; nothing to do")),
        Found::File(Some(text)) if check_ours(&file, &text, &args.change)? => {}
        Found::File(_) => bail!("{hook} is not ours; nothing is removed"),
    }
    let back = file.is_kept();
    if act {
        file.restore()?;
    }
    let what = if back { format!("put {kept} back as {hook}") } else { format!("removed {hook}") };
    say(&args.change, &what)
}

/// Whether a script is ours. One that was edited is refused unless forced.
fn check_ours(file: &HookFile, text: &[u8], change: &HookChange) -> Result<bool> {
    let Some(rest) = text.strip_prefix(SHELL) else { return Ok(false) };
    let sealed = rest.split_at_checked(65).is_some_and(|(sum, body)| sum == format!("{}\n", digest(body)).as_bytes());
    if !sealed && !change.force {
        bail!("{} was edited since it was installed; keep a copy of what you need, then give --force", file.hook.display());
    }
    Ok(true)
}

fn digest(body: &[u8]) -> String {
    Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn script(with: &PreReceive, chained: bool) -> Result<Vec<u8>> {
    let program = env::current_exe().context("cannot find out where this program is")?;
    Ok(sealed(program.as_os_str().as_bytes(), with, chained))
}

/// The script. Where git-warrant is missing it refuses; a hook from before gets the same input, byte for byte.
fn sealed(program: &[u8], with: &PreReceive, chained: bool) -> Vec<u8> {
    let mut call = b"\"$warrant\" hook pre-receive".to_vec();
    for (name, value) in [("--policy", &with.policy.policy), ("--revoked", &with.policy.revoked)] {
        if let Some(value) = value {
            call.extend([b" ", name.as_bytes(), b"=", &quoted(value.as_bytes())].concat());
        }
    }
    for (on, option) in [
        (with.policy.strict, " --strict"),
        (with.policy.bind.is_some(), " --bind=committer"),
        (with.policy.require_touch, " --require-touch"),
        (with.allow_wildcard, " --allow-wildcard"),
    ] {
        if on {
            call.extend(option.bytes());
        }
    }
    let mut body = [b"warrant=", &quoted(program)[..], b"\n"].concat();
    body.extend(
        b"if ! [ -x \"$warrant\" ]; then\n    printf 'git-warrant: %s is not there; install it again, then run: git warrant hook install\\n' \"$warrant\" >&2\n    exit 3\nfi\n",
    );
    if chained {
        body.extend(b"input=$(cat && echo .) || exit 3\ninput=${input%.}\nprintf %s \"$input\" | ");
        body.extend(call);
        body.extend(format!(" || exit $?\nprintf %s \"$input\" 2>/dev/null | \"${{0%/*}}/{KEPT}\" \"$@\"\n").bytes());
    } else {
        body.extend([b"exec ", &call[..], b"\n"].concat());
    }
    [SHELL, digest(&body).as_bytes(), b"\n", &body].concat()
}

/// One word of sh, whatever bytes it has.
fn quoted(word: &[u8]) -> Vec<u8> {
    let inner: Vec<u8> = word.iter().flat_map(|&b| if b == b'\'' { b"'\\''".to_vec() } else { vec![b] }).collect();
    [b"'", &inner[..], b"'"].concat()
}

fn say(change: &HookChange, what: &str) -> Result<ExitStatus> {
    let mut out = stdout();
    let dry = if change.dry_run { "would be done: " } else { "" };
    writeln!(out, "{dry}{}", printable(what)).and_then(|()| out.flush()).context("cannot write the report")?;
    Ok(ExitStatus::Accepted)
}
