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
    _git__warrant "git-warrant" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
}
"#;

/// Writes the script to standard output.
///
/// # Errors
/// Where it cannot be written.
pub fn run(args: &Completions) -> Result<ExitStatus> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "git-warrant", &mut script);
    if args.shell == Shell::Bash {
        // clap_complete 4.6 compares with another spelling of a dashed name than it sets
        let text = String::from_utf8_lossy(&script).replace("git__subcmd__warrant", "git__warrant") + BASH_FOR_GIT;
        script = text.into_bytes();
    }
    io::stdout().write_all(&script)?;
    Ok(ExitStatus::Accepted)
}
