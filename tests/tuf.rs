//! `git warrant trust update` against a mirror that lies: each thing that The Update Framework is to prevent, by name.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test says what went wrong by failing there

mod common;
#[path = "support/sigstore.rs"]
mod sigstore;
#[path = "support/tuf.rs"]
mod tuf;

use common::{Done, Home, run};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use sigstore::Sigstore;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::sync::LazyLock;
use tuf::{Answer, DAY, Key, Lower, Mirror, moment, root, signed};

/// A trusted root; making one makes keys.
static ROOT: LazyLock<String> = LazyLock::new(|| Sigstore::new("x").trusted_root());
static OTHER: LazyLock<String> = LazyLock::new(|| Sigstore::new("y").trusted_root());
const SIGNING: &str = r#"{"mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json"}"#;

/// A repository of which version 2 of everything but the root was fetched once.
struct World {
    home: Home,
    mirror: Mirror,
    root: [Key; 3],
    timestamp: Key,
    snapshot: Key,
    targets: Key,
}

impl World {
    /// Nothing published.
    fn bare() -> Self {
        let key = Key::new;
        Self {
            home: Home::new(),
            mirror: Mirror::start(),
            root: [key("root a"), key("root b"), key("root c")],
            timestamp: key("timestamp"),
            snapshot: key("snapshot"),
            targets: key("targets"),
        }
    }

    fn new() -> Self {
        let world = Self::bare();
        world.put_root(1, DAY, &[0, 1]);
        world.home.write("1.root.json", world.mirror.file("1.root.json"));
        world.lower(2, 2, 2).publish(&world.mirror);
        let done = world.update(&["--root", "1.root.json"]);
        assert!(done.ok(), "{done:?}");
        assert_eq!(world.home.read("fetched.json"), ROOT.as_bytes());
        world.mirror.asked();
        world
    }

    /// What a root says: two of three keys sign.
    fn root_body(&self, version: u64, end: i64) -> Value {
        let [a, b, c] = &self.root;
        root(version, end, [(&[a, b, c], 2), (&[&self.timestamp], 1), (&[&self.snapshot], 1), (&[&self.targets], 1)], true)
    }

    fn put_root(&self, version: u64, end: i64, signers: &[usize]) {
        let signers: Vec<&Key> = signers.iter().map(|at| &self.root[*at]).collect();
        self.mirror.put(&format!("{version}.root.json"), signed(&self.root_body(version, end), &signers));
    }

    fn lower(&self, timestamp: u64, snapshot: u64, targets: u64) -> Lower<'_> {
        Lower {
            timestamp: (timestamp, &self.timestamp),
            snapshot: (snapshot, &self.snapshot),
            targets: (targets, &self.targets),
            ends: [DAY; 3],
            consistent: true,
            files: vec![("trusted_root.json", ROOT.clone()), ("signing_config.v0.2.json", SIGNING.to_owned())],
        }
    }

    fn trust(&self, action: &str, args: &[&str]) -> Done {
        run(self.home.ours(&["trust", action, "--mirror", &self.mirror.url]).args(args), b"")
    }

    fn update(&self, args: &[&str]) -> Done {
        self.trust("update", &[&["--output", "fetched.json"], args].concat())
    }

    /// The update fails and says this; nothing that is in use changes.
    #[track_caller]
    fn refused(&self, says: &str) {
        let status = self.trust("status", &[]).stdout;
        self.home.write("fetched.json", "before");
        let done = self.update(&[]);
        assert!(done.status == Some(2) && done.stderr.contains(says), "{says}: {done:?}");
        assert!(done.stderr.contains(&self.mirror.url) && done.stdout.is_empty(), "{done:?}");
        assert_eq!(self.home.read("fetched.json"), b"before");
        let after = self.trust("status", &[]).stdout;
        let of_root = |line: &&str| !line.starts_with("  root "); // a root that is good stands by itself
        assert!(status.lines().filter(of_root).eq(after.lines().filter(of_root)), "{status}{after}");
    }

    #[track_caller]
    fn accepted(&self, file: &str) {
        let done = self.update(&[]);
        assert!(done.ok(), "{done:?}");
        assert_eq!(self.home.read("fetched.json"), file.as_bytes());
    }

    fn state(&self) -> std::path::PathBuf {
        let mut folders = std::fs::read_dir(self.home.join(".local/share/git-warrant/trust")).unwrap();
        folders.next().unwrap().unwrap().path()
    }
}

#[test]
fn what_is_new_is_fetched_and_what_is_known_is_not_asked_again() {
    let world = World::new();
    world.accepted(&ROOT);
    assert_eq!(world.mirror.asked()[..2], ["2.root.json", "timestamp.json"]);
    let files = vec![("trusted_root.json", OTHER.clone())];
    Lower { files, ..world.lower(3, 3, 3) }.publish(&world.mirror);
    world.put_root(2, DAY, &[0, 2]);
    world.accepted(&OTHER);
    let status = world.trust("status", &[]);
    assert!(status.ok() && status.stdout.contains("root 2, until ") && status.stdout.contains("timestamp 3, until "), "{status:?}");
    assert!(status.stdout.ends_with("holds trusted_root.json\n"), "what was withdrawn is gone: {status:?}");
    let mode = |path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(world.state()), mode(world.state().join("state.json"))), (0o700, 0o600));
}

#[test]
fn keys_of_each_kind() {
    for (kind, key) in
        [("P-256", Key::p256("k")), ("RSA-PSS", Key::rsa("k")), ("PEM", Key::ed25519_pem("k")), ("hex", Key::new("k"))]
    {
        for consistent in [true, false] {
            let world = World::bare();
            let one: &[&Key] = &[&key];
            let body = root(1, DAY, [(one, 1); 4], consistent);
            world.home.write("1.root.json", signed(&body, one));
            let lower = Lower { timestamp: (1, &key), snapshot: (1, &key), targets: (1, &key), consistent, ..world.lower(1, 1, 1) };
            lower.publish(&world.mirror);
            let done = world.update(&["--root", "1.root.json"]);
            assert!(done.ok(), "{kind}: {done:?}");
        }
    }
}

#[test]
fn rollback_of_each_role() {
    for (versions, says) in [([1, 2, 2], "timestamp"), ([3, 1, 2], "snapshot"), ([3, 3, 1], "targets.json")] {
        let world = World::new();
        let [timestamp, snapshot, targets] = versions;
        world.lower(timestamp, snapshot, targets).publish(&world.mirror);
        world.refused(says);
        world.refused(says); // it is not forgotten by being tried
        world.lower(4, 4, 4).publish(&world.mirror);
        world.accepted(&ROOT);
    }
}

/// Whoever had a key may have led its numbers ahead: with a new key they begin anew (TUF specification 1.0, §5.3.11), and only then.
#[test]
fn numbers_that_were_led_ahead_are_forgotten_with_their_key() {
    for new_key in [false, true] {
        let mut world = World::new();
        world.lower(9, 9, 2).publish(&world.mirror);
        world.accepted(&ROOT);
        if new_key {
            world.snapshot = Key::new("snapshot b");
        }
        world.put_root(2, DAY, &[0, 1]);
        world.lower(10, 3, 3).publish(&world.mirror);
        if !new_key {
            world.refused("snapshot");
            world.refused("snapshot");
            continue;
        }
        world.mirror.remove("timestamp.json");
        world.refused("timestamp.json");
        world.lower(10, 3, 3).publish(&world.mirror);
        world.accepted(&ROOT);
        world.lower(11, 2, 3).publish(&world.mirror);
        world.refused("snapshot"); // it counts again
        world.put_root(3, DAY, &[0, 1]);
        world.refused("snapshot");
    }
}

#[test]
fn a_timestamp_whose_files_are_withheld_is_not_forgotten() {
    let world = World::new();
    world.lower(5, 5, 5).publish(&world.mirror);
    world.mirror.remove("5.snapshot.json");
    world.refused("5.snapshot.json");
    for version in [3, 4] {
        world.lower(version, version, version).publish(&world.mirror);
        world.refused("5 was seen before");
    }
    // an older one of the same snapshot
    world.lower(4, 5, 5).publish(&world.mirror);
    world.refused("its timestamp has the version 4, and 5 was seen before");
    // one that is newer than what is in use, and older than what was seen, lowers nothing either
    world.lower(4, 4, 4).publish(&world.mirror);
    world.mirror.remove("4.snapshot.json");
    world.refused("4.snapshot.json");
    world.lower(4, 4, 4).publish(&world.mirror);
    world.refused("5 was seen before");
    world.lower(6, 6, 6).publish(&world.mirror);
    world.accepted(&ROOT);
}

#[test]
fn a_snapshot_whose_files_are_withheld_is_not_forgotten() {
    for withheld in ["the file", "5.targets.json"] {
        let world = World::new();
        let files = vec![("trusted_root.json", OTHER.clone())];
        Lower { files, ..world.lower(5, 5, 5) }.publish(&world.mirror);
        match withheld {
            "the file" => world.mirror.remove(&format!("targets/{}.trusted_root.json", hex::encode(Sha256::digest(&*OTHER)))),
            name => world.mirror.remove(name),
        }
        world.refused("not found");
        for version in [6, 7] {
            world.lower(version, version, 3).publish(&world.mirror);
            world.refused("its targets.json has the version 3, and 5 was seen before (a rollback)");
        }
        world.lower(8, 8, 5).publish(&world.mirror);
        world.accepted(&ROOT);
    }
}

#[test]
fn what_was_seen_is_not_lowered_by_what_is_refused() {
    let world = World::new();
    world.lower(5, 5, 5).publish(&world.mirror);
    world.mirror.remove("5.targets.json");
    world.refused("5.targets.json");
    for version in [6, 7] {
        world.lower(version, 4, 4).publish(&world.mirror);
        world.refused("its snapshot has the version 4, and 5 was seen before");
        world.mirror.remove("4.snapshot.json");
        world.refused("4.snapshot.json");
    }
    // what keys have signed that are none any more counts for nothing
    let [a, b, c] = &world.root;
    let (timestamp, snapshot) = (Key::new("new timestamp"), Key::new("new snapshot"));
    let body = root(2, DAY, [(&[a, b, c], 2), (&[&timestamp], 1), (&[&snapshot], 1), (&[&world.targets], 1)], true);
    world.mirror.put("2.root.json", signed(&body, &[a, b]));
    Lower { timestamp: (3, &timestamp), snapshot: (3, &snapshot), ..world.lower(3, 3, 3) }.publish(&world.mirror);
    world.accepted(&ROOT);
}

#[test]
fn more_roots_than_are_taken_at_a_time() {
    let world = World::bare();
    (1..=70).for_each(|version| world.put_root(version, DAY, &[0, 1]));
    world.home.write("1.root.json", world.mirror.file("1.root.json"));
    world.lower(1, 1, 1).publish(&world.mirror);
    for args in [&["--root", "1.root.json"][..], &[]] {
        let done = world.update(args);
        assert!(done.status == Some(2) && done.stderr.contains("run it again to go on from there"), "{done:?}");
    }
    world.accepted(&ROOT);
    assert!(world.trust("status", &[]).stdout.contains("root 70, until "));
    // a first root that leads nowhere is not what trust began with
    let (stranger, world) = (World::bare(), World::bare());
    world.put_root(1, DAY, &[0, 1]);
    world.put_root(2, DAY, &[0, 1]);
    world.home.write("1.root.json", world.mirror.file("1.root.json"));
    world.home.write("wrong.json", signed(&stranger.root_body(1, DAY), &[&stranger.root[0], &stranger.root[1]]));
    world.lower(1, 1, 1).publish(&world.mirror);
    assert_eq!(world.update(&["--root", "wrong.json"]).status, Some(2));
    assert!(world.update(&["--root", "1.root.json"]).ok());
    // nor is one after which nothing could come
    let world = World::bare();
    world.home.write("last.json", signed(&world.root_body(u64::MAX, DAY), &[&world.root[0], &world.root[1]]));
    let done = world.update(&["--root", "last.json"]);
    assert!(done.status == Some(2) && done.stderr.contains("its version, 18446744073709551615, is no version"), "{done:?}");
}

#[test]
fn a_key_in_two_forms_signs_once() {
    let world = World::bare();
    let key = Key::ed25519_pem("one");
    let text = key.described["keyval"]["public"].as_str().unwrap();
    let mut other = key.alias("other");
    other.described["keyval"]["public"] = text.replacen('\n', "\nX: y\n\n", 1).into();
    let one: &[&Key] = &[&world.timestamp];
    let body = root(1, DAY, [(&[&key, &other], 2), (one, 1), (one, 1), (one, 1)], true);
    world.home.write("1.root.json", signed(&body, &[&key, &other]));
    let timestamp = &world.timestamp;
    Lower { timestamp: (1, timestamp), snapshot: (1, timestamp), targets: (1, timestamp), ..world.lower(1, 1, 1) }
        .publish(&world.mirror);
    let done = world.update(&["--root", "1.root.json"]);
    assert!(
        done.status == Some(2) && done.stderr.contains("the key other of its role root is neither hexadecimal nor"),
        "{done:?}"
    );
}

#[test]
fn what_is_more_than_can_be_kept_is_not_taken() {
    let world = World::new();
    // a line break takes two bytes in the state
    let long = |text: &str| text.to_owned() + &"\n".repeat((16 << 20) - text.len());
    let files = vec![("trusted_root.json", long(&ROOT)), ("signing_config.v0.2.json", long(SIGNING))];
    Lower { files, ..world.lower(3, 3, 3) }.publish(&world.mirror);
    world.refused("bytes to keep");
    world.lower(4, 4, 4).publish(&world.mirror);
    world.accepted(&ROOT);
}

#[test]
fn where_the_trusted_root_is_written_to() {
    let world = World::new();
    let at = |name: &str| world.home.join(name);
    let to = |name: &str| world.trust("update", &["--output", name]);
    let mode = |name: &str| std::fs::metadata(at(name)).unwrap().permissions().mode() & 0o777;
    let before = world.trust("status", &[]).stdout;
    world.lower(3, 3, 3).publish(&world.mirror);
    assert!(std::process::Command::new("mkfifo").arg(at("fifo")).status().unwrap().success());
    std::os::unix::fs::symlink("absent", at("dangling")).unwrap();
    for (name, says) in [
        ("fifo", "it is no plain file"),
        ("no/such/file", "cannot write"),
        (".", "it is no plain file"),
        ("dangling", "cannot write"),
    ] {
        let done = to(name);
        assert!(done.status == Some(2) && done.stderr.contains(says), "{name}: {done:?}");
        assert_eq!(world.trust("status", &[]).stdout, before, "{name}: nothing is changed");
    }
    assert!(!std::fs::metadata(at("fifo")).unwrap().is_file());
    world.home.write("real", "x");
    std::fs::set_permissions(at("real"), std::fs::Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::symlink("real", at("link")).unwrap();
    assert!(to("link").ok());
    assert!(std::fs::symlink_metadata(at("link")).unwrap().is_symlink());
    assert_eq!((world.home.read("real"), mode("real")), (ROOT.clone().into_bytes(), 0o600));
    assert!(to("new").ok());
    assert_eq!(mode("new"), 0o644);
}

#[test]
fn one_update_at_a_time() {
    let world = World::new();
    let lock = std::fs::File::open(world.state().join("lock")).unwrap();
    lock.lock().unwrap();
    let done = world.update(&[]);
    assert!(
        done.status == Some(2) && done.stderr.contains("another git warrant trust update of this mirror is at work"),
        "{done:?}"
    );
    lock.unlock().unwrap();
    assert!(world.update(&[]).ok());
}

#[test]
fn freeze() {
    let world = World::new();
    for (ends, says) in [([-1, DAY, DAY], "timestamp"), ([DAY, -1, DAY], "snapshot"), ([DAY, DAY, -1], "targets")] {
        Lower { ends, ..world.lower(3, 3, 3) }.publish(&world.mirror);
        world.refused(says);
    }
    // the last root ends, and no newer one is to be had
    world.lower(4, 4, 4).publish(&world.mirror);
    world.put_root(2, -1, &[0, 1]);
    world.refused("root");
    // in the middle of the chain it may have ended long ago
    world.put_root(3, DAY, &[1, 2]);
    world.accepted(&ROOT);
}

#[test]
fn mix_and_match() {
    let world = World::new();
    let old = world.mirror.file("2.snapshot.json");
    world.lower(3, 3, 3).publish(&world.mirror);
    let good = world.mirror.file("3.snapshot.json");
    world.mirror.put("3.snapshot.json", old);
    world.refused("snapshot.json");
    world.mirror.put("3.snapshot.json", good);
    let good = world.mirror.file("3.targets.json");
    world.mirror.put("3.targets.json", world.mirror.file("2.targets.json"));
    world.refused("targets.json");
    world.mirror.put("3.targets.json", good);
    // where only versions are named, they have to be those
    let bare = |name: &'static str| move |body: &mut Value| body["meta"][name] = serde_json::json!({"version": 4});
    world.lower(4, 4, 4).publish_changed(&world.mirror, [&bare("snapshot.json"), &bare("targets.json"), &|_| {}]);
    let snapshot = world.mirror.file("4.snapshot.json");
    world.mirror.put("4.snapshot.json", world.mirror.file("3.snapshot.json"));
    world.refused("version 3 does not match");
    world.mirror.put("4.snapshot.json", snapshot);
    world.accepted(&ROOT);
}

#[test]
fn lengths_and_hashes_that_lie() {
    let world = World::new();
    let longer = |place: &'static str| {
        move |body: &mut Value| {
            let length = body.pointer_mut(place).unwrap();
            *length = (length.as_u64().unwrap() + 1).into();
        }
    };
    let hash = |place: &'static str| move |body: &mut Value| *body.pointer_mut(place).unwrap() = "00".repeat(32).into();
    let none: &dyn Fn(&mut Value) = &|_| {};
    let lower = world.lower(3, 3, 3);
    let file = "/targets/trusted_root.json";
    let (length, digest) = (format!("{file}/length"), format!("{file}/hashes/sha256"));
    let (length, digest): (&'static str, &'static str) = (length.leak(), digest.leak());
    lower.publish_changed(&world.mirror, [&longer("/meta/snapshot.json/length"), none, none]);
    world.refused("snapshot.json: length");
    lower.publish_changed(&world.mirror, [&hash("/meta/snapshot.json/hashes/sha256"), none, none]);
    world.refused("snapshot.json");
    world.lower(5, 5, 5).publish_changed(&world.mirror, [none, &longer("/meta/targets.json/length"), none]);
    world.refused("targets.json: length");
    world.lower(6, 6, 6).publish_changed(&world.mirror, [none, none, &longer(length)]);
    world.refused("trusted_root.json: length");
    world.lower(7, 7, 7).publish_changed(&world.mirror, [none, none, &hash(digest)]);
    world.refused("trusted_root.json not found");
    world.mirror.put(&format!("targets/{}.trusted_root.json", "00".repeat(32)), ROOT.clone().into_bytes());
    world.refused("trusted_root.json");
    world.lower(8, 8, 8).publish_changed(
        &world.mirror,
        [none, none, &|body| body["targets"]["trusted_root.json"]["hashes"] = serde_json::json!({})],
    );
    world.refused("trusted_root.json");
}

#[test]
fn thresholds_count_keys() {
    let world = World::new();
    for signers in [&[0][..], &[0, 0], &[2, 2, 2]] {
        world.put_root(2, DAY, signers);
        world.refused("root");
    }
    // by new keys only, and by old keys only
    let [a, b, _] = &world.root;
    let new = [Key::new("new a"), Key::new("new b")];
    let lower: [(&[&Key], u64); 3] = [(&[&world.timestamp], 1), (&[&world.snapshot], 1), (&[&world.targets], 1)];
    let body = root(2, DAY, [(&[&new[0], &new[1]], 2), lower[0], lower[1], lower[2]], true);
    for signers in [[&new[0], &new[1]], [a, b]] {
        world.mirror.put("2.root.json", signed(&body, &signers));
        world.refused("root");
    }
    // one key under two names
    let twin = a.alias("root twin");
    let body = root(2, DAY, [(&[a, &twin, b], 2), lower[0], lower[1], lower[2]], true);
    world.mirror.put("2.root.json", signed(&body, &[a, &twin, b]));
    world.refused("names one key twice, as root a and as root twin");
    // nobody's threshold
    let body = root(2, DAY, [(&[a, b], 0), lower[0], lower[1], lower[2]], true);
    world.mirror.put("2.root.json", signed(&body, &[a, b]));
    world.refused("threshold 0");
    // both
    let body = root(2, DAY, [(&[&new[0], &new[1]], 2), lower[0], lower[1], lower[2]], true);
    world.mirror.put("2.root.json", signed(&body, &[a, b, &new[0], &new[1]]));
    world.accepted(&ROOT);
}

#[test]
fn keys_of_another_role() {
    let world = World::new();
    let (t, s, g) = (&world.timestamp, &world.snapshot, &world.targets);
    for (keys, says) in [([s, s, g], "timestamp"), ([t, g, g], "snapshot"), ([t, s, t], "targets")] {
        let [timestamp, snapshot, targets] = keys;
        let lower = Lower { timestamp: (3, timestamp), snapshot: (3, snapshot), targets: (3, targets), ..world.lower(3, 3, 3) };
        lower.publish(&world.mirror);
        world.refused(says);
    }
    // a name that says another key, and a file of another role
    let lower = world.lower(4, 4, 4);
    let impostor = Key::new("timestamp");
    Lower { timestamp: (4, &impostor), ..world.lower(4, 4, 4) }.publish(&world.mirror);
    world.refused("timestamp");
    lower.publish(&world.mirror);
    world.mirror.put("timestamp.json", world.mirror.file("4.snapshot.json"));
    world.refused("_type");
}

#[test]
fn a_chain_of_roots_has_no_gaps() {
    let world = World::new();
    world.put_root(3, DAY, &[0, 1]);
    world.accepted(&ROOT); // it is not asked for, since there is no second
    world.mirror.put("2.root.json", world.mirror.file("3.root.json"));
    world.refused("root version");
    world.mirror.put("2.root.json", world.mirror.file("1.root.json"));
    world.refused("root version");
    // a first root that was not that of the beginning
    world.mirror.remove("2.root.json");
    world.home.write("other.json", signed(&world.root_body(1, 2 * DAY), &[&world.root[0], &world.root[1]]));
    let done = world.update(&["--root", "other.json"]);
    assert!(done.status == Some(2) && done.stderr.contains("began with another root"), "{done:?}");
    assert!(world.update(&["--root", "1.root.json"]).ok());
    // a root that its own keys have not signed
    let stranger = World::bare();
    stranger.home.write("1.root.json", signed(&stranger.root_body(1, DAY), &[&stranger.root[0]]));
    let done = stranger.update(&["--root", "1.root.json"]);
    assert!(done.status == Some(2) && done.stderr.contains("root"), "{done:?}");
}

#[test]
fn answers_without_end_elsewhere_or_broken() {
    let world = World::new();
    for name in ["2.root.json", "timestamp.json"] {
        world.mirror.answer(name, Answer::Endless);
        world.refused("its answer is longer than");
        world.mirror.remove(name);
    }
    for to in ["file:///etc/passwd", "http://127.0.0.1:1/", "//elsewhere"] {
        world.mirror.answer("timestamp.json", Answer::Elsewhere(to.to_owned()));
        world.refused("status 302");
    }
    world.lower(3, 3, 3).publish(&world.mirror);
    world.mirror.answer("timestamp.json", Answer::Short(world.mirror.file("timestamp.json")));
    world.refused("breaks off");
    world.mirror.put("timestamp.json", b"{}".to_vec());
    world.refused("signed");
    world.mirror.put("timestamp.json", b"<html>".to_vec());
    world.refused("timestamp.json is not believed");
    world.mirror.remove("timestamp.json");
    world.refused("timestamp.json not found");
}

#[test]
fn metadata_of_two_meanings() {
    let world = World::new();
    world.lower(3, 3, 3).publish(&world.mirror);
    let good = String::from_utf8(world.mirror.file("timestamp.json")).unwrap();
    for (old, new) in [("{\"signatures\"", "{\"signed\":{},\"signatures\""), ("\"version\":3}", "\"version\":3,\"version\":3}")] {
        let twice = good.replacen(old, new, 1);
        assert_ne!(twice, good);
        world.mirror.put("timestamp.json", twice.into_bytes());
        world.refused("two members named");
    }
    world.mirror.put("timestamp.json", good.into_bytes());
    world.accepted(&ROOT);
}

#[test]
fn names_that_lead_elsewhere_and_roles_that_nobody_asks() {
    let world = World::new();
    let none: &dyn Fn(&mut Value) = &|_| {};
    let climb = |body: &mut Value| body["targets"]["trusted_root.json"]["hashes"] = serde_json::json!({"sha256": "../../x"});
    world.lower(3, 3, 3).publish_changed(&world.mirror, [none, none, &climb]);
    world.refused("which is no name");
    assert!(!world.mirror.asked().iter().any(|path| path.contains("..")));
    // what only a delegated role has is nothing
    let delegate = |body: &mut Value| {
        body["targets"] = serde_json::json!({});
        body["delegations"] = serde_json::json!({"keys": {"targets": world.targets.described}, "roles": [{"name": "x",
            "keyids": ["targets"], "threshold": 1, "terminating": true, "paths": ["*"]}]});
    };
    let pin = |body: &mut Value| body["meta"]["x.json"] = serde_json::json!({"version": 4});
    let lower = world.lower(4, 4, 4);
    world.mirror.put("4.x.json", signed(&lower.targets_body(), &[&world.targets]));
    lower.publish_changed(&world.mirror, [none, &pin, &delegate]);
    world.refused("it has no trusted_root.json");
    assert!(!world.mirror.asked().iter().any(|path| path.contains("x.json")));
    // what is signed, and is none
    for (name, text) in [("trusted_root.json", "{}"), ("signing_config.v0.2.json", "{}")] {
        let lower = world.lower(5, 5, 5);
        let files = lower.files.iter().map(|(it, file)| (*it, if *it == name { text.to_owned() } else { file.clone() })).collect();
        Lower { files, ..lower }.publish(&world.mirror);
        world.refused("not a");
    }
}

#[test]
fn the_state_is_the_users_own_and_whole() {
    let world = World::new();
    let (folder, file) = (world.state(), world.state().join("state.json"));
    let parents: Vec<_> = folder.ancestors().skip(1).take(2).collect();
    let set = |path: &std::path::Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    let (above, top) = (parents[0], parents[1]);
    for (path, bad, good) in [(&*folder, 0o777, 0o700), (&*file, 0o622, 0o600), (above, 0o777, 0o700), (top, 0o720, 0o755)] {
        set(path, bad);
        for action in ["update", "status"] {
            let done = world.trust(action, &[]);
            assert!(done.status == Some(2) && done.stderr.contains("is not believed"), "{done:?}");
        }
        set(path, good);
    }
    std::fs::write(folder.join(".new-left"), "x").unwrap();
    world.accepted(&ROOT);
    assert!(!folder.join(".new-left").exists());
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let done = world.update(&[]);
    assert!(done.status == Some(2) && done.stderr.contains("is damaged"), "{done:?}");
    // of another mirror, or of none
    let text = String::from_utf8(whole.clone()).unwrap();
    for other in [text.replacen(&world.mirror.url, "http://127.0.0.1:1", 1), text.replacen("\"mirror\"", "\"moved\"", 1)] {
        assert_ne!(other, text);
        std::fs::write(&file, other).unwrap();
        for action in ["update", "status"] {
            let done = world.trust(action, &[]);
            assert!(done.status == Some(2) && done.stderr.contains("and not of http://127.0.0.1:"), "{done:?}");
        }
    }
    std::fs::write(&file, &whole).unwrap();
    // killed at any moment, it is the old state or the new one
    for version in 3..23 {
        world.lower(version, version, version).publish(&world.mirror);
        let mut command = world.home.ours(&["trust", "update", "--mirror", &world.mirror.url]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_micros(version * 700));
        let _ = child.kill();
        child.wait().unwrap();
        let status = world.trust("status", &[]);
        assert!(status.ok() && status.stdout.contains("holds trusted_root.json and"), "{status:?}");
    }
    world.accepted(&ROOT);
    assert!(world.trust("status", &[]).stdout.contains("timestamp 22, "));
}

#[test]
fn what_was_never_fetched_and_what_has_ended() {
    let world = World::bare();
    let done = world.trust("status", &[]);
    assert!(done.ok() && done.stdout.starts_with("nothing was fetched from "), "{done:?}");
    let done = world.update(&[]);
    assert!(done.status == Some(2) && done.stderr.contains("--root FILE"), "{done:?}");
    let done = run(&mut world.home.ours(&["trust", "update", "--mirror", "http://example.com"]), b"");
    assert!(done.status == Some(2) && done.stderr.contains("neither https nor on this machine"), "{done:?}");
    let world = World::new();
    Lower { ends: [1, DAY, DAY], ..world.lower(3, 3, 3) }.publish(&world.mirror);
    world.accepted(&ROOT);
    std::thread::sleep(std::time::Duration::from_millis(2100));
    let done = world.trust("status", &[]);
    assert!(done.ok() && done.stderr.contains("has ended since"), "{done:?}");
    assert!(moment(0) > moment(-1));
}
