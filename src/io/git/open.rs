//! Which repository is opened: what git would open here, its work tree and its object stores.

use super::Inner;
use crate::io::config::is_in_command;
use crate::report::escape::shell_word;
use anyhow::{Context as _, Result};
use git2::ErrorCode;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Why a repository cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// None is here.
    #[error("not a git repository (or any of the parent directories); run this inside one, or name it with GIT_DIR or `git -C`")]
    NotFound,
    /// It belongs to somebody else.
    #[error(
        "the repository belongs to another user, and git trusts only your own; if you trust it: git config --global --add safe.directory {0}"
    )]
    Owner(String),
    /// It needs something that we cannot read.
    #[error("the repository cannot be read: {0}")]
    Unsupported(String),
}

/// Opens what git would open here, with the work tree that git would take: where it lies decides whether a policy lies in it.
pub(super) fn open_here() -> Result<Inner> {
    let named_tree = env::var_os("GIT_WORK_TREE").filter(|tree| !tree.is_empty());
    let repository = match (&named_tree, env::var_os("GIT_DIR")) {
        (None, None) => {
            let repository = Inner::open_from_env().map_err(open_error)?;
            if let Some(top) = repository.is_worktree().then(folder_of_dot_git).flatten() {
                // where it was moved by hand, its git directory still names the old place
                repository.set_workdir(&top, false).map_err(open_error)?;
            }
            return Ok(repository);
        }
        (None, Some(_)) if !environment_is_true("GIT_IMPLICIT_WORK_TREE") => open_without_tree()?,
        (None, Some(_)) => Inner::open_from_env().map_err(open_error)?,
        // libgit2 passes the work tree over where the repository is bare, and takes a relative one to start from the git directory
        (Some(_), _) => open_without_tree()?,
    };
    let is_configured = || !repository.is_worktree() && repository.config().is_ok_and(|all| all.get_entry("core.worktree").is_ok());
    let tree = match named_tree {
        Some(tree) => PathBuf::from(tree),
        // in a hook, which stands in the git directory, libgit2 takes the folder above for the work tree, whatever that is
        None if !repository.is_bare() && !is_configured() && !repository.is_worktree() && is_within_odd(repository.commondir()) => {
            return Ok(open_without_tree()?);
        }
        // GIT_DIR alone makes the current folder the work tree, as in git; not so in a hook, which stands in the git directory
        None if !repository.is_bare() && !is_configured() && !is_within(repository.commondir()) => PathBuf::from("."),
        None => return Ok(repository),
    };
    let tree = env::current_dir()?
        .join(&tree)
        .canonicalize()
        .with_context(|| format!("the work tree {} cannot be found", tree.display()))?;
    repository.set_workdir(&tree, false).map_err(open_error)?;
    Ok(repository)
}

/// Whether we stand in a folder, or below it.
fn is_within(folder: &Path) -> bool {
    let here = env::current_dir().and_then(|here| here.canonicalize());
    here.is_ok_and(|here| folder.canonicalize().is_ok_and(|folder| here.starts_with(folder)))
}

/// The same of a git directory that is not called `.git`.
fn is_within_odd(folder: &Path) -> bool {
    is_within(folder) && folder.canonicalize().is_ok_and(|folder| folder.file_name().is_none_or(|name| name != ".git"))
}

/// Opens what the environment names, as if it were bare.
fn open_without_tree() -> Result<Inner, OpenError> {
    use git2::RepositoryOpenFlags as Flags;
    let ceilings = env::var_os("GIT_CEILING_DIRECTORIES").unwrap_or_default();
    let git_dir = match env::var_os("GIT_DIR") {
        Some(git_dir) => PathBuf::from(git_dir),
        None => Inner::discover_path(".", env::split_paths(&ceilings)).map_err(open_error)?,
    };
    let flags = Flags::NO_SEARCH | Flags::NO_DOTGIT | Flags::FROM_ENV | Flags::BARE;
    Inner::open_ext(git_dir, flags, [""; 0]).map_err(open_error)
}

/// The folder around us in which git finds a `.git` that is a file.
fn folder_of_dot_git() -> Option<PathBuf> {
    let here = env::current_dir().ok()?;
    let folder = here.ancestors().find(|folder| folder.join(".git").exists())?;
    folder.join(".git").is_file().then(|| folder.to_owned())
}

/// A boolean of the environment, true where it is not set.
fn environment_is_true(name: &str) -> bool {
    let value = env::var_os(name).and_then(|value| value.into_string().ok());
    value.is_none_or(|value| git2::Config::parse_bool(value).unwrap_or(true))
}

/// The git directory that all work trees share, of the one to which a folder's `.git` leads: the directory itself, or the file
/// that git leaves in a linked work tree, or where the git directory lies elsewhere.
pub(super) fn common_dir_of(dot_git: &Path) -> Option<PathBuf> {
    let mut git_dir = dot_git.to_owned();
    if dot_git.is_file() {
        let text = fs::read_to_string(dot_git).ok()?;
        git_dir = dot_git.parent()?.join(text.strip_prefix("gitdir:")?.trim());
    }
    let common = fs::read_to_string(git_dir.join("commondir")).ok();
    common.map_or_else(|| git_dir.clone(), |common| git_dir.join(common.trim_end())).canonicalize().ok()
}

/// Git quotes the path of an object store where it holds a colon or a quote, in the environment and in `objects/info/alternates`;
/// libgit2 takes neither for quoted, and would miss the objects that a push builds on.
pub(super) fn add_quoted_alternates(repository: &Inner) -> Result<()> {
    let objects = env::var_os("GIT_OBJECT_DIRECTORY").map_or_else(|| repository.commondir().join("objects"), PathBuf::from);
    let named = env::var_os("GIT_ALTERNATE_OBJECT_DIRECTORIES").map(OsString::into_vec).unwrap_or_default();
    let listed = fs::read(objects.join("info/alternates")).unwrap_or_default();
    let lines = listed.split(|&byte| byte == b'\n').filter(|line| line.starts_with(b"\""));
    let listed = lines.flat_map(quoted_paths).map(|path| objects.join(OsString::from_vec(path)));
    let quoted = quoted_paths(&named).into_iter().map(|path| PathBuf::from(OsString::from_vec(path))).chain(listed);
    for path in quoted {
        let text = path
            .to_str()
            .with_context(|| format!("the object store {} has a name that is not UTF-8, and cannot be read", path.display()))?;
        repository.odb()?.add_disk_alternate(text).with_context(|| format!("cannot read the object store {text}"))?;
    }
    Ok(())
}

/// The entries of a path list that are quoted as git quotes them (C style).
fn quoted_paths(list: &[u8]) -> Vec<Vec<u8>> {
    let mut paths = Vec::new();
    let mut rest = list;
    while !rest.is_empty() {
        let Some(quoted) = rest.strip_prefix(b"\"") else {
            rest = rest.iter().position(|&byte| byte == b':').and_then(|colon| rest.get(colon + 1..)).unwrap_or_default();
            continue;
        };
        let mut bytes = Vec::new();
        let mut characters = quoted.iter().copied().enumerate();
        let mut end = quoted.len();
        while let Some((at, byte)) = characters.next() {
            match byte {
                b'"' => {
                    end = at + 1;
                    break;
                }
                b'\\' => match characters.next().map(|(_, escaped)| escaped) {
                    Some(b'n') => bytes.push(b'\n'),
                    Some(b't') => bytes.push(b'\t'),
                    Some(first @ b'0'..=b'3') => {
                        let digits = [Some(first), characters.next().map(|it| it.1), characters.next().map(|it| it.1)];
                        let octal =
                            digits.iter().flatten().fold(0u8, |n, digit| n.wrapping_mul(8) | (digit.wrapping_sub(b'0') & 7));
                        bytes.push(octal);
                    }
                    Some(other) => bytes.push(other),
                    None => {}
                },
                byte => bytes.push(byte),
            }
        }
        paths.push(bytes);
        rest = quoted.get(end..).unwrap_or_default();
        rest = rest.strip_prefix(b":").unwrap_or(rest);
    }
    paths
}

fn open_error(error: git2::Error) -> OpenError {
    match error.code() {
        ErrorCode::NotFound => OpenError::NotFound,
        ErrorCode::Owner => {
            let directory = shell_word(&safe_directory().display().to_string());
            // libgit2 asks the files only, and to overrule it takes unsafe code
            OpenError::Owner(if is_in_command("safe.directory") {
                format!(
                    "{directory} (what git -c and GIT_CONFIG_COUNT set does not count here; where your own file cannot be written, let GIT_CONFIG_GLOBAL name another)"
                )
            } else {
                directory
            })
        }
        _ => OpenError::Unsupported(match error.message().split_once("unsupported extension name extensions.") {
            Some((_, name)) => unsupported_extension(name),
            None => error.message().to_owned(),
        }),
    }
}

fn unsupported_extension(name: &str) -> String {
    let (what, mend) = match name {
        "refstorage" => (
            "it keeps its refs in a reftable (extensions.refStorage)".to_owned(),
            "git refs migrate --ref-format=files, or judge a clone that keeps them in files",
        ),
        "partialclone" => {
            ("it is a partial clone (extensions.partialClone)".to_owned(), "judge a complete clone: git clone without --filter")
        }
        "compatobjectformat" => {
            ("it has two hash functions (extensions.compatObjectFormat)".to_owned(), "judge a clone that has one: git clone")
        }
        _ => (format!("it has the extension extensions.{name}"), "judge a clone that lacks it: git clone"),
    };
    format!("{what}, which this version does not read; {mend}")
}

/// What `safe.directory` has to name: the top of the work tree, of a bare repository the git directory.
fn safe_directory() -> PathBuf {
    let git_dir = env::var_os("GIT_DIR").map(PathBuf::from).or_else(|| Inner::discover_path(".", [""; 0]).ok());
    let Some(git_dir) = git_dir.and_then(|path| path.canonicalize().ok()) else { return PathBuf::from(".") };
    let linked = fs::read_to_string(git_dir.join("gitdir")).ok().map(|link| PathBuf::from(link.trim_end()));
    let git_file = linked.unwrap_or_else(|| git_dir.clone());
    match git_file.parent() {
        Some(top) if env::var_os("GIT_WORK_TREE").is_none() && git_file.file_name().is_some_and(|name| name == ".git") => {
            top.to_owned()
        }
        _ => git_dir,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_paths_are_taken_whole() {
        let quoted =
            |list: &str| quoted_paths(list.as_bytes()).into_iter().map(|path| String::from_utf8(path).unwrap()).collect::<Vec<_>>();
        assert_eq!(quoted("/plain:/other"), [""; 0]);
        assert_eq!(quoted("\"/a:b/objects\":/plain:\"/c\\\"d\\303\\251\""), ["/a:b/objects", "/c\"dé"]);
        assert_eq!(quoted("\"/open"), ["/open"]);
        assert_eq!(quoted_paths(b"\"/\\377\""), [b"/\xff"]);
    }
}
