//! Git's configuration, the reader's own: files by libgit2, `git -c` and GIT_CONFIG_COUNT by us (libgit2 reads neither).

use anyhow::{Context as _, Result, bail};
use git2::ConfigLevel;
use std::env;
use std::path::{Path, PathBuf};

/// The configuration as git itself would see it.
pub struct Config {
    files: git2::Config,
    /// System and global files only: what a repository cannot set.
    protected: git2::Config,
    /// From the environment, later ones win.
    command: Vec<(String, String)>,
}

impl Config {
    /// Reads the system's, the user's and the repository's files, and the environment.
    ///
    /// # Errors
    /// Where a file or a variable is malformed.
    pub fn load(common_dir: &Path, git_dir: &Path) -> Result<Self> {
        let mut files = git2::Config::new()?;
        let mut protected = git2::Config::new()?;
        for (path, level) in user_files() {
            files.add_file(&path, level, false).with_context(|| format!("cannot read {}", path.display()))?;
            protected.add_file(&path, level, false)?;
        }
        let local = common_dir.join("config");
        if local.exists() {
            files.add_file(&local, ConfigLevel::Local, false).with_context(|| format!("cannot read {}", local.display()))?;
        }
        let worktree = git_dir.join("config.worktree");
        if worktree.exists() && files.get_bool("extensions.worktreeConfig").unwrap_or(false) {
            files.add_file(&worktree, ConfigLevel::Worktree, false)?;
        }
        Ok(Self { files, protected, command: from_environment()? })
    }

    /// The last value of a setting. A setting without `=` reads as `true`.
    ///
    /// # Errors
    /// Where the value is not UTF-8.
    pub fn get(&self, name: &str) -> Result<Option<String>> {
        Ok(self.get_all(name)?.pop())
    }

    /// All values of a setting, the one that wins last.
    ///
    /// # Errors
    /// Where a value is not UTF-8.
    pub fn get_all(&self, name: &str) -> Result<Vec<String>> {
        let mut values = values_of(&self.files, name)?;
        values.extend(self.in_command(name));
        Ok(values)
    }

    /// The value of a setting that the repository must not choose.
    ///
    /// # Errors
    /// Where the value is not UTF-8.
    pub fn get_protected(&self, name: &str) -> Result<Option<String>> {
        let command = self.in_command(name).last();
        Ok(command.or(values_of(&self.protected, name)?.pop()))
    }

    fn in_command(&self, name: &str) -> impl Iterator<Item = String> {
        let name = normal(name);
        self.command.iter().filter(move |(key, _)| *key == name).map(|(_, value)| value.clone())
    }
}

fn user_files() -> Vec<(PathBuf, ConfigLevel)> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    let mut files = Vec::new();
    if env::var("GIT_CONFIG_NOSYSTEM").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false" | "no" | "off")) {
    } else if let Some(path) = set("GIT_CONFIG_SYSTEM") {
        files.push((PathBuf::from(path), ConfigLevel::System));
    } else if let Ok(path) = git2::Config::find_system() {
        files.push((path, ConfigLevel::System));
    }
    if let Some(path) = env::var_os("GIT_CONFIG_GLOBAL") {
        files.push((PathBuf::from(path), ConfigLevel::Global));
    } else {
        files.extend(git2::Config::find_xdg().ok().map(|path| (path, ConfigLevel::XDG)));
        files.extend(git2::Config::find_global().ok().map(|path| (path, ConfigLevel::Global)));
    }
    files.retain(|(path, _)| path.is_file());
    files
}

fn values_of(config: &git2::Config, name: &str) -> Result<Vec<String>> {
    let mut values = Vec::new();
    let mut entries = match config.multivar(name, None) {
        Ok(entries) => entries,
        Err(error) if error.code() == git2::ErrorCode::NotFound => return Ok(values),
        Err(error) => return Err(error).with_context(|| format!("cannot read the setting {name}")),
    };
    while let Some(entry) = entries.next() {
        let entry = entry?;
        if !entry.has_value() {
            values.push("true".to_owned());
            continue;
        }
        let value = std::str::from_utf8(entry.value_bytes()).with_context(|| format!("the setting {name} is not UTF-8"))?;
        values.push(value.to_owned());
    }
    Ok(values)
}

/// Section and name do not care for case, a subsection does.
fn normal(name: &str) -> String {
    match (name.split_once('.'), name.rsplit_once('.')) {
        (Some((section, _)), Some((front, last))) => {
            let middle = front.get(section.len()..).unwrap_or_default();
            format!("{}{middle}.{}", section.to_ascii_lowercase(), last.to_ascii_lowercase())
        }
        _ => name.to_ascii_lowercase(),
    }
}

fn from_environment() -> Result<Vec<(String, String)>> {
    let mut settings = Vec::new();
    if let Ok(count) = env::var("GIT_CONFIG_COUNT") {
        let count: usize = if count.is_empty() { 0 } else { count.parse().context("GIT_CONFIG_COUNT is not a number")? };
        for n in 0..count {
            let key = env::var(format!("GIT_CONFIG_KEY_{n}")).with_context(|| format!("GIT_CONFIG_KEY_{n} is not set"))?;
            let value = env::var(format!("GIT_CONFIG_VALUE_{n}")).with_context(|| format!("GIT_CONFIG_VALUE_{n} is not set"))?;
            settings.push((normal(&key), value));
        }
    }
    if let Ok(parameters) = env::var("GIT_CONFIG_PARAMETERS") {
        let parsed = parse_parameters(&parameters).context("GIT_CONFIG_PARAMETERS is malformed")?;
        settings.extend(parsed.into_iter().map(|(key, value)| (normal(&key), value)));
    }
    Ok(settings)
}

/// What `git -c` hands down: `'key'='value'` (git ≥ 2.31) or `'key=value'`, separated by spaces.
fn parse_parameters(text: &str) -> Result<Vec<(String, String)>> {
    let mut settings = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (word, after) = unquote(rest)?;
        rest = after;
        if let Some(after) = rest.strip_prefix('=') {
            let (value, after) = if after.starts_with('\'') { unquote(after)? } else { (String::new(), after) };
            settings.push((word, value));
            rest = after;
        } else {
            let (key, value) = word.split_once('=').unwrap_or((&word, "true"));
            settings.push((key.to_owned(), value.to_owned()));
        }
        rest = rest.trim_start();
    }
    Ok(settings)
}

/// Takes one single-quoted word off; `'\''` and `'\!'` stand for the characters.
fn unquote(text: &str) -> Result<(String, &str)> {
    let mut word = String::new();
    let mut rest = text;
    loop {
        let Some(open) = rest.strip_prefix('\'') else { bail!("a quote is missing") };
        let Some((part, after)) = open.split_once('\'') else { bail!("a quote stays open") };
        word.push_str(part);
        rest = after;
        match after.strip_prefix('\\').and_then(|escaped| escaped.split_at_checked(1)) {
            Some((escaped @ ("'" | "!"), after)) if after.starts_with('\'') => {
                word.push_str(escaped);
                rest = after;
            }
            _ => return Ok((word, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_git_dash_c() {
        let parse = |text| parse_parameters(text).map_err(|_| ());
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(parse("'a.b'='c d' 'e.f'='' 'g.h'"), Ok(vec![pair("a.b", "c d"), pair("e.f", ""), pair("g.h", "true")]));
        assert_eq!(parse("'a.b=c=d'"), Ok(vec![pair("a.b", "c=d")]));
        assert_eq!(parse(r"'a.b'='it'\''s'\!'x'"), Ok(vec![pair("a.b", "it's!x")]));
        assert_eq!(parse("'a.b'="), Ok(vec![pair("a.b", "")]));
        assert_eq!(parse(""), Ok(vec![]));
        assert_eq!(parse("'a.b"), Err(()));
        assert_eq!(parse("a.b=c"), Err(()));
    }

    #[test]
    fn names_keep_the_case_of_the_subsection_only() {
        assert_eq!(normal("GPG.SSH.AllowedSignersFile"), "gpg.SSH.allowedsignersfile");
        assert_eq!(normal("Warrant.Policy"), "warrant.policy");
    }
}
