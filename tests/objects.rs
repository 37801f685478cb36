//! Row 1 of the threats: we and git must not read an object differently.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)] // a test says what went wrong by failing there

#[path = "support/corpus.rs"]
mod corpus;

use corpus::{Random, git, header, lossy, output, programs};
use git_warrant::armor::Format;
use git_warrant::object::{Commit, HashAlgorithm, Tag};
use rayon::prelude::*;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tempfile::TempDir;

// ---- row 1: the split, against git ----

/// Git's signing program for the time of a test: it answers nothing and keeps what git gave it.
const SPY: &str = r#"#!/bin/sh
previous= mode= signature=
for argument; do
    case $previous in
        -s | --verify) signature=$argument ;;
        -Y) mode=$argument ;;
    esac
    previous=$argument
done
[ "$mode" = find-principals ] && exit 1 # its standard input is not the payload
cat > "$SPY_TO/payload" && cp "$signature" "$SPY_TO/signature"
exit 1
"#;

/// What the program was given: payload and signature.
type Seen = Option<(Vec<u8>, Vec<u8>)>;

/// A repository into which anything can be written, and git with a spy.
struct Git {
    dir: TempDir,
}

impl Git {
    fn new(hash: HashAlgorithm) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let format = if hash == HashAlgorithm::Sha1 { "sha1" } else { "sha256" };
        output(git(dir.path()).args(["init", "-q", "--bare", "--object-format", format, "repo"]));
        let spy = dir.path().join("spy");
        std::fs::write(&spy, SPY).unwrap();
        output(Command::new("chmod").arg("+x").arg(&spy));
        Self { dir }
    }

    fn git(&self) -> Command {
        git(&self.dir.path().join("repo"))
    }

    /// Writes objects as they are, and says their ids.
    fn write(&self, kind: &str, objects: &[Vec<u8>]) -> Vec<String> {
        let paths: Vec<PathBuf> = (0..objects.len()).map(|n| self.dir.path().join(format!("{kind}-{n}"))).collect();
        for (path, object) in paths.iter().zip(objects) {
            std::fs::write(path, object).unwrap();
        }
        let list: String = paths.iter().map(|path| format!("{}\n", path.display())).collect();
        let arguments = ["hash-object", "-w", "--literally", "--no-filters", "--stdin-paths", "-t", kind];
        let ids = fed(self.git().args(arguments), list.as_bytes());
        let ids: Vec<String> = String::from_utf8(ids).unwrap().lines().map(str::to_owned).collect();
        assert_eq!(ids.len(), objects.len());
        ids
    }

    /// What git hands to its program when it is asked to verify the object; `None` where it does not run it.
    fn ask(&self, kind: &str, id: &str) -> Seen {
        let (seen, success) = self.spy(&[&format!("verify-{kind}"), id], id);
        assert!(!success, "the spy approves of nothing: {id}");
        seen
    }

    fn spy(&self, arguments: &[&str], id: &str) -> (Seen, bool) {
        let to = self.dir.path().join(format!("seen-{id}"));
        std::fs::create_dir_all(&to).unwrap();
        let spy = self.dir.path().join("spy");
        let mut command = self.git();
        for name in ["gpg.program", "gpg.x509.program", "gpg.ssh.program"] {
            command.arg("-c").arg(format!("{name}={}", spy.display()));
        }
        command.args(["-c", "gpg.ssh.allowedSignersFile=/dev/null"]).args(arguments);
        let output = command.env("SPY_TO", &to).output().unwrap();
        let [payload, signature] = ["payload", "signature"].map(|name| std::fs::read(to.join(name)).ok());
        (payload.zip(signature), output.status.success())
    }
}

/// What the program prints that reads `input`; it must succeed.
fn fed(command: &mut Command, input: &[u8]) -> Vec<u8> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feeder = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap().unwrap();
    assert!(output.status.success(), "{command:?}");
    output.stdout
}

const AUTHOR: &str = "author A <a@x> 1700000000 +0000\n";
const COMMITTER: &str = "committer C <c@x> 1700000001 +0000\n";
const TAGGER: &str = "tagger T <t@x> 1700000002 +0000\n";
const SSH: &str = "-----BEGIN SSH SIGNATURE-----\n AAAA\n BBBB\n -----END SSH SIGNATURE-----\n";

/// The lines that objects are put together from.
struct Lines {
    tree: String,
    parent: String,
    own: &'static str,
    other: &'static str,
    headers: Vec<String>,
}

impl Lines {
    fn new(hash: HashAlgorithm) -> Self {
        let id = |digit: &str| digit.repeat(2 * hash.id_length());
        let [own, other] = [hash, hash.other()].map(|hash| std::str::from_utf8(hash.signature_header()).unwrap());
        let (tree, parent) = (format!("tree {}\n", id("1")), format!("parent {}\n", id("2")));
        let mergetag = format!("mergetag object {}\n type commit\n tag x\n {TAGGER} \n m\n {SSH}", id("4"));
        let mut headers: Vec<String> = [
            AUTHOR,
            COMMITTER,
            "author\n",
            "committer nobody\n",
            "committer  <> 1 +0000\n",
            "committer D <d@x> 99999999999999999999999 +0000\n",
            "committer D <d@x>\n",
            "encoding ISO-8859-1\n",
            "encoding x\r\n",
            "change-id abc\n",
            "x-\0nul y\n",
            "\0\n",
            "\r\n",
            " folded\n",
            " \n",
            "gpgsig\n",
            "gpgsig \n",
            "gpgsig\t-----BEGIN SSH SIGNATURE-----\n",
            " gpgsig -----BEGIN SSH SIGNATURE-----\n",
            "gpgsigx -----BEGIN SSH SIGNATURE-----\n goes on\n",
            "gpgsig-foo a\n b\n\tc\n",
            "gpgsig-sha1 -----BEGIN SSH SIGNATURE-----\n d\n",
            "gpgsig-sha256\n e\n",
            "gpgsig-sha256x f\n g\n",
            "GPGSIG -----BEGIN SSH SIGNATURE-----\n",
            "gpgsi -----BEGIN SSH SIGNATURE-----\n",
            "\n",
        ]
        .map(str::to_owned)
        .to_vec();
        headers.extend([tree.clone(), parent.clone(), format!("tree {}\n", id("3")), format!("parent {}\n", id("5")), mergetag]);
        for name in [own, own, own, other] {
            headers.push(format!("{name} {SSH}"));
            headers.push(format!("{name} -----BEGIN PGP SIGNATURE-----\n \n iQ==\n -----END PGP SIGNATURE-----\n"));
            headers.push(format!("{name} -----BEGIN PGP MESSAGE-----\n z\n"));
            headers.push(format!("{name} -----BEGIN SIGNED MESSAGE-----\n  two spaces\n"));
            headers.push(format!("{name} -----BEGIN SSH SIGNATURE-----\r\n AAAA\r\n -----END SSH SIGNATURE-----\r\n"));
            headers.push(format!("{name} -----BEGIN PKCS7-----\n AAAA\n"));
            headers.push(format!("{name} -----BEGIN SSH SIGNATURE-----\n \n \n A\0A\n -----END SSH SIGNATURE-----\n"));
        }
        Self { tree, parent, own, other, headers }
    }

    fn sound(&self) -> Vec<&str> {
        vec![&self.tree, &self.parent, AUTHOR, COMMITTER]
    }

    /// Commits by hand: each has one oddity.
    fn commits(&self) -> Vec<Vec<u8>> {
        let Self { tree, parent, own, other, .. } = self;
        let signature = format!("{own} {SSH}");
        let s = signature.as_str();
        let foreign = format!("{other} {SSH}");
        let f = foreign.as_str();
        let sound = self.sound().concat();
        let h = sound.as_str();
        let mergetag = self.headers.iter().find(|line| line.starts_with("mergetag")).unwrap().as_str();
        let unfinished = s.trim_end_matches('\n');
        let no_end = format!("{own} -----BEGIN SSH SIGNATURE-----");
        [
            &[h, s, "\nmessage\n"][..],
            &[h, s, "\n"],
            &[h, s, "\nno newline at the end"],
            &[h, s],          // no empty line
            &[h, unfinished], // nor a newline
            &[h, &no_end],
            &[h, s, "\n", s],
            &[h, "\n", s],
            &[h, s, "\n\0\n \n", h],
            &[tree, tree, AUTHOR, COMMITTER, s, "\n"],
            &[tree, s, parent, AUTHOR, COMMITTER, "\n"],
            &[s, tree, parent, AUTHOR, COMMITTER, "\n"],
            &[tree, parent, s, AUTHOR, COMMITTER, "\n"],
            &[tree, AUTHOR, COMMITTER, parent, s, "\n"],
            &[h, s, parent, "\n"],
            &[h, s, tree, "\n"],
            &[h, s, AUTHOR, "\n"],
            &[h, s, COMMITTER, "\n"],
            &[tree, COMMITTER, AUTHOR, s, "\n"],
            &[tree, AUTHOR, s, "\n"],
            &[tree, COMMITTER, s, "\n"],
            &[tree, s, "\n"],
            &[parent, AUTHOR, COMMITTER, s, "\n"],
            &[h, s, s, "\n"],
            &[h, s, "gpgsig-foo x\n y\n", s, "\n"],
            &[h, "gpgsig-foo x\n y\n", s, "\n"],
            &[h, s, "gpgsig-foo x\n y\n", "\n"],
            &[h, "gpgsigx\n", " y\n", s, "\n"],
            &[h, f, s, "\n"],
            &[h, s, f, "\n"],
            &[h, f, "\n"],
            &[h, f, f, s, "\n"],
            &[h, mergetag, s, "\n"],
            &[h, s, mergetag, "\n"],
            &[h, "encoding x\n", s, "\n"],
            &[h, s, "encoding x\n", "\n"],
            &[h, "encoding x\nencoding y\n", s, "\n"],
            &[h, "x y\r\n", s, "\r\n\r\n"],
            &[h, s, "\r\n"],
            &[h, s, "x\0y\n", "\n"],
            &[tree, parent, "author \0 <a@x> 1 +0000\n", COMMITTER, s, "\n"],
            &[tree, parent, AUTHOR, "committer C\0 <c@x> 1 +0000\n", s, "\n"],
            &["\n", h, s, "\n"],
            &[" ", h, s, "\n"],
            &[s],
            &[""],
        ]
        .into_iter()
        .map(|parts| parts.concat().into_bytes())
        .collect()
    }

    /// A commit that is put together by chance, most often one that git can read.
    fn chance(&self, random: &mut Random) -> Vec<u8> {
        let mut lines: Vec<&str> = self.sound();
        let own = format!("{} {SSH}", self.own);
        if random.below(4) == 0 {
            // nothing but what honest tools write, in any order
            let mergetag = self.headers.iter().find(|line| line.starts_with("mergetag")).unwrap();
            let foreign = format!("{} {SSH}", self.other);
            let honest = [&own, "encoding ISO-8859-1\n", "change-id abc\n", "x-more y\n z\n", mergetag, mergetag, &foreign];
            for _ in 0..=random.below(4) {
                let at = random.below(lines.len() - 3);
                lines.insert(lines.len() - at, random.one::<&str>(&honest));
            }
            return [lines.concat().as_str(), random.one::<&str>(&["\nmessage\n", "\n", "\nm"])].concat().into_bytes();
        }
        if random.below(2) == 0 {
            lines.push(&own);
        }
        if random.below(6) == 0 {
            lines.remove(random.below(lines.len()));
        }
        for _ in 0..=random.below(5) {
            let first = usize::from(random.below(8) > 0); // git reads nothing that does not begin with a tree
            let at = (first + random.below(lines.len())).min(lines.len());
            let line: &String = random.one(&self.headers);
            lines.insert(at, line);
        }
        let end = *random.one(&["\nmessage\n", "\n", "", "\nm", "\ngpgsig -----BEGIN SSH SIGNATURE-----\n x\n", "\n\n\0\n"]);
        let mut raw = [lines.concat().as_str(), end].concat().into_bytes();
        if random.below(10) == 0 {
            raw.truncate(random.below(raw.len()));
        }
        raw
    }
}

#[test]
fn commits_are_split_as_git_splits_them() {
    if !programs(&["git", "sh"]) {
        return;
    }
    for hash in [HashAlgorithm::Sha1, HashAlgorithm::Sha256] {
        let (git, lines, mut random) = (Git::new(hash), Lines::new(hash), Random(1));
        let mut objects = lines.commits();
        objects.extend((0..600).map(|_| lines.chance(&mut random)));
        let ids = git.write("commit", &objects);
        let seen: Vec<Seen> = ids.par_iter().map(|id| git.ask("commit", id)).collect();
        let (mut run, mut sound) = (0, Vec::new());
        for ((raw, id), seen) in objects.iter().zip(&ids).zip(&seen) {
            let commit = Commit::parse(raw, hash);
            let shown = String::from_utf8_lossy(raw);
            match seen {
                Some((payload, signature)) => {
                    run += 1;
                    assert_eq!(lossy(&commit.payload.to_vec()), lossy(payload), "{shown}");
                    assert_eq!(commit.signature.as_deref().map(lossy), Some(lossy(signature)), "{shown}");
                }
                None => {
                    let signed = commit.signature.as_deref().and_then(Format::sniff).is_some();
                    assert!(commit.fault.is_some() || !signed, "git does not verify this, but we would:\n{shown}");
                }
            }
            if commit.fault.is_none() {
                sound.push((id, commit));
            }
        }
        println!("{hash:?}: {} commits, git hands {run} to its program, {} without a fault", objects.len(), sound.len());
        assert!(run >= 300 && sound.len() >= 60, "the objects have become too odd to say anything");
        same_reading(&git, &sound);
    }
}

/// What we find no fault with, git reads as we do.
fn same_reading(git: &Git, commits: &[(&String, Commit<'_>)]) {
    let list: String = commits.iter().map(|(id, _)| format!("{id}\n")).collect();
    let log = fed(git.git().args(["log", "--stdin", "--no-walk=unsorted", "--format=%H/%P/%ce/%ct"]), list.as_bytes());
    let mut theirs: Vec<String> = String::from_utf8(log).unwrap().lines().map(str::to_owned).collect();
    let mut ours: Vec<String> = commits
        .iter()
        .map(|(id, commit)| {
            let parents: Vec<String> = commit.parents.iter().map(ToString::to_string).collect();
            let committer = commit.committer.unwrap();
            format!("{id}/{}/{}/{}", parents.join(" "), lossy(committer.email), committer.seconds)
        })
        .collect();
    for list in [&mut theirs, &mut ours] {
        list.sort();
        list.dedup();
    }
    assert_eq!(ours, theirs);
}

#[test]
fn tags_are_split_as_git_splits_them() {
    if !programs(&["git", "sh"]) {
        return;
    }
    let block = SSH.replace("\n ", "\n");
    for hash in [HashAlgorithm::Sha1, HashAlgorithm::Sha256] {
        let (git, lines, mut random) = (Git::new(hash), Lines::new(hash), Random(2));
        let object = format!("object {}\n", "1".repeat(2 * hash.id_length()));
        let head = format!("{object}type commit\ntag v1\n{TAGGER}");
        let tagless = format!("{object}type commit\ntag v1\n");
        let foreign = format!("{} {SSH}", lines.other);
        let own = format!("{} {SSH}", lines.own);
        let mut objects: Vec<Vec<u8>> = [
            &[&head, "\nm\n", &block][..],
            &[&head, "\n", &block],
            &[&head, &block], // no empty line
            &[&head, "\nm", &block],
            &[&head, "\nm\n ", &block],
            &[&head, "\nm\n", &block, "after\n"],
            &[&head, "\nm\n", &block, &block],
            &[&head, "\nm\n", &block, "between\n", &block],
            &[&head, "\nm\n", "-----BEGIN PGP SIGNATURE-----\nx\n", &block],
            &[&head, "\nm\n", &block, "-----BEGIN PGP MESSAGE-----"],
            &[&head, "\nm\n", &block, "-----BEGIN SIGNED MESSAGE----- and more"],
            &[&head, "\nm\n", &block.replace('\n', "\r\n")],
            &[&head, "\nm\0\n", &block],
            &[&head, "\nm\n-----BEGIN SSH SIGNATURE-----"],
            &[&head, "\nm\n-----BEGIN SSH SIGNATURE----"],
            &[&head, &foreign, "\nm\n", &block],
            &[&head, &foreign, "\nm\n"],
            &[&head, &own, "\nm\n", &block],
            &[&head, &foreign, &own, "\nm\n", &block],
            &[&head, &foreign, &foreign, "\nm\n", &block],
            &[&head, "gpgsig-foo x\n y\n", "\nm\n", &block],
            &[&tagless, &foreign, TAGGER, "\nm\n", &block],
            &[&tagless, "\nm\n", &block],
            &[&tagless, "tagger nobody\n", "\nm\n", &block],
            &[&head, "\n", TAGGER, &foreign, "\n", &block],
            &[&head, &head, "\n", &block],
            &["type commit\n", TAGGER, "\n", &block],
            &[&block],
            &[&head, "\nunsigned\n"],
        ]
        .into_iter()
        .map(|parts| parts.concat().into_bytes())
        .collect();
        let parts = [block.as_str(), "text\n", "-----BEGIN ", "\n", "-----BEGIN PGP SIGNATURE-----\n", "\r\n", &foreign, "\0"];
        for _ in 0..150 {
            let mut raw = [&head, *random.one(&["", &foreign, "x y\n"]), "\nmessage\n"].concat();
            for _ in 0..random.below(6) {
                raw.push_str(random.one::<&str>(&parts));
            }
            objects.push(raw.into_bytes());
        }
        let ids = git.write("tag", &objects);
        let seen: Vec<Seen> = ids.par_iter().map(|id| git.ask("tag", id)).collect();
        let (mut run, mut sound) = (0, 0);
        for (raw, seen) in objects.iter().zip(&seen) {
            let tag = Tag::parse(raw, hash);
            let shown = String::from_utf8_lossy(raw);
            sound += usize::from(tag.fault.is_none());
            match seen {
                Some((payload, signature)) => {
                    run += 1;
                    assert_eq!(tag.signature.map(lossy), Some(lossy(signature)), "{shown}");
                    // which of several signature headers git takes out depends on more than we follow: such a tag has a fault
                    let same = lossy(&tag.payload.to_vec()) == lossy(payload);
                    let odd = matches!(
                        tag.fault.as_ref().map(|fault| fault.code()),
                        Some("unknown-signature-header" | "malformed-header")
                    );
                    assert!(same || odd, "{shown}\n{:?}\n{:?}", tag.payload, lossy(payload));
                }
                // Git runs no program for a tag without a tagger; we judge old tags, which have none, by no time
                None => assert!(tag.fault.is_some() || tag.signature.is_none() || tag.tagger.is_none(), "{shown}"),
            }
        }
        println!("{hash:?}: {} tags, git hands {run} to its program, {sound} without a fault", objects.len());
        assert!(run >= 80 && sound >= 80, "the objects have become too odd to say anything");
    }
}

/// A mergetag is a whole tag in a header of the commit: what git verifies of it, and what we do.
#[test]
fn mergetags_are_unfolded_as_git_unfolds_them() {
    if !programs(&["git", "sh"]) {
        return;
    }
    let hash = HashAlgorithm::Sha1;
    let (git, lines) = (Git::new(hash), Lines::new(hash));
    let tag = format!("object {}\ntype commit\ntag v1\n{TAGGER}", "2".repeat(40));
    let block = SSH.replace("\n ", "\n");
    let foreign = format!("gpgsig-sha256 {SSH}");
    let tags: Vec<String> = [
        &[&tag, "\nm\n", &block][..],
        &[&tag, "\n\n two\n  spaces\n\n\n", &block],
        &[&tag, "\nm\r\n", &block.replace('\n', "\r\n")],
        &[&tag, "\nm\n", &block, "after\n \n"],
        &[&tag, "\nm\n", &block, &block],
        &[&tag, &foreign, "\nm\n", &block],
    ]
    .into_iter()
    .map(<[_]>::concat)
    .collect();
    let commit = |tag: &String| [&lines.sound().concat(), &header("mergetag", tag), "\nmessage\n"].concat().into_bytes();
    let objects: Vec<Vec<u8>> = tags.iter().map(commit).collect();
    for ((raw, tag), id) in objects.iter().zip(&tags).zip(git.write("commit", &objects)) {
        let (payload, signature) = git.spy(&["log", "--no-walk", "--show-signature", &id], &id).0.unwrap();
        let commit = Commit::parse(raw, hash);
        assert_eq!((commit.fault, commit.signature), (None, None), "{tag}");
        let [ours] = &commit.mergetags[..] else { panic!("{} mergetags", commit.mergetags.len()) };
        assert_eq!(lossy(ours), lossy(tag.as_bytes()));
        let ours = Tag::parse(ours, hash);
        assert_eq!(ours.fault, None, "{tag}");
        assert_eq!(lossy(&ours.payload.to_vec()), lossy(&payload), "{tag}");
        assert_eq!(ours.signature.map(lossy), Some(lossy(&signature)), "{tag}");
    }
}
