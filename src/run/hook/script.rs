//! The script that `hook install` writes: what stands in it, and how it is known again.

use crate::io::hooks::FORMER;
use crate::report::escape::printable;
use sha2::{Digest as _, Sha256};

/// How every script of ours begins; the hash of all the rest follows.
const HEAD: &[u8] = b"#!/bin/sh\n# Made by git warrant hook install; git warrant hook uninstall takes it out. sha256 ";

/// The line that tells our scripts, also where they were edited.
const MARK: &[u8] = b"# Made by git warrant hook install;";

/// What a script says.
pub(super) struct Script<'a> {
    /// The program's absolute path.
    pub(super) program: &'a [u8],
    /// The options of `hook pre-receive`.
    pub(super) options: &'a [String],
    /// Whether the former hook is run after.
    pub(super) chained: bool,
}

/// Who wrote a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Somebody else.
    Foreign,
    /// `hook install`; `chained` where it runs a former hook.
    Ours { chained: bool },
    /// `hook install`, and then somebody changed it.
    Edited { chained: bool },
}

impl Script<'_> {
    /// The file's bytes. It refuses every push where the program, or the former hook, cannot be run.
    pub(super) fn text(&self) -> Vec<u8> {
        let mut rest = b"\n# Refuses pushes that the policy does not allow.\nwarrant=".to_vec();
        rest.extend(quoted(self.program));
        rest.extend(guard("warrant", &printable(&String::from_utf8_lossy(self.program))));
        if self.chained {
            rest.extend(format!("former=${{0%/*}}/{FORMER}").bytes());
            rest.extend(guard("former", FORMER));
            rest.extend(b"updates=$(cat) || exit\n");
            rest.extend(self.call());
            rest.extend(b" <<END_OF_UPDATES || exit\n$updates\nEND_OF_UPDATES\n");
            rest.extend(b"exec \"$former\" \"$@\" <<END_OF_UPDATES\n$updates\nEND_OF_UPDATES\n");
        } else {
            rest.extend(b"exec ");
            rest.extend(self.call());
            rest.push(b'\n');
        }
        [HEAD, digest(&rest).as_bytes(), &rest].concat()
    }

    fn call(&self) -> Vec<u8> {
        let options = self.options.iter().flat_map(|option| [b" ".to_vec(), quoted(option.as_bytes())]);
        options.fold(b"\"$warrant\" hook pre-receive".to_vec(), |call, word| [call, word].concat())
    }
}

/// Who wrote a file that stands in the hook's place.
pub(super) fn origin(text: &[u8]) -> Origin {
    let chained = text.split(|&byte| byte == b'\n').any(|line| line.starts_with(b"former="));
    let whole = text.strip_prefix(HEAD).and_then(|rest| rest.split_at_checked(64));
    if whole.is_some_and(|(hash, rest)| hash == digest(rest).as_bytes()) {
        return Origin::Ours { chained };
    }
    let marked = text.split(|&byte| byte == b'\n').any(|line| line.starts_with(MARK));
    if marked { Origin::Edited { chained } } else { Origin::Foreign }
}

/// The first line, counted from 1, in which a script seems to ask for the name that it was called by. Its folder it may ask
/// for: that stays.
pub(super) fn asks_for_its_name(text: &[u8]) -> Option<usize> {
    const NAMES: [&str; 9] =
        ["$0", "${0", "BASH_SOURCE", "__file__", "__FILE__", "__filename", "argv[0]", "process.argv", "PROGRAM_NAME"];
    const FOLDERS: [&str; 4] = ["dirname", "%/*", ".parent", "__dir__"];
    if !text.starts_with(b"#!") && text.contains(&0) {
        return None; // a program, which cannot be read
    }
    let text = String::from_utf8_lossy(text);
    let asks = |line: &str| {
        !line.trim_start().starts_with('#')
            && NAMES.iter().any(|name| line.contains(name))
            && (!FOLDERS.iter().any(|folder| line.contains(folder)) || line.contains("basename") || line.contains("##"))
    };
    text.lines().position(asks).map(|at| at + 1)
}

/// Stops where something cannot be run.
fn guard(variable: &str, name: &str) -> Vec<u8> {
    let said = format!(
        "git-warrant: {name} cannot be run, so nothing can be pushed; whoever runs the server mends it: git warrant hook install"
    );
    let condition = format!("\nif ! [ -f \"${variable}\" ] || ! [ -x \"${variable}\" ]; then\n    printf '%s\\n' ");
    [condition.as_bytes(), &quoted(said.as_bytes()), b" >&2\n    exit 1\nfi\n"].concat()
}

/// One word for a POSIX shell, whatever bytes are in it.
fn quoted(word: &[u8]) -> Vec<u8> {
    let parts: Vec<&[u8]> = word.split(|&byte| byte == b'\'').collect();
    [b"'", parts.join(&br"'\''"[..]).as_slice(), b"'"].concat()
}

fn digest(text: &[u8]) -> String {
    hex::encode(Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_scripts_are_known_again_and_so_is_every_change() {
        let options = ["--strict".to_owned(), "--policy=/a b'c\nd".to_owned()];
        for chained in [false, true] {
            let text = Script { program: b"/x y/it's \xff\n", options: &options, chained }.text();
            assert_eq!(origin(&text), Origin::Ours { chained });
            for at in 0..text.len() {
                let mut changed = text.clone();
                changed[at] ^= 1;
                assert_ne!(origin(&changed), Origin::Ours { chained }, "byte {at}");
            }
            assert_eq!(origin(&[&text[..], b"\n"].concat()), Origin::Edited { chained });
            assert_eq!(origin(&[b"#!/bin/bash\n", &text[..]].concat()), Origin::Edited { chained });
        }
        for foreign in [&b""[..], b"#!/bin/sh\nexec git-warrant hook pre-receive\n", b"\x7fELF\0", HEAD.split_at(20).0] {
            assert_eq!(origin(foreign), Origin::Foreign);
        }
    }

    #[test]
    fn words_are_one_word_to_a_shell() {
        assert_eq!(quoted(b"a b"), b"'a b'");
        assert_eq!(quoted(b"it's\n$(x)`y`\\"), b"'it'\\''s\n$(x)`y`\\'");
        assert_eq!(quoted(b""), b"''");
    }

    #[test]
    fn scripts_that_ask_for_their_name() {
        for (text, line) in [
            ("#!/bin/sh\nexit 0\n", None),
            ("#!/bin/sh\n# $0 is not asked\ncd \"$(dirname \"$0\")\"\n", None),
            ("#!/bin/sh\n. \"${0%/*}/lib.sh\"\n", None),
            ("#!/bin/bash\ndata=$(cat)\nhookname=$(basename $0)\n", Some(3)),
            ("#!/bin/sh\nfor hook in \"$0\".d/*; do :; done\n", Some(2)),
            ("#!/bin/sh\nname=${0##*/}\n", Some(2)),
            ("#!/bin/sh\ncd \"${0%/*}\" && name=${0##*/}\n", Some(2)),
            ("#!/bin/sh\nx=$(basename $0) y=$(dirname $0)\n", Some(2)),
            ("#!/usr/bin/env python3\nimport os\nname = os.path.basename(__file__)\n", Some(3)),
            ("\u{7f}ELF\0$0", None),
        ] {
            assert_eq!(asks_for_its_name(text.as_bytes()), line, "{text}");
        }
    }
}
