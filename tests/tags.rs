//! Tags of every oddity (and commits with what they share with tags), signed by the key's owner or taken from him: what `git verify-tag` makes of each with the real
//! ssh-keygen, and what we do. Each difference has its reason.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)] // a test says what went wrong by failing there

mod common;
#[path = "support/world.rs"]
mod world;

use common::{Done, run};
use world::{World, done, says};

const FORMATS: [&str; 2] = ["sha1", "sha256"];
const TAGGER: &str = "tagger Alice <alice@example.com> 1700000000 +0000\n";
const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----\n";

/// A repository `r` with a commit, and Alice, who signs bytes.
struct Tags {
    world: World,
    head: String,
    /// The signature headers of this repository's hash function, and of the other.
    headers: [&'static str; 2],
}

impl Tags {
    fn new(format: &str) -> Self {
        let world = World::new();
        world.repo("r", &["--object-format", format]);
        let head = world.commit("r", "one", &["-S"]);
        world.config("gpg.ssh.allowedSignersFile", &world.policy());
        let headers = if format == "sha1" { ["gpgsig", "gpgsig-sha256"] } else { ["gpgsig-sha256", "gpgsig"] };
        Self { world, head, headers }
    }

    /// Alice's signature over bytes, as ssh-keygen makes it.
    fn sign(&self, payload: &str) -> String {
        let mut command = self.world.home.command("ssh-keygen");
        let signed = run(command.args(["-q", "-Y", "sign", "-n", "git", "-f", "alice"]), payload.as_bytes());
        assert!(signed.ok(), "{signed:?}");
        signed.stdout
    }

    /// Bytes with their signature behind them.
    fn signed(&self, payload: &str) -> String {
        payload.to_owned() + &self.sign(payload)
    }

    /// The first lines of a tag `t` of the commit.
    fn start(&self) -> String {
        format!("object {}\ntype commit\ntag t\n", self.head)
    }

    fn ask_git(&self, args: &[&str]) -> Done {
        let mut command = self.world.home.command("git");
        done(command.arg("-C").arg(self.world.home.join("r")).args(["-c", "gpg.ssh.program=ssh-keygen"]).args(args))
    }

    /// What git says with the real ssh-keygen: good, bad, or nothing (no signature that it would ask about).
    fn by_git(&self, kind: &str, id: &str) -> char {
        // ssh-keygen does not read a payload whose signature it cannot parse, and then git may die of a broken pipe
        let mut answers = std::iter::repeat_with(|| self.ask_git(&[&format!("verify-{kind}"), "--raw", id])).take(50);
        let raw = answers.find(|raw| raw.status.is_some()).expect("git was killed again and again");
        let all = format!("{}{}", raw.stdout, raw.stderr);
        match (raw.ok(), all.contains("Good \"git\" signature"), all.contains("ot verify signature") || all.contains("NODATA")) {
            (true, true, _) => 'G',
            (false, _, true) => 'B',
            (false, false, false) => 'E',
            _ => panic!("{raw:?}"),
        }
    }

    /// What we say of one object: `accept`, its warnings behind it, or the code.
    fn by_us(&self, name: &str) -> String {
        let judged = self.world.judged("r", &["--no-walk", name]);
        let [(_, word, warnings)] = &judged.verdicts()[..] else { panic!("{}", judged.stdout) };
        [&[word.clone()][..], warnings].concat().join(" ")
    }

    fn store(&self, reference: &str, raw: &str) -> String {
        let id = self.world.object("r", "tag", raw.as_bytes());
        self.point(reference, &id);
        id
    }

    /// Has a ref point to an object, whatever git thinks of the two.
    fn point(&self, reference: &str, id: &str) {
        let file = format!("r/.git/{reference}");
        std::fs::create_dir_all(self.world.home.join(&file).parent().unwrap()).unwrap();
        self.world.home.write(&file, format!("{id}\n"));
    }
}

/// A header that goes on in lines with a space before them.
fn header(name: &str, value: &str) -> String {
    format!("{name} {}\n", value.trim_end().replace('\n', "\n "))
}

#[test]
fn each_oddity_is_as_git_has_it_or_for_a_reason() {
    for format in FORMATS {
        let tags = Tags::new(format);
        let (start, [own, other]) = (tags.start(), tags.headers);
        let head = format!("{start}{TAGGER}");
        let plain = format!("{head}\nm\n");
        let signature = tags.sign(&plain);
        let with = |headers: &str| format!("{head}{headers}\nm\n{signature}"); // over the payload without these headers
        let block = |name: &str| header(name, &signature);
        let pgp = "-----BEGIN PGP SIGNATURE-----\n\niQ==\n-----END PGP SIGNATURE-----\n";
        let signed = |parts: &[&str]| tags.signed(&parts.concat());
        let stricter = [
            ("no empty line before it", signed(&[&head]), "unterminated-header", "a header without an end is read in two ways"),
            ("no object", signed(&["type commit\ntag t\n", TAGGER, "\nm\n"]), "malformed-header", "it names nothing"),
            ("type twice", signed(&[&start, "type tree\n", TAGGER, "\nm\n"]), "malformed-header", "which one is meant?"),
            ("tag twice", signed(&[&start, "tag u\n", TAGGER, "\nm\n"]), "malformed-header", "which one is meant?"),
            ("object twice", signed(&[&start, &start, TAGGER, "\nm\n"]), "malformed-header", "which one is meant?"),
            ("two taggers", signed(&[&head, TAGGER, "\nm\n"]), "late-tagger", "which one is meant?"),
            ("a late tagger", signed(&[&start, "x y\n", TAGGER, "\nm\n"]), "late-tagger", "git's own reader does not find it"),
            (
                "type in another case",
                signed(&[&start.replace("commit", "Commit"), TAGGER, "\nm\n"]),
                "malformed-header",
                "no such type",
            ),
            (
                "another type",
                signed(&[&start.replace("commit", "tree"), TAGGER, "\nm\n"]),
                "tag-type-mismatch",
                "the object is no tree",
            ),
            ("another name", signed(&[&head.replace("tag t", "tag u"), "\nm\n"]), "tag-name-mismatch", "stored as t"),
            ("NUL in the header", signed(&[&head.replace("Alice <", "A\0 <"), "\nm\n"]), "nul-in-header", "it hides what follows"),
            ("a folded line", signed(&[&head, "x y\n z\n", "\nm\n"]), "malformed-header", "git writes none in tags"),
            ("own header", with(&block(own)), "malformed-header", "its signature stands behind it; unsigned text"),
            ("both headers", with(&(block(own) + &block(other))), "malformed-header", "unsigned text"),
            ("other header twice", with(&block(other).repeat(2)), "unknown-signature-header", "unsigned text"),
            ("own header twice", with(&block(own).repeat(2)), "malformed-header", "unsigned text"),
        ];
        let same = [
            ("plain", signed(&[&plain]), "G", "accept"),
            ("no message", signed(&[&head, "\n"]), "G", "accept"),
            ("no newline before it", signed(&[&head, "\nm"]), "E", "unsigned"),
            ("text behind the end", format!("{}text\n", signed(&[&plain])), "G", "accept malleable"),
            ("NUL behind the end", format!("{}\0\n", signed(&[&plain])), "G", "accept malleable"),
            ("no newline at the end", signed(&[&plain]).trim_end().to_owned(), "G", "accept malleable"),
            ("a marker in the message", signed(&[&plain, BEGIN, "quoted\n"]), "G", "accept"),
            ("markers in the message", signed(&[&plain, pgp, "-----BEGIN SIGNED MESSAGE-----\n", BEGIN]), "G", "accept"),
            ("a signature in the message", signed(&[&signed(&[&plain])]), "G", "accept"),
            ("a marker in the header", signed(&[&head, BEGIN, "\nm\n"]), "G", "accept"),
            ("another header", signed(&[&head, "x y\n", "\nm\n"]), "G", "accept"),
            ("NUL in the message", signed(&[&head, "\nm\0m\n"]), "G", "accept"),
            ("other header", with(&block(other)), "G", "accept malleable"),
            ("other header, in another format", with(&header(other, pgp)), "G", "accept malleable"),
            ("the signature twice", format!("{}{signature}", signed(&[&plain])), "B", "bad-signature"),
            ("another message", signed(&[&plain]).replace("\nm\n", "\nn\n"), "B", "bad-signature"),
            (
                "a name that was not signed",
                signed(&[&head.replace("tag t", "tag u"), "\nm\n"]).replace("tag u", "tag t"),
                "B",
                "bad-signature",
            ),
            ("a header that was not signed", with("x y\n"), "B", "bad-signature"),
            ("OpenPGP behind it", format!("{}{pgp}", signed(&[&plain])), "B", "malformed-signature"),
            ("cut off", format!("{plain}{}", &signature[..100]), "B", "malformed-signature"),
            ("a marker alone", format!("{plain}{BEGIN}"), "B", "malformed-signature"),
            ("indented", format!("{plain} {}", signature.replace('\n', "\n ")), "E", "unsigned"),
            ("in a header alone", format!("{head}{}\nm\n", block(other)), "E", "unsigned"),
            ("PKCS7", format!("{plain}-----BEGIN PKCS7-----\nMII=\n"), "E", "unsigned"),
            ("none", plain.clone(), "E", "unsigned"),
        ];
        let weaker = [
            // git asks no program where there is no date to ask with; old tags have none, and the signature is as good
            ("no tagger", signed(&[&start, "\nm\n"]), "E", "accept signer-not-committer"),
            // ssh-keygen reads no CR in the first line; the bytes that are signed are the same
            ("CR-LF armour", format!("{plain}{}", signature.replace('\n', "\r\n")), "B", "accept malleable"),
        ];
        let stricter = stricter.into_iter().map(|(what, raw, ours, why)| {
            // which of several headers git takes out is not the same in all its versions
            let git = match what {
                "NUL in the header" => "E",
                "both headers" | "other header twice" | "own header twice" => "GB",
                _ => "G",
            };
            (what, raw, git, ours, why)
        });
        let rest = same.into_iter().chain(weaker).map(|(what, raw, git, ours)| (what, raw, git, ours, ""));
        let mut wrong = Vec::new();
        for (what, raw, git, ours, why) in stricter.chain(rest) {
            let id = tags.store("refs/tags/t", &raw);
            let (by_git, by_us) = (tags.by_git("tag", &id), tags.by_us("refs/tags/t"));
            if !git.contains(by_git) || by_us != ours {
                wrong.push(format!("{what}: {by_git} {by_us}, not {git} {ours} {why}"));
            }
        }
        assert!(wrong.is_empty(), "{format}:\n{}", wrong.join("\n"));
    }
}

/// What a tag names: another tag, a tree, a blob. What carries no signature is not judged; the tags on the way are.
#[test]
fn tags_of_anything_are_judged_down_to_what_they_name() {
    for format in FORMATS {
        let tags = Tags::new(format);
        let world = &tags.world;
        for (name, target) in [("tree", "HEAD^{tree}"), ("blob", "HEAD:one")] {
            world.home.git("r", &["tag", "-s", "-m", "m", name, target]);
            world.home.git("r", &["tag", "-a", "-m", "m", &format!("unsigned-{name}"), target]);
            world.home.git("r", &["tag", "-s", "-m", "m", &format!("outer-{name}"), &format!("unsigned-{name}")]);
            assert_eq!(world.judged("r", &[name]).words(), ["accept"]);
            assert_eq!(world.judged("r", &[&format!("unsigned-{name}")]).words(), ["unsigned"]);
            assert_eq!(world.judged("r", &[&format!("outer-{name}")]).words(), ["accept", "unsigned"]);
            world.home.git("r", &["tag", &format!("light-{name}"), target]);
            says(&world.verify("r", &[&format!("light-{name}")]), 2, &[&format!("is a {name}")]);
        }
        world.home.git("r", &["tag", "-s", "-m", "m", "inner"]);
        world.home.git("r", &["tag", "-s", "-m", "m", "outer", "inner"]);
        assert_eq!(world.judged("r", &["outer"]).words(), vec!["accept"; 3]);
        // a tag of a tag that is stored under another name: only the first stands in for a ref
        world.home.git("r", &["update-ref", "refs/tags/other", "refs/tags/outer"]);
        assert_eq!(world.judged("r", &["other"]).words(), ["tag-name-mismatch", "accept", "accept"]);
    }
}

#[test]
fn names_with_slashes_and_tags_in_the_place_of_branches() {
    for format in FORMATS {
        let tags = Tags::new(format);
        let world = &tags.world;
        world.home.git("r", &["tag", "-s", "-m", "m", "rel/v1"]);
        assert_eq!(tags.by_us("rel/v1"), "accept");
        for moved in ["refs/tags/rel/v2", "refs/tags/v1", "refs/tags/evil/rel/v1", "refs/tags/REL/v1"] {
            world.home.git("r", &["update-ref", moved, "refs/tags/rel/v1"]);
            assert_eq!(tags.by_us(moved), "tag-name-mismatch", "{moved}");
        }
        // git itself puts no tag there; whoever writes the file, or the server, may
        let id = world.id("r", "refs/tags/rel/v1");
        let full =
            tags.store("refs/tags/x", &tags.signed(&format!("{}{TAGGER}\nm\n", tags.start().replace("tag t", "tag refs/heads/y"))));
        for (branch, id, word) in [("rel/v1", &id, "tag-name-mismatch"), ("x", &id, "tag-name-mismatch"), ("y", &full, "accept")] {
            tags.point(&format!("refs/heads/{branch}"), id);
            assert_eq!(tags.by_us(&format!("refs/heads/{branch}")), word, "{branch}");
            let mut show = world.warrant("r", &["show", "--policy", &world.policy(), &format!("refs/heads/{branch}")]);
            let shown = done(&mut show);
            assert!(shown.stdout.contains(word), "{shown:?}");
        }
        // where a ref says nothing of tags, the tag is judged by itself
        world.home.git("r", &["update-ref", "refs/archive/v1", "refs/tags/rel/v1"]);
        assert_eq!(tags.by_us("refs/archive/v1"), "accept");
    }
}

/// A header for the other hash function, as repositories of both have it.
#[test]
fn commits_with_a_header_for_the_other_hash_are_noted_as_malleable() {
    for format in FORMATS {
        let tags = Tags::new(format);
        let [own, other] = tags.headers;
        let person = "Alice <alice@example.com> 1700000000 +0000\n";
        let tree = tags.world.id("r", "HEAD^{tree}");
        let start = format!("tree {tree}\nparent {}\nauthor {person}committer {person}", tags.head);
        let signature = tags.sign(&format!("{start}\nm\n"));
        let (own, block, junk) = (header(own, &signature), header(other, &signature), format!("{other} junk\n"));
        for (what, headers, git, ours) in [
            ("alone", own.clone(), 'G', "accept"),
            ("behind it", format!("{own}{block}"), 'G', "accept malleable"),
            ("before it", format!("{block}{own}"), 'G', "accept malleable"),
            ("of another key", format!("{block}{own}").replacen("U1NI", "U1NJ", 1), 'G', "accept malleable"),
            ("twice", format!("{own}{block}{block}"), 'G', "duplicate-signature"),
            ("its own twice", format!("{own}{own}"), 'G', "duplicate-signature"),
            ("junk", format!("{own}{junk}"), 'G', "unknown-signature-header"),
            ("an unknown one", format!("{own}gpgsig-sha512 x\n"), 'G', "unknown-signature-header"),
            ("without its own", block.clone(), 'E', "unsigned"),
        ] {
            let id = tags.world.object("r", "commit", format!("{start}{headers}\nm\n").as_bytes());
            assert_eq!((tags.by_git("commit", &id), tags.by_us(&id)), (git, ours.to_owned()), "{format} {what}");
            let strict = tags.world.judged("r", &["--no-walk", "--strict", &id]).words();
            let want = if ours == "accept malleable" { "malleable" } else { ours };
            assert_eq!(strict, [want], "{format} {what}");
        }
    }
}

/// What merges carry of tags is part of what is signed, whatever it is; `show` says of each what its own signature proves.
#[test]
fn mergetags_of_any_form_change_nothing_of_the_commit() {
    for format in FORMATS {
        let tags = Tags::new(format);
        let tag = tags.signed(&format!("{}{TAGGER}\nm\n", tags.start()));
        let tree = tags.world.id("r", "HEAD^{tree}");
        let [own, other] = tags.headers;
        let person = "Alice <alice@example.com> 1700000000 +0000\n";
        for (what, mergetags, shown) in [
            ("one", header("mergetag", &tag), &["good"][..]),
            ("two", header("mergetag", &tag).repeat(2), &["good", "good"]),
            ("unsigned", header("mergetag", &tag[..tag.find(BEGIN).unwrap()]), &["unsigned"]),
            ("changed", header("mergetag", &tag.replace("\nm\n", "\nn\n")), &["bad-signature"]),
            ("in one line", "mergetag x\n".to_owned(), &["unsigned"]),
            ("empty", "mergetag \n".to_owned(), &["unsigned"]),
            ("of marks", format!("mergetag x\n {own} y\n  z\n  \n {BEGIN}"), &["malformed-signature"]),
            ("of a commit", header("mergetag", &format!("tree {tree}\nauthor {person}committer {person}\nm\n")), &["unsigned"]),
            (
                "with another hash's header",
                header("mergetag", &tag.replace("\nm\n", &format!("\n{other} x\n\nm\n"))),
                &["bad-signature"],
            ),
        ] {
            // the later headers are each a line of the header still
            let start = format!("tree {tree}\nparent {}\nauthor {person}committer {person}{mergetags}", tags.head);
            let signature = tags.sign(&format!("{start}\nmerge\n"));
            let raw = format!("{start}{}\nmerge\n", header(own, &signature));
            let id = tags.world.object("r", "commit", raw.as_bytes());
            assert_eq!((tags.by_git("commit", &id), tags.by_us(&id)), ('G', "accept".to_owned()), "{format} {what}");
            let json = done(&mut tags.world.warrant("r", &["show", "--format", "jsonl", &id]));
            let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
            let results: Vec<&str> =
                json["mergetags"].as_array().unwrap().iter().map(|it| it["result"].as_str().unwrap()).collect();
            assert_eq!(results, shown, "{format} {what}");
            // not one byte of them is free
            let other = raw.replacen("mergetag ", "mergetag  ", 1);
            let id = tags.world.object("r", "commit", other.as_bytes());
            assert_eq!((tags.by_git("commit", &id), tags.by_us(&id)), ('B', "bad-signature".to_owned()), "{format} {what}");
        }
    }
}
