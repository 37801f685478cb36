//! Rows 19 and 23: objects that are not what their id says, and objects that want all the memory there is.

use crate::common::{Done, OURS, has, run, skipped};
use crate::world::{World, done};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

// ---- 19: objects are re-hashed ----

/// A loose object's file.
fn loose(world: &World, repo: &str, id: &str) -> PathBuf {
    world.home.join(format!("{repo}/.git/objects/{}/{}", &id[..2], &id[2..]))
}

/// Runs a line of Python with arguments.
fn python(world: &World, script: &str, args: &[&str]) -> Done {
    done(world.home.command("python3").args(["-c", script]).args(args))
}

const REWRITE: &str = "
import sys, zlib
path, find, put = sys.argv[1], sys.argv[2].encode(), sys.argv[3].encode()
raw = zlib.decompress(open(path, 'rb').read())
assert find in raw
import os; os.chmod(path, 0o644)
open(path, 'wb').write(zlib.compress(raw.replace(find, put)))
";

// guard: io/git.rs, read (libgit2's strict hash verification is on by default, and the reader maps its error)
#[test]
fn row_19_a_loose_object_with_other_bytes_is_refused() {
    if !has("python3") {
        return skipped("python3");
    }
    let world = World::new();
    let unsigned = {
        world.repo("r", &[]);
        world.commit("r", "unsigned", &[])
    };
    let signed = world.commit("r", "signed", &["-S"]);
    // the bytes of a signed commit under the id of an unsigned one: its signature is good, its id is a lie
    fs::remove_file(loose(&world, "r", &unsigned)).unwrap();
    let other = world.signed("other", 1);
    fs::copy(loose(&world, other, &world.id(other, "HEAD")), loose(&world, "r", &unsigned)).unwrap();
    let judged = world.judged("r", &[]);
    assert_eq!((judged.status, judged.of_object(&unsigned)), (Some(1), "hash-mismatch".to_owned()));
    assert_eq!(judged.of_object(&signed), "accept");
    // one letter changed, the length kept
    let changed = world.commit("other", "sign me", &["-S"]);
    let ran = python(&world, REWRITE, &[loose(&world, "other", &changed).to_str().unwrap(), "sign me", "sign it"]);
    assert!(ran.ok(), "{ran:?}");
    assert_eq!(world.judged("other", &["--no-walk", &changed]).words(), ["hash-mismatch"]);
    let shown = done(&mut world.warrant("other", &["show", &changed]));
    assert!(!shown.ok() && shown.stderr.contains("does not hash") || shown.stderr.contains("do not hash"), "{shown:?}");
    // junk that is no deflate stream
    fs::remove_file(loose(&world, "other", &changed)).unwrap();
    fs::write(loose(&world, "other", &changed), b"junk").unwrap();
    let ran = world.verify("other", &["--no-walk", &changed]);
    assert!(matches!(ran.status, Some(1..=3)), "{ran:?}");
}

// guard: io/git.rs, read
#[test]
fn row_19_a_packed_object_with_other_bytes_is_refused() {
    if !has("python3") {
        return skipped("python3");
    }
    let world = World::new();
    world.signed("r", 1);
    let good = world.id("r", "HEAD");
    let id = world.commit("r", "sign me", &["-S"]);
    world.home.git("r", &["-c", "core.compression=0", "-c", "pack.compression=0", "repack", "-a", "-d", "-q", "-F"]);
    world.home.git("r", &["prune-packed"]);
    assert_eq!(world.judged("r", &[]).words(), ["accept", "accept"]);
    // stored uncompressed: the letters stand in the pack; only the checksum of the stream has to be made good
    let script = "
import glob, os, sys, zlib
for path in glob.glob(sys.argv[1] + '/*.pack'):
    pack = bytearray(open(path, 'rb').read())
    at = 12
    while at < len(pack) - 20:
        while pack[at] & 0x80: at += 1
        at += 1
        stream = zlib.decompressobj()
        raw = stream.decompress(bytes(pack[at:]))
        end = len(pack) - len(stream.unused_data)
        if b'\\n\\nsign me\\n' in raw:
            body = raw.replace(b'\\n\\nsign me\\n', b'\\n\\nsign it\\n')
            make = zlib.compressobj(0)
            new = make.compress(body) + make.flush()
            assert len(new) == end - at, (len(new), end - at)
            pack[at:end] = new
            os.chmod(path, 0o644)
            open(path, 'wb').write(bytes(pack))
            sys.exit(0)
        at = end
sys.exit('not found')
";
    let ran = python(&world, script, &[world.home.join("r/.git/objects/pack").to_str().unwrap()]);
    assert!(ran.ok(), "{ran:?}");
    let judged = world.judged("r", &["--no-walk", &id]);
    assert_eq!((judged.status, judged.words()), (Some(1), vec!["hash-mismatch".to_owned()]));
    assert_eq!(world.judged("r", &[]).words(), ["hash-mismatch"]);
    assert_eq!(world.judged("r", &[&good]).words(), ["accept"]);
}

// guard: Cargo.toml, git2's feature `vendored-libgit2`: SHA-1 with collision detection is compiled in, not the system's library
#[test]
fn row_19_libgit2_is_the_vendored_one() {
    assert!(git2::Version::get().vendored());
}

// ---- 23: bounds ----

/// Judges one object in two gigabytes of address space; it must end by itself, soon.
fn bounded(world: &World, args: &[&str]) -> Done {
    let start = Instant::now();
    let mut command = world.home.command("sh");
    command.args(["-c", "ulimit -v 2000000; exec \"$0\" \"$@\"", OURS]).args(args).current_dir(world.home.join("r"));
    let ran = done(&mut command);
    assert!(start.elapsed() < Duration::from_secs(20), "{args:?} took {:?}", start.elapsed());
    ran
}

#[track_caller]
fn rejected(world: &World, id: &str, code: &str) {
    let judged = bounded(world, &["verify", "--policy", &world.policy(), "--no-walk", "--format", "jsonl", id]);
    assert_eq!(judged.status, Some(1), "{}: {}", code, judged.stderr);
    assert!(judged.stdout.contains(&format!("\"code\":\"{code}\"")), "{code}: {:.300}", judged.stdout);
    let shown = bounded(world, &["show", id]);
    assert!(matches!(shown.status, Some(0 | 2)), "{shown:?}");
}

// guard: io/git.rs, read (MAX_OBJECT before the bytes are unpacked); object/commit.rs and tag.rs (parents, lines, signature)
#[test]
fn row_23_objects_beyond_the_bounds_end_with_a_clear_code() {
    let world = World::new();
    world.signed("r", 1);
    let tree = world.id("r", "HEAD^{tree}");
    let head = world.id("r", "HEAD");
    let who = "A <a@example.com> 1700000000 +0000";
    let start = format!("tree {tree}\n");
    let middle = format!("author {who}\ncommitter {who}\n");
    let commit = |headers: &str, message: &str| world.object("r", "commit", format!("{start}{headers}\n{message}").as_bytes());

    rejected(&world, &commit(&middle, &"m".repeat(17 << 20)), "object-too-large");
    let mut parents = String::new();
    for n in 0..1025 {
        writeln!(parents, "parent {n:040x}").unwrap();
    }
    rejected(&world, &commit(&format!("{parents}{middle}"), "m\n"), "too-many-parents");
    rejected(&world, &commit(&format!("{middle}{}", "x y\n".repeat(10_001)), "m\n"), "too-many-headers");
    let long = format!("-----BEGIN SSH SIGNATURE-----\n{}", format!(" {}\n", "A".repeat(4000)).repeat(300));
    rejected(&world, &commit(&format!("{middle}gpgsig {long}"), "m\n"), "signature-too-large");
    let tag =
        format!("object {head}\ntype commit\ntag v\ntagger {who}\n\nm\n-----BEGIN SSH SIGNATURE-----\n{}", "A".repeat(1 << 20));
    rejected(&world, &world.object("r", "tag", tag.as_bytes()), "signature-too-large");

    // as far as the walk is concerned, too
    let top = commit(&format!("{parents}{middle}"), "m\n");
    let walked = bounded(&world, &["verify", "--policy", &world.policy(), &top]);
    assert_eq!(walked.status, Some(1), "{walked:?}");
    let line = format!("{} {top} refs/heads/x\n", "0".repeat(40));
    let mut hook = world.warrant("r", &["hook", "pre-receive", "--policy", &world.policy()]);
    assert_eq!(run(&mut hook, line.as_bytes()).status, Some(1));
}

// guard: io/git.rs, read (the size is asked for before the object is)
#[test]
fn row_23_a_bomb_is_not_unpacked() {
    if !has("python3") {
        return skipped("python3");
    }
    let world = World::new();
    world.signed("r", 1);
    // 4 GiB of spaces in a few MB, loose: one deflated block again and again, under the id of what stands in front
    let script = "
import hashlib, os, sys, zlib
repo, kind, head, size = sys.argv[1], sys.argv[2], sys.argv[3].encode(), 4 << 30
start = b'%s %d\\0' % (kind.encode(), len(head) + size)
id = hashlib.sha1(start + head).hexdigest()
pack = zlib.compressobj(9)
first = pack.compress(start + head) + pack.flush(zlib.Z_FULL_FLUSH)
block = pack.compress(b' ' * (1 << 20)) + pack.flush(zlib.Z_FULL_FLUSH)
os.makedirs('%s/.git/objects/%s' % (repo, id[:2]), exist_ok=True)
with open('%s/.git/objects/%s/%s' % (repo, id[:2], id[2:]), 'wb') as out:
    out.write(first + block * (size >> 20) + pack.flush())
print(id)
";
    let head = world.id("r", "HEAD");
    let who = "A <a@x> 1700000000 +0000";
    let commit = format!("tree {}\nauthor {who}\ncommitter {who}\n\n", world.id("r", "HEAD^{tree}"));
    let tag = format!("object {head}\ntype commit\ntag v\ntagger {who}\n\n");
    for (kind, start) in [("commit", commit), ("tag", tag)] {
        let made = python(&world, script, &[world.home.join("r").to_str().unwrap(), kind, &start]);
        assert!(made.ok(), "{made:?}");
        let id = made.stdout.trim();
        rejected(&world, id, "object-too-large");
        let reference = if kind == "tag" { "refs/tags/v" } else { "refs/heads/bomb" };
        world.home.write(format!("r/.git/{reference}"), format!("{id}\n"));
        let walked = bounded(&world, &["verify", "--policy", &world.policy(), reference]);
        assert!(walked.status == Some(1) && walked.stdout.contains("object-too-large"), "{walked:?}");
        for option in ["--baseline", "--settled"] {
            let ran = bounded(&world, &["verify", "--policy", &world.policy(), option, id, "main"]);
            assert!(matches!(ran.status, Some(0 | 2)), "{ran:?}");
        }
        let line = format!("{} {id} {reference}", "0".repeat(40));
        let script = format!("ulimit -v 2000000; echo {line} | \"$0\" hook pre-receive --policy \"$1\"");
        let mut hook = world.home.command("sh");
        hook.args(["-c", &script, OURS, &world.policy()]).current_dir(world.home.join("r"));
        let ran = done(&mut hook);
        assert!(ran.status == Some(1) && ran.stderr.contains("object-too-large"), "{ran:?}");
    }
}

// guard: run/session.rs, judge_tags (tags of tags end after 16)
#[test]
fn row_23_chains_of_tags_end() {
    let world = World::new();
    world.signed("r", 1);
    let mut id = world.id("r", "HEAD");
    let mut kind = "commit";
    for number in 0..40 {
        let tag = format!("object {id}\ntype {kind}\ntag t{number}\ntagger A <a@x> 1700000000 +0000\n\nm\n");
        id = world.object("r", "tag", tag.as_bytes());
        kind = "tag";
    }
    world.home.git("r", &["update-ref", "refs/tags/t39", &id]);
    let judged = world.judged("r", &["t39"]);
    assert_eq!(judged.status, Some(1));
    assert!(judged.lines.len() <= 18, "{}", judged.lines.len());
    assert_eq!(judged.words().last().unwrap(), "not-signable");
}
