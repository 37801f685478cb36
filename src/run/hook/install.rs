//! `hook install` and `hook uninstall`: the script that makes git ask us, and what was there before.

use super::Rules;
use super::script::{Origin, Script, asks_for_its_name, origin};
use crate::cli::{Bind, HookInstall, HookUninstall, PolicyArgs, PreReceive};
use crate::io::config::is_in_command;
use crate::io::hooks::{self, Entry, FORMER, HOOK};
use crate::io::policy::name_in_full;
use crate::report::ExitStatus;
use crate::report::escape::{printable, shell_word};
use crate::run::session::Place;
use crate::run::{complain, stdout};
use anyhow::{Context as _, Result, bail};
use std::env;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

/// Makes the pre-receive hook of the repository around ask the policy; says what it did.
///
/// # Errors
/// Where the hook could not work, or what is there cannot be kept; nothing is changed then.
pub fn install(args: &HookInstall) -> Result<ExitStatus> {
    let mut place = Place::open()?;
    let folder = hooks::folder(&place.repository, &place.config, args.force)?;
    for name in ["warrant.policy", "gpg.ssh.allowedSignersFile", "gpg.ssh.revocationFile"] {
        if is_in_command(name) {
            bail!("{name} is set for this command only, and a push would not see it; set it in a file: git config {name} FILE");
        }
    }
    let asked = in_full(&args.rules)?;
    let rules = Rules::find(&mut place, &asked).context("the hook could not judge, so nothing is installed")?;
    let program = program(&place)?;
    let options = options(&asked);
    let found = hooks::Place::look(folder)?;
    let state = State::of(&found, args.force)?;
    let script = Script { program: program.as_os_str().as_bytes(), options: &options, chained: state.chained };
    let call = format!("{} hook pre-receive", shell_word(&program.display().to_string()));
    let call = options.iter().fold(call, |call, option| format!("{call} {}", shell_word(option)));
    if let (Some(line), false) = (state.asks.filter(|_| state.keep), args.force) {
        bail!(
            "line {line} of {} asks for its own name, and that would become {FORMER}: it might then do nothing. Let what it runs, such as a file in {HOOK}.d, ask the policy: exec {}; or, if the name does not matter, --force",
            found.path().display(),
            call
        );
    }
    let text = script.text();
    for note in &rules.loaded.notes {
        complain(&format!("warning: {}", printable(note)));
    }
    let same = found.hook.as_ref().is_some_and(|hook| hook.proper && hook.text.as_deref() == Some(text.as_slice()));
    if !args.dry_run && !same {
        found.put(&text, state.keep)?;
    }
    let mut out = stdout();
    let verb = match (&found.hook, args.dry_run) {
        _ if same => "as it should be already",
        (_, true) => "would be written",
        (Some(_), false) if !state.keep => "written anew",
        _ => "written",
    };
    writeln!(out, "{verb}: {}", printable(&found.path().display().to_string()))?;
    let heading = rules.loaded.heading(String::new());
    writeln!(out, "  asks: {} (sha256:{:.16}…)", printable(&heading.policy), heading.digest)?;
    writeln!(out, "  runs: {}", printable(&call))?;
    state.notes.iter().try_for_each(|note| writeln!(out, "  {}", printable(note)))?;
    if let (Some(hook), false, false) = (&found.hook, same, state.keep) {
        let changed = changed_lines(hook.text.as_deref().unwrap_or_default(), &text);
        changed.iter().try_for_each(|line| writeln!(out, "  {}", printable(line)))?;
    }
    if args.dry_run {
        writeln!(out, "  the script:")?;
        String::from_utf8_lossy(&text).lines().try_for_each(|line| writeln!(out, "    {}", printable(line)))?;
    } else {
        writeln!(out, "to undo it: git warrant hook uninstall")?;
    }
    out.flush()?;
    Ok(ExitStatus::Accepted)
}

/// Takes our script out, and puts back what was there; says what it did.
///
/// # Errors
/// Where what is there is not as we left it.
pub fn uninstall(args: &HookUninstall) -> Result<ExitStatus> {
    let place = Place::open()?;
    let found = hooks::Place::look(hooks::folder(&place.repository, &place.config, args.force)?)?;
    let path = found.path().display().to_string();
    let origin = found.hook.as_ref().map(origin_of);
    refuse_own_former(&found)?;
    match origin {
        Some(Origin::Foreign) if !found.is_half_moved() => {
            bail!(
                "{path} was not made by git warrant hook install, and stays{}",
                if found.former.is_some() { former_beside() } else { String::new() }
            );
        }
        Some(Origin::Edited { .. }) if !args.force => {
            bail!(
                "{path} was edited since it was installed; keep a copy of what you want to keep, then: git warrant hook uninstall --force"
            );
        }
        Some(Origin::Ours { chained: true } | Origin::Edited { chained: true }) if found.former.is_none() && !args.force => {
            bail!(
                "{FORMER}, which {path} runs, is gone, so it cannot be put back; to leave no hook at all: git warrant hook uninstall --force"
            );
        }
        _ => {}
    }
    if !args.dry_run {
        found.restore()?;
    }
    let would = if args.dry_run { "would be " } else { "" };
    let path = printable(&path).into_owned();
    let said = match (&found.hook, &found.former) {
        (None, None) => format!("no hook of git-warrant is here: {path}"),
        (Some(_), None) => format!("{would}removed: {path}"),
        (_, Some(_)) if found.is_half_moved() => {
            format!("{would}as before: {path} ({FORMER}, left by an interrupted call, {would}removed)")
        }
        (_, Some(_)) => format!("{would}put back: {path}, as it was before"),
    };
    let mut out = stdout();
    writeln!(out, "{said}")?;
    out.flush()?;
    Ok(ExitStatus::Accepted)
}

fn former_beside() -> String {
    format!("; {FORMER} beside it is what was there before an installation: put it back by hand, or remove it")
}

/// Who wrote what stands in the hook's place; a link is nobody's but whoever made it.
fn origin_of(hook: &Entry) -> Origin {
    let text = hook.text.as_deref().filter(|_| !hook.link);
    text.map_or(Origin::Foreign, origin)
}

/// A script of ours that ran itself as the former hook would never end.
fn refuse_own_former(found: &hooks::Place) -> Result<()> {
    let is_ours = |entry: &Entry| entry.text.as_deref().is_some_and(|text| origin(text) != Origin::Foreign);
    let path = found.path().display().to_string();
    if found.hook.as_ref().is_some_and(|hook| hook.link && is_ours(hook)) {
        bail!("{path} is a link to a script of git warrant hook install; remove the link, then ask again");
    }
    if found.former.as_ref().is_some_and(is_ours) {
        bail!("{FORMER} beside {path} is a script of git warrant hook install itself, and nobody's former hook; remove it");
    }
    Ok(())
}

/// What is to be done with what is there.
struct State {
    /// Whether the hook that is there is moved aside.
    keep: bool,
    /// Whether the script runs it.
    chained: bool,
    /// The line in which it asks for its name.
    asks: Option<usize>,
    notes: Vec<String>,
}

impl State {
    fn of(found: &hooks::Place, force: bool) -> Result<Self> {
        let path = found.path().display().to_string();
        refuse_own_former(found)?;
        let origin = found.hook.as_ref().map(origin_of);
        let (keep, former) = match (origin, &found.hook, &found.former) {
            (Some(Origin::Foreign), Some(hook), None) => (true, Some(hook)),
            (Some(Origin::Foreign), Some(hook), Some(_)) if found.is_half_moved() => (true, Some(hook)),
            (Some(Origin::Foreign), _, Some(_)) => {
                bail!("{FORMER} exists already beside {path}, so the hook cannot be kept under that name; rename or remove it")
            }
            (None, _, Some(_)) => bail!(
                "{FORMER} is here, and {path} is not; put it back first (git warrant hook uninstall), or remove it if it is not wanted"
            ),
            (Some(Origin::Edited { .. }), ..) if !force => {
                bail!("{path} was edited since it was installed; keep a copy of what you want to keep, then use --force")
            }
            (Some(Origin::Ours { chained: true } | Origin::Edited { chained: true }), _, None) if !force => {
                bail!("{FORMER}, which {path} runs, is gone; put it there again, or use --force to do without it")
            }
            (_, _, former) => (false, former.as_ref()),
        };
        let mut state = Self { keep, chained: former.is_some_and(|hook| hook.runs), asks: None, notes: Vec::new() };
        if let Some(hook) = former {
            state.explain(hook);
        }
        if found.has_folder {
            let who = if state.chained { "only if the former hook runs them" } else { "by nothing: git itself does not" };
            state.notes.push(format!("note: the files in {HOOK}.d are run {who}"));
        }
        Ok(state)
    }

    fn explain(&mut self, hook: &Entry) {
        let then = if self.chained {
            "runs after git-warrant has accepted, on the same input; both must accept"
        } else {
            "is not run, as git did not run it: nobody may execute it, or it is a link to nothing"
        };
        self.notes.push(format!("former hook: {FORMER}; it {then}"));
        let text = hook.text.as_deref().unwrap_or_default();
        self.asks = if self.chained { asks_for_its_name(text) } else { None };
        if let Some(line) = self.asks {
            self.notes
                .push(format!("note: its line {line} asks for its own name, which is {FORMER} now: see whether it still works"));
        }
        if String::from_utf8_lossy(text).contains("git-warrant hook pre-receive") {
            self.notes.push("note: it calls git-warrant itself, so pushes are judged twice; take that out of it".to_owned());
        }
    }
}

/// The options with files named in full: the hook runs in another folder.
fn in_full(args: &PreReceive) -> Result<PreReceive> {
    let full = |option: &str, named: &Option<String>| {
        named.as_ref().map(|named| name_in_full(named).with_context(|| format!("{option} {named}"))).transpose()
    };
    let PolicyArgs { policy, revoked, strict, bind, require_touch } = &args.policy;
    let (policy, revoked) = (full("--policy", policy)?, full("--revoked", revoked)?);
    let policy = PolicyArgs { policy, revoked, strict: *strict, bind: *bind, require_touch: *require_touch };
    Ok(PreReceive { policy, allow_wildcard: args.allow_wildcard })
}

/// The options as words, each by itself.
fn options(args: &PreReceive) -> Vec<String> {
    let PreReceive { policy: PolicyArgs { policy, revoked, strict, bind, require_touch }, allow_wildcard } = args;
    let bind = bind.map(|Bind::Committer| "--bind=committer".to_owned());
    let flags = [(*strict, "--strict"), (*require_touch, "--require-touch"), (*allow_wildcard, "--allow-wildcard")];
    let flags = flags.into_iter().filter(|(set, _)| *set).map(|(_, name)| name.to_owned());
    let policy = policy.iter().map(|name| format!("--policy={name}"));
    policy.chain(revoked.iter().map(|name| format!("--revoked={name}"))).chain(bind).chain(flags).collect()
}

/// This program's own path, or the link to it by which it was called: an upgrade leads the link elsewhere, and may take away what it
/// led to before.
fn program(place: &Place) -> Result<PathBuf> {
    let real = env::current_exe().context("this program's own path cannot be found")?;
    if !real.is_file() {
        bail!("this program is no longer at {}; run the one that is installed", real.display());
    }
    let program = called_by().filter(|name| name.canonicalize().ok() == real.canonicalize().ok()).unwrap_or_else(|| real.clone());
    if hooks::is_in_work_tree(&place.repository, &program, &real) {
        bail!(
            "this program, {}, lies inside the work tree, so whoever changes the tree would choose its judge; install it elsewhere (cargo install --locked --path .) and run that",
            program.display()
        );
    }
    if let Some(open) = program.ancestors().chain(real.ancestors()).find(|part| hooks::is_open_to_all(part)) {
        bail!(
            "{0} is writable by everybody, who could put another judge in the place of {1}; chmod o-w {0}, or install it elsewhere and run that",
            open.display(),
            program.display()
        );
    }
    Ok(program)
}

/// The absolute path by which this program was called, if it is one: as it was given, or by PATH.
fn called_by() -> Option<PathBuf> {
    let name = PathBuf::from(env::args_os().next()?);
    match name.parent() {
        Some(parent) if parent.as_os_str().is_empty() => {
            let folders: Vec<PathBuf> = env::split_paths(&env::var_os("PATH")?).collect();
            folders.into_iter().map(|folder| folder.join(&name)).find(|path| path.is_file() && path.is_absolute())
        }
        _ => Some(name).filter(|name| name.is_absolute()),
    }
}

/// The lines that only the old or only the new script has, its marker aside.
fn changed_lines(old: &[u8], new: &[u8]) -> Vec<String> {
    let (old, new) = (String::from_utf8_lossy(old).into_owned(), String::from_utf8_lossy(new).into_owned());
    let only = |sign: char, these: &str, those: &str| {
        let those: Vec<&str> = those.lines().collect();
        let lines = these.lines().skip(2).filter(|line| !those.contains(line));
        lines.map(|line| format!("{sign} {line}")).collect::<Vec<_>>()
    };
    [only('-', &old, &new), only('+', &new, &old)].concat()
}
