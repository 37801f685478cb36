//! `completions`: a shell's completion script.

use crate::cli::{Cli, Completions};
use crate::report::ExitStatus;
use anyhow::Result;
use clap::CommandFactory as _;
use clap_complete::Shell;
use std::io::{self, Write as _};

/// Git's own completion calls `_git_warrant` for `git warrant <TAB>`: the words less the first are what ours expects.
const BASH_FOR_GIT: &str = r#"
_git_warrant() {
    COMP_WORDS=("git-warrant" "${COMP_WORDS[@]:2}")
    COMP_CWORD=$((COMP_CWORD - 1))
    _git-warrant "git-warrant" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
}
"#;

/// Writes the script to standard output.
///
/// # Errors
/// Where it cannot be written.
pub fn run(args: &Completions) -> Result<ExitStatus> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command().bin_name("git-warrant"), "git-warrant", &mut script);
    if args.shell == Shell::Bash {
        script.extend_from_slice(BASH_FOR_GIT.as_bytes());
    }
    io::stdout().write_all(&script)?;
    Ok(ExitStatus::Accepted)
}
