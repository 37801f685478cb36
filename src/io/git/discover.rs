//! Which folder git takes for a git directory (setup.c, `is_git_directory` and `validate_headref`). libgit2 asks for less, and for
//! other things, so that it could open another repository than the one that git shows.

use crate::object::ObjectId;
use std::ffi::OsStr;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// A folder around us, the nearest first, that git would take for a git directory where that is not the one that was opened: then
/// git would open this one. Where `git_dir` is none to git, that itself; where its refs and objects lie elsewhere to git than in
/// `common`, that place.
pub(super) fn another(git_dir: &Path, common: &Path) -> Option<PathBuf> {
    let opened = git_dir.canonicalize().ok()?;
    if !is_git_directory(&opened) {
        return Some(opened);
    }
    let shared = common_of(&opened);
    if !is_same(&shared, common) {
        return Some(shared);
    }
    if env::var_os("GIT_DIR").is_some() {
        return None;
    }
    let here = env::current_dir().ok()?;
    for folder in here.ancestors() {
        let dot_git = folder.join(".git");
        let named = if dot_git.is_file() { linked(&dot_git) } else { Some(dot_git).filter(|path| is_git_directory(path)) };
        if let Some(found) = named.or_else(|| Some(folder.to_owned()).filter(|path| is_git_directory(path))) {
            let found = found.canonicalize().unwrap_or(found);
            return Some(found).filter(|found| *found != opened);
        }
    }
    None // what was opened lies elsewhere, as the environment said
}

/// How a regular file begins: all of it, where it is one that names a ref or a folder.
pub(super) fn start_of(path: &Path) -> Option<Vec<u8>> {
    const MOST: u64 = 1 << 16;
    let mut text = Vec::new();
    let file = Some(path).filter(|path| path.is_file()).and_then(|path| fs::File::open(path).ok())?;
    file.take(MOST).read_to_end(&mut text).ok().map(|_| text)
}

/// Whether two paths are of one folder.
pub(super) fn is_same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// What a `.git` that is a file leads to, good or not: git looks no further.
fn linked(dot_git: &Path) -> Option<PathBuf> {
    let text = start_of(dot_git)?;
    let path = text.strip_prefix(b"gitdir: ")?;
    let end = path.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r'))? + 1;
    Some(dot_git.parent()?.join(OsStr::from_bytes(path.get(..end)?)))
}

/// Where the refs and objects of a git directory lie.
fn common_of(path: &Path) -> PathBuf {
    match start_of(&path.join("commondir")) {
        Some(text) => path.join(OsStr::from_bytes(text.trim_ascii_end())),
        None => path.to_owned(),
    }
}

fn is_git_directory(path: &Path) -> bool {
    let common = common_of(path);
    let objects = env::var_os("GIT_OBJECT_DIRECTORY").map_or_else(|| common.join("objects"), PathBuf::from);
    is_head(&path.join("HEAD")) && objects.is_dir() && common.join("refs").is_dir()
}

/// Whether a file is one that git takes for HEAD: a symbolic ref below refs/, or an id.
fn is_head(path: &Path) -> bool {
    if let Ok(target) = fs::read_link(path) {
        return target.as_os_str().as_bytes().starts_with(b"refs/");
    }
    let Some(text) = start_of(path) else { return false };
    match text.strip_prefix(b"ref:") {
        Some(name) => name.trim_ascii_start().starts_with(b"refs/"),
        None => [64, 40].iter().any(|digits| {
            text.get(..*digits).map(<[u8]>::to_ascii_lowercase).is_some_and(|digits| ObjectId::from_hex(&digits).is_some())
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        let folder = tempfile::tempdir().unwrap();
        let head = folder.path().join("HEAD");
        for (text, good) in [
            ("ref: refs/heads/main\n", true),
            ("ref:refs/heads/main", true),
            ("ref: \trefs/x", true),
            (&"0".repeat(40), true),
            (&format!("{}\n", "A".repeat(64)), true),
            ("ref: main", false),
            ("refs/heads/main", false),
            ("junk", false),
            ("", false),
            (&"0".repeat(39), false),
        ] {
            fs::write(&head, text).unwrap();
            assert_eq!(is_head(&head), good, "{text:?}");
        }
        for (target, good) in [("refs/heads/main", true), ("elsewhere", false)] {
            fs::remove_file(&head).unwrap();
            std::os::unix::fs::symlink(target, &head).unwrap();
            assert_eq!(is_head(&head), good, "{target}");
        }
    }
}
