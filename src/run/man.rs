//! `man`: the manual pages, from the commands' own definitions.

use crate::cli::{Cli, Man};
use crate::report::ExitStatus;
use anyhow::{Context as _, Result};
use clap::{Command, CommandFactory as _};
use std::fs;
use std::path::{Path, PathBuf};

/// What git-warrant(1) says beyond the options.
const MANUAL: &str = include_str!("manual.roff");

/// git-warrant-policy(5).
const POLICY: &str = include_str!("policy.roff");

/// Writes a page a command into a folder, which is made where it is missing.
///
/// # Errors
/// Where the folder cannot be written to.
pub fn run(args: &Man) -> Result<ExitStatus> {
    for (file, page) in pages()? {
        let folder = folder_of(&file, &args.to);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        let path = folder.join(file);
        fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(ExitStatus::Accepted)
}

/// Where a page goes: one of section 5 beside a folder that is called man1, where man(1) looks for it.
fn folder_of(file: &str, to: &Path) -> PathBuf {
    let sorted = to.file_name().is_some_and(|name| name == "man1");
    if sorted && file.ends_with(".5") { to.with_file_name("man5") } else { to.to_owned() }
}

/// The pages by their file names.
///
/// # Errors
/// Where clap cannot render one.
pub fn pages() -> Result<Vec<(String, Vec<u8>)>> {
    let mut pages = Vec::new();
    add(&mut pages, Cli::command(), &["git-warrant"])?;
    pages.push(("git-warrant-policy.5".to_owned(), POLICY.as_bytes().to_vec()));
    Ok(pages)
}

/// Adds the pages of a command, named by the words that it is called with, and of those below it.
fn add(pages: &mut Vec<(String, Vec<u8>)>, command: Command, words: &[&str]) -> Result<()> {
    for sub in command.get_subcommands() {
        add(pages, sub.clone(), &[words, &[sub.get_name()]].concat())?;
    }
    let name = words.join("-");
    let file = format!("{name}.1");
    let command = command.name(name).bin_name(words.join(" ").replacen("git-warrant", "git warrant", 1));
    let command = command.version(env!("CARGO_PKG_VERSION"));
    let whole = words.len() == 1;
    let command = if whole { command } else { command.disable_help_flag(true).disable_version_flag(true) };
    let mut page = Vec::new();
    clap_mangen::Man::new(command).date("").render(&mut page)?;
    if whole {
        page.extend_from_slice(MANUAL.as_bytes());
    }
    pages.push((file, page));
    Ok(())
}
