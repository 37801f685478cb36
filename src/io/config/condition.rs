//! The conditions of `includeIf`, as git-config(1) has them.

use anyhow::{Context as _, Result, bail};
use std::env;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// What conditions are asked of.
pub struct Surroundings<'a> {
    /// The git directory that all work trees share; `None` outside of a repository.
    pub common_dir: Option<&'a Path>,
    /// The git directory of this work tree.
    pub git_dir: Option<&'a Path>,
    /// The branch that is checked out, less `refs/heads/`.
    pub branch: Option<Vec<u8>>,
}

/// Whether a condition, the part between `includeIf.` and `.path`, holds. `file` is where it stands; `remotes` are the URLs
/// that are configured.
pub(super) fn holds(condition: &[u8], file: Option<&Path>, place: &Surroundings<'_>, remotes: &[&[u8]]) -> Result<bool> {
    if condition.contains(&b'[') {
        bail!("`[` in a pattern is not read by this version");
    }
    if let Some(pattern) = condition.strip_prefix(b"gitdir:") {
        return in_git_dir(pattern, file, place, false);
    }
    if let Some(pattern) = condition.strip_prefix(b"gitdir/i:") {
        return in_git_dir(pattern, file, place, true);
    }
    if let Some(pattern) = condition.strip_prefix(b"onbranch:") {
        return Ok(place.branch.as_ref().is_some_and(|branch| matches(&folder(pattern.to_vec()), branch, false)));
    }
    if let Some(pattern) = condition.strip_prefix(b"hasconfig:remote.*.url:") {
        return Ok(remotes.iter().any(|url| matches(pattern, url, false)));
    }
    bail!("this version does not know the condition")
}

fn in_git_dir(pattern: &[u8], file: Option<&Path>, place: &Surroundings<'_>, fold: bool) -> Result<bool> {
    // what stands before the pattern is taken as it is
    let (literal, rest) = if let Some(rest) = pattern.strip_prefix(b"~/") {
        let home = env::var_os("HOME").context("HOME is not set, so `~/` cannot be expanded")?;
        let home = Path::new(&home).canonicalize().context("the home of `~/` cannot be found")?;
        (home, [b"/", rest].concat())
    } else if let Some(rest) = pattern.strip_prefix(b"./") {
        let file = file.context("`./` stands for the folder of a file, and the condition is in none")?.canonicalize()?;
        (file.parent().map(Path::to_owned).unwrap_or_default(), [b"/", rest].concat())
    } else if pattern.starts_with(b"~") {
        bail!("only `~/` is expanded, not `~user/`");
    } else if pattern.starts_with(b"/") {
        (PathBuf::new(), pattern.to_vec())
    } else {
        (PathBuf::new(), [b"**/", pattern].concat())
    };
    let literal = literal.as_os_str().as_bytes();
    let rest = folder(rest);
    let Some(git_dir) = place.git_dir else { return Ok(false) };
    Ok(names(git_dir)?.iter().any(|name| {
        let Some((front, back)) = name.as_os_str().as_bytes().split_at_checked(literal.len()) else { return false };
        let same = if fold { front.eq_ignore_ascii_case(literal) } else { front == literal };
        same && matches(&rest, back, fold)
    }))
}

/// The names of the git directory: the real one, and those by which the caller came to it, through symbolic links.
fn names(git_dir: &Path) -> Result<Vec<PathBuf>> {
    let real = git_dir.canonicalize().with_context(|| format!("cannot read {}", git_dir.display()))?;
    let mut candidates = Vec::new();
    if let Some(here) = env::var_os("PWD").map(PathBuf::from).filter(|here| here.is_absolute()) {
        candidates.extend(env::var_os("GIT_DIR").map(|named| here.join(named)));
        candidates.extend(here.ancestors().flat_map(|folder| [folder.join(".git"), folder.to_owned()]));
    }
    candidates.retain(|candidate| candidate.canonicalize().is_ok_and(|path| path == real));
    candidates.push(real);
    Ok(candidates)
}

/// A pattern that ends in `/` stands for all below it.
fn folder(mut pattern: Vec<u8>) -> Vec<u8> {
    if pattern.ends_with(b"/") {
        pattern.extend_from_slice(b"**");
    }
    pattern
}

/// Git's wildmatch for paths: `*` and `?` stop at `/`, a `**` that is a whole part of the path does not.
fn matches(pattern: &[u8], text: &[u8], fold: bool) -> bool {
    matches_from(pattern, true, text, fold)
}

fn matches_from(pattern: &[u8], at_start: bool, text: &[u8], fold: bool) -> bool {
    let Some((&first, rest)) = pattern.split_first() else { return text.is_empty() };
    match first {
        b'*' => {
            let stars = pattern.iter().take_while(|&&b| b == b'*').count();
            let rest = pattern.get(stars..).unwrap_or_default();
            let deep = stars > 1 && at_start && (rest.is_empty() || rest.starts_with(b"/"));
            if deep && rest.strip_prefix(b"/").is_some_and(|rest| matches_from(rest, true, text, fold)) {
                return true;
            }
            let end = if deep { None } else { text.iter().position(|&b| b == b'/') };
            (0..=end.unwrap_or(text.len())).any(|n| matches_from(rest, false, text.get(n..).unwrap_or_default(), fold))
        }
        b'?' => text.split_first().is_some_and(|(&b, text)| b != b'/' && matches_from(rest, false, text, fold)),
        _ => {
            let (want, rest) = match (first, rest.split_first()) {
                (b'\\', Some((&escaped, rest))) => (escaped, rest),
                _ => (first, rest),
            };
            text.split_first().is_some_and(|(&b, text)| {
                (b == want || fold && b.eq_ignore_ascii_case(&want)) && matches_from(rest, want == b'/', text, fold)
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildmatch_as_git_has_it() {
        for (pattern, text, want) in [
            ("/a/b", "/a/b", true),
            ("/a/*", "/a/b", true),
            ("/a/*", "/a/b/c", false),
            ("/a/**", "/a/b/c", true),
            ("/a/**", "/a", false),
            ("**/b/**", "/a/b/c", true),
            ("**/b/**", "/a/xb/c", false),
            ("**/.git", "/a/b/.git", true),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("a**b", "a/b", false),
            ("a**b", "axxb", true),
            ("?", "/", false),
            ("a?c", "abc", true),
            (r"a\*c", "a*c", true),
            (r"a\*c", "abc", false),
            ("A", "a", false),
            ("https://h/**", "https://h/a/b", true),
            ("", "", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes(), false), want, "{pattern} {text}");
        }
        assert!(matches(b"/A/**", b"/a/B", true));
    }
}
