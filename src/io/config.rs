//! Git's configuration, the reader's own: files by libgit2, `git -c` and GIT_CONFIG_COUNT by us (libgit2 reads neither).

use anyhow::{Context as _, Result, bail};
use git2::ConfigLevel;
use std::env;
use std::path::{Path, PathBuf};

/// The configuration as git itself would see it.
pub struct Config {
    /// One a level, the one that wins last.
    levels: Vec<(ConfigLevel, git2::Config)>,
    /// From the environment, later ones win.
    command: Vec<(String, String)>,
}

impl Config {
    /// Reads the system's, the user's and the repository's files, and the environment.
    ///
    /// # Errors
    /// Where a file or a variable is malformed, or includes something on a condition that cannot be tested here: a setting
    /// that is passed over could be the one that rejects.
    pub fn load(repository: &git2::Repository) -> Result<Self> {
        let whole = repository.config().context("cannot read git's configuration")?;
        let mut levels = Vec::new();
        for level in LEVELS {
            // libgit2 tests the conditions of the files that it finds itself
            let found = match named_by_environment(level)? {
                Named::Nothing => None,
                Named::File(path) => Some(read_named(&path, level)?),
                Named::ByGit => whole.open_level(level).ok(),
            };
            levels.extend(found.map(|config| (level, config)));
        }
        let config = Self { levels, command: from_environment()? };
        config.refuse_untested_conditions()?;
        Ok(config)
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
        let mut values = Vec::new();
        for (_, config) in &self.levels {
            values.extend(values_of(config, name)?);
        }
        values.extend(self.in_command(name));
        Ok(values)
    }

    /// The value of a setting that the repository must not choose.
    ///
    /// # Errors
    /// Where the value is not UTF-8.
    pub fn get_protected(&self, name: &str) -> Result<Option<String>> {
        let mut value = None;
        for (_, config) in self.levels.iter().filter(|(level, _)| !matches!(level, ConfigLevel::Local | ConfigLevel::Worktree)) {
            value = values_of(config, name)?.pop().or(value);
        }
        Ok(self.in_command(name).last().or(value))
    }

    fn in_command(&self, name: &str) -> impl Iterator<Item = String> {
        let name = normal(name);
        self.command.iter().filter(move |(key, _)| *key == name).map(|(_, value)| value.clone())
    }

    /// libgit2 passes over the conditions of `includeIf` that it does not know.
    fn refuse_untested_conditions(&self) -> Result<()> {
        const TESTED: [&str; 3] = ["gitdir:", "gitdir/i:", "onbranch:"];
        for (level, config) in &self.levels {
            for condition in conditions(config)? {
                let by_name = matches!(named_by_environment(*level)?, Named::File(_));
                if by_name || !TESTED.iter().any(|known| condition.starts_with(known)) {
                    bail!(
                        "git's configuration includes a file on the condition `{condition}`, which cannot be tested here, and what it sets must not be passed over: include it without a condition, or give the settings with git -c"
                    );
                }
            }
        }
        Ok(())
    }
}

/// In the order in which git reads them.
const LEVELS: [ConfigLevel; 5] =
    [ConfigLevel::System, ConfigLevel::XDG, ConfigLevel::Global, ConfigLevel::Local, ConfigLevel::Worktree];

/// What the environment says of the files of a level.
enum Named {
    /// Nothing: where git keeps them.
    ByGit,
    /// None is read.
    Nothing,
    /// This file.
    File(PathBuf),
}

fn named_by_environment(level: ConfigLevel) -> Result<Named> {
    let named = |name: &str| env::var_os(name).map(PathBuf::from);
    let file = match level {
        ConfigLevel::System => {
            let off = env::var_os("GIT_CONFIG_NOSYSTEM");
            if off.is_some_and(|value| !["", "0", "false", "no", "off"].iter().any(|no| value.eq_ignore_ascii_case(no))) {
                return Ok(Named::Nothing);
            }
            named("GIT_CONFIG_SYSTEM").filter(|path| !path.as_os_str().is_empty())
        }
        // git reads it in place of both of the user's files
        ConfigLevel::XDG if named("GIT_CONFIG_GLOBAL").is_some() => return Ok(Named::Nothing),
        ConfigLevel::Global => named("GIT_CONFIG_GLOBAL"),
        _ => None,
    };
    let Some(path) = file else { return Ok(Named::ByGit) };
    let usual = git2::Config::find_global().ok().filter(|_| matches!(level, ConfigLevel::Global));
    if usual.is_some_and(|usual| usual == path) {
        return Ok(Named::ByGit); // the file that would be read anyway, with its conditions tested
    }
    match path.metadata() {
        Ok(metadata) if metadata.is_file() => Ok(Named::File(path)),
        Ok(_) if path != Path::new("/dev/null") => {
            bail!("the configuration {} is not a regular file, and is not passed over; copy it into one", path.display())
        }
        _ => Ok(Named::Nothing),
    }
}

fn read_named(path: &Path, level: ConfigLevel) -> Result<git2::Config> {
    let mut config = git2::Config::new()?;
    config.add_file(path, level, false).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(config)
}

/// The conditions of all `includeIf`s.
fn conditions(config: &git2::Config) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut entries = config.entries(Some("^includeif\\."))?;
    while let Some(entry) = entries.next() {
        let name = String::from_utf8_lossy(entry?.name_bytes()).into_owned();
        let condition = name.get("includeif.".len()..).and_then(|rest| rest.strip_suffix(".path"));
        found.extend(condition.map(str::to_owned));
    }
    Ok(found)
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
    if let Some(count) = variable("GIT_CONFIG_COUNT")?.filter(|count| !count.is_empty()) {
        let count: usize = count.parse().context("GIT_CONFIG_COUNT is not a number")?;
        for n in 0..count {
            let [key, value] = [format!("GIT_CONFIG_KEY_{n}"), format!("GIT_CONFIG_VALUE_{n}")];
            let get = |name: &str| variable(name)?.with_context(|| format!("{name} is not set"));
            settings.push((normal(&get(&key)?), get(&value)?));
        }
    }
    if let Some(parameters) = variable("GIT_CONFIG_PARAMETERS")? {
        let parsed = parse_parameters(&parameters).context("GIT_CONFIG_PARAMETERS is malformed")?;
        settings.extend(parsed.into_iter().map(|(key, value)| (normal(&key), value)));
    }
    if let Some((name, _)) = settings.iter().find(|(name, _)| name == "include.path" || name.starts_with("includeif.")) {
        bail!("`git -c {name}=…` is not followed here, and not passed over: give the settings themselves with git -c");
    }
    Ok(settings)
}

fn variable(name: &str) -> Result<Option<String>> {
    let Some(value) = env::var_os(name) else { return Ok(None) };
    let text = value.into_string().ok().with_context(|| format!("{name} is not UTF-8, and is not passed over"))?;
    Ok(Some(text))
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
