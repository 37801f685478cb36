//! Finds foreign vectors and histories. They lie outside of the project, in the folder that `WARRANT_SHARED` names.
#![allow(dead_code)] // each test uses a part of it

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// The folder `name` of the foreign data. Without `WARRANT_SHARED` the caller is to return: what it leaves out has been said.
pub(crate) fn shared(name: &str, what: &str, cases: usize) -> Option<PathBuf> {
    let Some(root) = std::env::var_os("WARRANT_SHARED") else {
        println!("skipped: {what}, {cases} cases (WARRANT_SHARED is not set)");
        return None;
    };
    let path = Path::new(&root).join(name);
    assert!(path.exists(), "WARRANT_SHARED is set, but {} is missing", path.display());
    Some(path)
}

/// Whether all of the programs can be started. Where one is missing the caller is to return, save in CI, where that fails.
pub(crate) fn programs(names: &[&str]) -> bool {
    for name in names {
        let version = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if version.is_err() {
            assert!(std::env::var_os("CI").is_none(), "`{name}` is missing, and this is CI");
            println!("skipped: `{name}` is missing");
            return false;
        }
    }
    true
}

/// What a program prints; it must succeed.
pub(crate) fn output(command: &mut Command) -> Vec<u8> {
    let output = command.stderr(Stdio::inherit()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", output.status);
    output.stdout
}

/// The rows of a tab-separated table that xz has packed.
pub(crate) fn table(path: &Path) -> Vec<Vec<String>> {
    let text = String::from_utf8(output(Command::new("xz").arg("-dc").arg(path))).unwrap();
    text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

/// The bare repository of one item of the corpus, unpacked.
pub(crate) struct Item(TempDir, String);

impl Item {
    /// Unpacks `items/NAME.tar` of the corpus.
    pub(crate) fn unpack(corpus: &Path, name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tar = corpus.join(format!("items/{name}.tar"));
        output(Command::new("tar").arg("--no-same-owner").arg("-xf").arg(tar).arg("-C").arg(dir.path()));
        Self(dir, name.to_owned())
    }

    /// The repository's folder.
    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join(&self.1)
    }

    /// The objects' kinds and contents.
    pub(crate) fn read(&self, ids: &[&str]) -> Vec<(String, Vec<u8>)> {
        let list = self.0.path().join("ids");
        std::fs::write(&list, ids.join("\n") + "\n").unwrap();
        let mut git = git(&self.0.path().join(&self.1));
        let all = output(git.args(["cat-file", "--batch"]).stdin(std::fs::File::open(list).unwrap()));
        let mut rest = all.as_slice();
        let mut objects = Vec::new();
        for id in ids {
            let line_end = rest.iter().position(|&b| b == b'\n').unwrap();
            let line = std::str::from_utf8(&rest[..line_end]).unwrap();
            let fields: Vec<&str> = line.split(' ').collect();
            let [found, kind, size] = fields[..] else { panic!("{}: git says `{line}`", self.1) };
            assert_eq!(found, *id);
            let (start, size) = (line_end + 1, size.parse::<usize>().unwrap());
            objects.push((kind.to_owned(), rest[start..start + size].to_vec()));
            rest = &rest[start + size + 1..];
        }
        objects
    }
}

/// Git on one repository, without the configuration of the machine or of the one who runs the test.
pub(crate) fn git(dir: &Path) -> Command {
    let mut command = Command::new("git");
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_NO_REPLACE_OBJECTS", "1");
    command.env("LC_ALL", "C").env("TZ", "UTC");
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT", "GIT_INDEX_FILE"] {
        command.env_remove(name);
    }
    command.arg("-C").arg(dir);
    command
}

/// A fixed sequence of numbers that look random (SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let bound = u64::try_from(bound).unwrap();
        usize::try_from((z ^ (z >> 31)) % bound).unwrap()
    }

    /// One of the things.
    pub(crate) fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// The bytes with one bit flipped.
    pub(crate) fn flipped(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = bytes.to_vec();
        out[self.below(bytes.len())] ^= 1 << self.below(8);
        out
    }
}

/// Bytes for a message.
pub(crate) fn lossy(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// A header that goes on in further lines, as git writes it.
pub(crate) fn header(name: &str, value: &str) -> String {
    format!("{name} {}\n", value.strip_suffix('\n').unwrap_or(value).replace('\n', "\n "))
}
