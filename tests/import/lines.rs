//! allowed_signers files.

use super::{import, imported, principals, says};
use crate::world::World;
use git_warrant::policy::file::Status;

#[test]
fn lines_become_principals_and_authorities() {
    let world = World::new();
    for name in ["carol", "dave", "erin", "frank", "ca"] {
        world.home.key(name, &["ed25519"], "");
    }
    let key = |name: &str| world.home.public(name);
    let text = [
        format!("alice@example.com,alice@example.org namespaces=\"git\" {} her laptop", key("alice")),
        format!("bob@example.com valid-before=\"20200101Z\" {}", key("bob")),
        format!("carol@example.com valid-after=\"20200101Z\",valid-before=\"99980101Z\" {}", key("carol")),
        format!("*@corp.example,!eve@corp.example {}", key("dave")),
        format!("erin {}", key("erin")),
        format!("frank@example.com namespaces=\"file\" {}", key("frank")),
        format!("*@corp.example cert-authority {}", key("ca")),
        format!("bob@example.com {}", key("mallory")),
        format!("late@example.com {}", key("ca")),
        "nonsense".to_owned(),
    ];
    world.home.write("list", text.join("\n"));
    let (policy, printed) = imported(&world, "list");
    let got: Vec<_> = policy.principals.iter().map(|it| (it.name.as_str(), it.emails.clone(), it.keys[0].status.clone())).collect();
    let emails = |list: &[&str]| list.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
    let want = [
        ("alice@example.com", emails(&["alice@example.com", "alice@example.org"]), Status::Active),
        ("bob@example.com", emails(&["bob@example.com"]), Status::Retired { before: None }),
        ("carol@example.com", emails(&["carol@example.com"]), Status::Active),
        ("erin", emails(&[]), Status::Active),
    ];
    assert_eq!(got, want, "{printed}");
    assert_eq!(policy.principals[1].keys.len(), 2, "both keys of one person: {printed}");
    assert_eq!(policy.principals[1].keys[1].status, Status::Active);
    let authority = &policy.authorities[0];
    assert_eq!((authority.name.as_str(), authority.principals.as_bytes()), ("*@corp.example", &b"*@corp.example"[..]));
    let ran = import(&world, "list");
    says(
        &ran,
        0,
        &[
            "list:2: ended at 2020-01-01T00:00:00Z: retired",
            "list:3: ends at 9998-01-01T00:00:00Z, which cannot be said ahead",
            "list:3: begins at 2020-01-01T00:00:00Z",
            "list:4: refuses names (`!`)",
            "list:5: names no address letter by letter",
            "list:6: is not for git's signatures",
            "list:9: lists the key of line 7 as something else",
            "list:10: ",
        ],
    );
}

#[test]
fn what_judged_before_judges_alike() {
    let world = World::new();
    world.repo("r", &[]);
    let good = world.commit("r", "by alice", &["-S"]);
    let bob = world.commit_as("r", "by bob", &world.person("bob"), &["-S"]);
    let mallory = world.commit_as("r", "by mallory", &world.person("mallory"), &["-S"]);
    let crossed = world.commit_as("r", "by bob for alice", &world.person("bob")[2..], &["-S"]);
    let (policy, _) = imported(&world, "signers");
    assert_eq!(principals(&policy).len(), 2);
    let by = |policy: &str| {
        let judged = world.judged_by("r", world.home.join(policy).to_str().unwrap(), &[]);
        [&good, &bob, &mallory, &crossed].map(|id| judged.of_object(id))
    };
    assert_eq!(by("signers"), ["accept", "accept", "key-unlisted", "accept"]);
    // stricter, as it says: the signer is the committer
    assert_eq!(by("imported.toml"), ["accept", "accept", "key-unlisted", "signer-not-committer"]);
}

#[test]
fn what_a_line_refuses_is_refused() {
    let world = World::new();
    world.repo("r", &[]);
    let (alice, mallory) = (world.person("alice"), world.person("mallory"));
    let by_alice = world.commit_as("r", "by alice", &alice, &["-S"]);
    let crossed = [world.person("mallory")[..2].to_vec(), alice[2..].to_vec()].concat();
    let crossed = world.commit_as("r", "by alice for mallory", &crossed, &["-S"]);
    let by_mallory = world.commit_as("r", "by mallory", &mallory, &["-S"]);
    let (key, other) = (world.home.public("alice"), world.home.public("bob"));
    // the second line is there so that there is a policy
    let judged = |line: &str| {
        world.home.write("list", format!("{line} {key}\nbob@example.com {other}\n"));
        let (_, text) = imported(&world, "list");
        assert!(!text.contains("Stricter"), "{text}");
        let by = |policy: &str| {
            let judged = world.judged_by("r", world.home.join(policy).to_str().unwrap(), &[]);
            [&by_alice, &crossed, &by_mallory].map(|id| judged.of_object(id))
        };
        (by("list"), by("imported.toml"))
    };
    let (before, after) = judged("*@example.com,!mallory@example.com");
    assert_eq!(before, ["accept", "signer-not-committer", "key-unlisted"]);
    assert_eq!(after, ["key-unlisted", "key-unlisted", "key-unlisted"]);
    // letter by letter, it can be said
    let (before, after) = judged("alice@example.com,mallory@example.com,!m*@example.com");
    assert_eq!((&before, &after), (&["accept", "signer-not-committer", "key-unlisted"].map(str::to_owned), &before));
    // and what begins later does not begin now
    let (before, after) = judged("alice@example.com valid-after=\"99980101Z\"");
    assert_ne!(before[0], "accept");
    assert_eq!(after[0], "key-unlisted");
    says(&import(&world, "list"), 0, &["list:1: begins at 9998-01-01T00:00:00Z", "left out"]);
    // an authority keeps its patterns
    world.home.write("list", format!("*@example.com,!mallory@example.com cert-authority {key}\n"));
    assert_eq!(imported(&world, "list").0.authorities[0].principals.as_bytes(), b"*@example.com,!mallory@example.com");
}

#[test]
fn what_signs_nothing_and_what_is_no_address_is_said() {
    let world = World::new();
    world.home.key("weak", &["rsa", "-b1024"], "");
    let (weak, key) = (world.home.public("weak"), world.home.public("alice"));
    world.home.write("list", format!("w@x {weak}\ndave@x,dave {key}\n"));
    let (policy, text) = imported(&world, "list");
    assert_eq!(policy.principals[0].emails, ["dave@x"]);
    for words in ["line 1: is an RSA key of 1024 bits, which signs nothing here", "line 2: has names that are no address"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    says(&import(&world, "list"), 0, &["list:1: is an RSA key of 1024 bits", "list:2: has names that are no address"]);
}
