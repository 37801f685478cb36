//! The native commands: argv to the command that does it, errors to messages and exit statuses.

use super::{agent, complain, completions, demo, hook, login, man, policy, show, trust, verify};
use crate::cli::{Cli, Command, HookKind};
use crate::io::git::OpenError;
use crate::report::ExitStatus;
use crate::report::escape::printable;
use anyhow::Error;
use clap::{CommandFactory as _, FromArgMatches as _};
use std::ffi::OsString;
use std::io::{ErrorKind, Write as _};
use std::iter;

/// Runs a native command, given the arguments behind the program's name. Gives the exit status.
pub fn run(args: Vec<OsString>) -> u8 {
    let argv = iter::once("git-warrant".into()).chain(args);
    let matches = Cli::command().bin_name("git warrant").try_get_matches_from(argv);
    let cli = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            if error.use_stderr() {
                complain(harmless(&error.render().to_string()).trim_end()); // what was typed stands in it
                return ExitStatus::Usage.code();
            }
            return error.print().map_or(ExitStatus::Usage, |()| ExitStatus::Accepted).code();
        }
    };
    let done = match &cli.command {
        Command::Verify(args) => verify::run(args),
        Command::Show(args) => show::run(args),
        Command::Hook(args) => match &args.hook {
            HookKind::PreReceive(args) => hook::pre_receive(args),
            HookKind::Install(args) => hook::install::install(args),
            HookKind::Uninstall(args) => hook::install::uninstall(args),
        },
        Command::Policy(args) => policy::run(args),
        Command::Trust(args) => trust::run(args),
        Command::Login(args) => login::run(args),
        Command::Agent(args) => agent::run(args),
        Command::Demo(args) => demo::run(args),
        Command::Man(args) => man::run(args),
        Command::Completions(args) => completions::run(args),
    };
    done.unwrap_or_else(|error| explain(&error)).code()
}

/// Says what went wrong. Whatever it was, nothing was accepted.
fn explain(error: &Error) -> ExitStatus {
    if error.chain().any(|cause| cause.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == ErrorKind::BrokenPipe)) {
        return ExitStatus::Unjudged; // whoever read the report has gone
    }
    let text = error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ");
    complain(&format!("git-warrant: {}", harmless(&text)));
    let _ = std::io::stderr().flush();
    match error.downcast_ref::<OpenError>() {
        Some(OpenError::Owner(_) | OpenError::Unsupported(_)) => ExitStatus::Unjudged,
        _ => ExitStatus::Usage,
    }
}

/// Line breaks of our own messages stay; what stands in a line is made harmless.
fn harmless(text: &str) -> String {
    text.split('\n').map(|line| printable(line).into_owned()).collect::<Vec<_>>().join("\n")
}
