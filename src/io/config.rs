//! Git's configuration, the reader's own: files by libgit2, one at a time; `git -c`, GIT_CONFIG_COUNT and `includeIf` by us.

mod condition;

pub use condition::Surroundings;

use anyhow::{Context as _, Result, bail};
use git2::ConfigLevel;
use std::env;
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// Files that include files that include files: git's own bound.
const MAX_DEPTH: usize = 10;

/// The configuration as git itself would see it: all settings, the one that wins last.
pub struct Config(Vec<Setting>);

struct Setting {
    /// As git writes it: section and name in lower case.
    name: Vec<u8>,
    /// Absent: the name stands without `=`.
    value: Option<Vec<u8>>,
    /// From the system, the user or the command line: what a repository cannot set.
    protected: bool,
}

impl Config {
    /// Reads the system's, the user's and the repository's files, and the environment.
    ///
    /// # Errors
    /// Where a file or a variable is malformed, or includes something that we cannot tell whether git would read.
    pub fn load(place: &Surroundings<'_>) -> Result<Self> {
        let mut reader = Reader { place, remotes: Vec::new(), settings: Vec::new(), asks_remotes: false };
        reader.all()?;
        if reader.asks_remotes {
            let is_url = |setting: &Setting| setting.name.starts_with(b"remote.") && setting.name.ends_with(b".url");
            let urls = reader.settings.into_iter().filter(is_url);
            let remotes = urls.filter_map(|setting| setting.value).collect();
            reader = Reader { place, remotes, settings: Vec::new(), asks_remotes: false };
            reader.all()?;
        }
        Ok(Self(reader.settings))
    }

    /// Reads the system's and the user's files, and the environment: what git sees outside of a repository.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn of_user() -> Result<Self> {
        Self::load(&Surroundings { common_dir: None, git_dir: None, branch: None })
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
        values_of(&self.0, name, |_| true)
    }

    /// The value of a setting that the repository must not choose.
    ///
    /// # Errors
    /// Where the value is not UTF-8.
    pub fn get_protected(&self, name: &str) -> Result<Option<String>> {
        Ok(values_of(&self.0, name, |setting| setting.protected)?.pop())
    }
}

/// Whether the command line or the environment sets something.
pub fn is_in_command(name: &str) -> bool {
    let name = normal(name);
    from_environment().is_ok_and(|settings| settings.iter().any(|(key, _)| *key == name))
}

fn values_of(settings: &[Setting], name: &str, which: fn(&Setting) -> bool) -> Result<Vec<String>> {
    let key = normal(name);
    let ours = settings.iter().filter(|setting| setting.name == key.as_bytes() && which(setting));
    let text = |setting: &Setting| match &setting.value {
        None => Ok("true".to_owned()),
        Some(value) => String::from_utf8(value.clone()).with_context(|| format!("the setting {name} is not UTF-8")),
    };
    ours.map(text).collect()
}

struct Reader<'a> {
    place: &'a Surroundings<'a>,
    /// The URLs that `hasconfig:remote.*.url:` looks at.
    remotes: Vec<Vec<u8>>,
    settings: Vec<Setting>,
    /// Whether a condition looks at them.
    asks_remotes: bool,
}

impl Reader<'_> {
    fn all(&mut self) -> Result<()> {
        for path in user_files()? {
            self.file(&path, true, 0)?;
        }
        if let (Some(common_dir), Some(git_dir)) = (self.place.common_dir, self.place.git_dir) {
            let own = common_dir.join("config");
            self.file(&own, false, 0)?;
            if has_worktree_config(&own)? {
                self.file(&git_dir.join("config.worktree"), false, 0)?;
            }
        }
        for (name, value) in from_environment()? {
            let (name, value) = (name.into_bytes(), value.into_bytes());
            self.settings.push(Setting { name: name.clone(), value: Some(value.clone()), protected: true });
            let included = if name == b"include.path" {
                Some(included(None, &value).with_context(|| format!("include.path = {}", String::from_utf8_lossy(&value)))?)
            } else {
                self.included_if(&name, Some(&value), None)?
            };
            if let Some(path) = included {
                self.file(&path, true, 1)?;
            }
        }
        Ok(())
    }

    /// Reads a file, if there is one; what it includes on a condition stands where it is included, as all else does.
    fn file(&mut self, path: &Path, protected: bool, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            bail!("{} is included by files that are included by files, {depth} deep", path.display());
        }
        if !is_there(path)? {
            return Ok(());
        }
        let mut config = git2::Config::new()?;
        let cannot = || format!("cannot read {}", path.display());
        config.add_file(path, ConfigLevel::Local, false).with_context(cannot)?;
        let mut entries = config.entries(None).with_context(cannot)?;
        // where each entry stands: libgit2 follows `include.path`, and says only how deep it is
        let mut files = vec![path.to_owned()];
        while let Some(entry) = entries.next() {
            let entry = entry.with_context(cannot)?;
            let within = usize::try_from(entry.include_depth())?;
            files.truncate(within + 1);
            let file = files.get(within).with_context(|| format!("what {} includes cannot be followed", path.display()))?;
            let name = entry.name_bytes().to_vec();
            let value = entry.has_value().then(|| entry.value_bytes().to_vec());
            self.settings.push(Setting { name: name.clone(), value: value.clone(), protected });
            if name == b"include.path" {
                let value = value.with_context(|| format!("include.path of {} has no value", file.display()))?;
                let next = included(Some(file), &value).with_context(|| format!("include.path of {}", file.display()))?;
                is_there(&next)?;
                files.push(next);
            } else if let Some(next) = self.included_if(&name, value.as_deref(), Some(file))? {
                self.file(&next, protected, depth + within + 1)?;
            }
        }
        Ok(())
    }

    /// The file that an `includeIf` names, where its condition holds.
    fn included_if(&mut self, name: &[u8], value: Option<&[u8]>, file: Option<&Path>) -> Result<Option<PathBuf>> {
        let Some(condition) = name.strip_prefix(b"includeif.").and_then(|rest| rest.strip_suffix(b".path")) else {
            return Ok(None);
        };
        self.asks_remotes |= condition.starts_with(b"hasconfig:");
        let remotes: Vec<&[u8]> = self.remotes.iter().map(Vec::as_slice).collect();
        let found = condition::holds(condition, file, self.place, &remotes)
            .and_then(|holds| if holds { included(file, value.context("it has no value")?).map(Some) } else { Ok(None) });
        found.with_context(|| {
            let place = file.map_or_else(|| "the command line".to_owned(), |file| file.display().to_string());
            let condition = String::from_utf8_lossy(condition);
            format!(
                "includeIf \"{condition}\" of {place} cannot be followed, and what it includes must not be passed over; include that file without a condition, or take the condition out"
            )
        })
    }
}

/// `extensions.worktreeConfig`, which git takes from the repository's own file alone, whatever that includes.
fn has_worktree_config(path: &Path) -> Result<bool> {
    if !is_there(path)? {
        return Ok(false);
    }
    let mut config = git2::Config::new()?;
    config.add_file(path, ConfigLevel::Local, false)?;
    let mut entries = config.entries(None)?;
    let mut last = false;
    while let Some(entry) = entries.next() {
        let entry = entry?;
        if entry.include_depth() == 0 && entry.name_bytes() == b"extensions.worktreeconfig" {
            let value =
                if entry.has_value() { String::from_utf8_lossy(entry.value_bytes()).into_owned() } else { "true".to_owned() };
            last = git2::Config::parse_bool(value.as_str()).context("extensions.worktreeConfig is neither true nor false")?;
        }
    }
    Ok(last)
}

/// The path that an include names: relative to the file that names it.
fn included(file: Option<&Path>, value: &[u8]) -> Result<PathBuf> {
    let text = String::from_utf8_lossy(value);
    if let Some(rest) = value.strip_prefix(b"~/") {
        let home = env::var_os("HOME").with_context(|| format!("HOME is not set, so `{text}` cannot be expanded"))?;
        return Ok(Path::new(&home).join(OsStr::from_bytes(rest)));
    }
    if value.starts_with(b"~") || value.starts_with(b"%(prefix)") {
        bail!("`{text}`: only `~/` is expanded; write the path in full");
    }
    let path = Path::new(OsStr::from_bytes(value));
    match file {
        _ if path.is_absolute() => Ok(path.to_owned()),
        Some(file) => Ok(file.parent().unwrap_or(Path::new("")).join(path)),
        None => bail!("`{text}` is relative, and in no file that it could be relative to; write the path in full"),
    }
}

/// Whether there is a file; git reads pipes as well, which libgit2 would take for empty.
fn is_there(path: &Path) -> Result<bool> {
    match path.metadata() {
        Ok(metadata) if metadata.is_file() => Ok(true),
        Ok(_) if path.canonicalize().is_ok_and(|real| real == Path::new("/dev/null")) => Ok(false),
        Ok(_) => bail!("the configuration {} is not a regular file; write it to one", path.display()),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn user_files() -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let no_system = match text_of("GIT_CONFIG_NOSYSTEM")?.filter(|value| !value.is_empty()) {
        Some(value) => git2::Config::parse_bool(value.as_str())
            .map_err(|_| anyhow::anyhow!("GIT_CONFIG_NOSYSTEM is `{value}`, which is neither true nor false"))?,
        None => false,
    };
    let named = |name: &str| env::var_os(name).map(PathBuf::from);
    if no_system {
    } else if let Some(path) = named("GIT_CONFIG_SYSTEM") {
        files.extend(Some(path).filter(|path| !path.as_os_str().is_empty())); // set but empty, it names no file
    } else {
        files.extend(git2::Config::find_system().ok());
    }
    if let Some(path) = named("GIT_CONFIG_GLOBAL") {
        files.push(path);
    } else {
        let home = named("HOME").filter(|path| !path.as_os_str().is_empty());
        // set but empty is as good as not set, as git has it
        let folder = named("XDG_CONFIG_HOME").filter(|path| !path.as_os_str().is_empty());
        files.extend(folder.or_else(|| home.as_ref().map(|home| home.join(".config"))).map(|folder| folder.join("git/config")));
        files.extend(home.map(|home| home.join(".gitconfig")));
    }
    // git reads it from the top of the work tree, wherever it was called
    if let Some(relative) = files.iter().find(|path| path.is_relative() && !path.as_os_str().is_empty()) {
        bail!("the configuration {} is named by a relative path; name it in full", relative.display());
    }
    Ok(files)
}

/// A variable; one that is not UTF-8 is an error, for it cannot be passed over.
fn text_of(name: &str) -> Result<Option<String>> {
    let text = |value: OsString| value.into_string().map_err(|_| anyhow::anyhow!("{name} is not UTF-8; set it anew, or unset it"));
    env::var_os(name).map(text).transpose()
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
    if let Some(count) = text_of("GIT_CONFIG_COUNT")? {
        let count: usize = if count.is_empty() { 0 } else { count.parse().context("GIT_CONFIG_COUNT is not a number")? };
        for n in 0..count {
            let part = |what| {
                let name = format!("GIT_CONFIG_{what}_{n}");
                text_of(&name)?.with_context(|| format!("{name} is not set"))
            };
            let (key, value) = (part("KEY")?, part("VALUE")?);
            settings.push((normal(&key), value));
        }
    }
    let parameters = text_of("GIT_CONFIG_PARAMETERS").context("a setting of git -c is not UTF-8")?;
    if let Some(parameters) = parameters {
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
