//! Row 20: names from a repository, on their way to a terminal, a log, a program.

use crate::common::run;
use crate::world::{World, done};

/// Names that move a cursor, hide text, turn it round, or pretend to be a line of ours or of gpg's.
const HOSTILE: [&str; 9] = [
    "\u{1b}[2J\u{1b}[1;1Haccept everything",
    "\u{9b}2J",
    "\u{202e}nimda\u{202c}",
    "\u{2066}x\u{2069}",
    "a\u{200b}b\u{feff}c\u{ad}",
    "bell\u{7}back\u{8}\u{8}\u{8}\u{7f}",
    "return\raccept 0000",
    "tab\tstop\u{b}\u{c}",
    "[GNUPG:] GOODSIG 0 \u{85}x\u{2028}y",
];

/// Whether a report holds a character that does more than stand there; line ends and, in front, blanks are ours.
fn hostile(text: &str) -> Option<char> {
    text.chars().find(|c| {
        (c.is_control() && *c != '\n')
            || matches!(*c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{ad}')
    })
}

// guard: report/escape.rs, printable and name (every text of a repository goes through them); report/jsonl.rs, write_line
#[test]
fn row_20_no_name_reaches_the_terminal_as_it_is() {
    let world = World::new();
    world.signed("r", 1);
    let tree = world.id("r", "HEAD^{tree}");
    let mut parent = world.id("r", "HEAD");
    for (number, name) in HOSTILE.iter().enumerate() {
        let who = format!("{name} <{name}@example.com> {} +0000", 1_700_000_000 + number);
        let commit = format!("tree {tree}\nparent {parent}\nauthor {who}\ncommitter {who}\n\n{name}\n\n{name}\n");
        parent = world.object("r", "commit", commit.as_bytes());
        let tag = format!("object {parent}\ntype commit\ntag {name}\ntagger {who}\n\n{name}\n");
        let tag = world.object("r", "tag", tag.as_bytes());
        world.home.git("r", &["update-ref", &format!("refs/tags/t{number}"), &tag]);
    }
    world.home.git("r", &["update-ref", "refs/heads/main", &parent]);
    // an honest commit on top, so that the unsigned ones are no past that one line sums up
    world.home.git("r", &["reset", "-q", "--hard"]);
    let signed = world.signers("signers", &["alice"]);
    let mut lines = std::fs::read_to_string(&signed).unwrap();
    lines.push_str(&format!("\u{1b}[31m@x {}\n", world.home.public("bob")));
    std::fs::write(&signed, lines).unwrap();
    world.commit_as("r", "by bob", &world.person("bob"), &["-S"]);

    let tags: Vec<String> = (0..HOSTILE.len()).map(|n| format!("t{n}")).collect();
    let revisions: Vec<&str> = tags.iter().map(String::as_str).chain(["HEAD"]).collect();
    for extra in [&["--all-verdicts"][..], &[], &["--strict"], &["--no-walk", "--all-verdicts"], &["--format", "jsonl"]] {
        let ran = world.verify("r", &[extra, &revisions].concat());
        assert_eq!(ran.status, Some(1));
        for text in [&ran.stdout, &ran.stderr] {
            assert_eq!(hostile(text), None, "{extra:?}: {text}");
            assert!(!text.lines().any(|line| line.starts_with("[GNUPG:]") || line.starts_with("accept 0000")), "{text}");
        }
    }
    let judged = world.judged("r", &revisions);
    assert!(judged.stdout.is_ascii());
    assert_eq!(judged.lines.len(), 1 + 2 * HOSTILE.len() + 1);
    for revision in &revisions {
        for format in ["human", "jsonl"] {
            for policy in [&["--policy", &world.policy()][..], &[]] {
                let ran = done(&mut world.warrant("r", &[&["show", "--format", format, revision], policy].concat()));
                assert!(ran.ok(), "{ran:?}");
                assert_eq!(hostile(&(ran.stdout.clone() + &ran.stderr)), None, "{ran:?}");
                assert!(format == "human" || ran.stdout.is_ascii());
            }
        }
    }
    // without a policy the keys are listed by e-mail
    let ran = done(&mut world.warrant("r", &["verify"]));
    assert_eq!((ran.status, hostile(&ran.stderr)), (Some(2), None), "{ran:?}");
}

// guard: run/native.rs, explain (printable); run/hook.rs, complain(printable)
#[test]
fn row_20_nor_do_names_of_refs_files_and_arguments() {
    let world = World::new();
    world.signed("r", 1);
    let bad = world.commit("r", "forgot", &[]);
    for name in HOSTILE {
        let file = world.home.join(format!("{name}-signers").replace('/', "_"));
        std::fs::write(&file, format!("x wat=\"{name}\" y\n{}", world.line("alice", ""))).unwrap();
        let file = file.to_str().unwrap();
        for args in [
            &["verify", "--policy", file][..],
            &["verify", "--policy", name],
            &["verify", "--policy", &world.policy(), name],
            &["verify", "--policy", &world.policy(), "--baseline", name],
            &["verify", name, "--policy", file],
            &["show", name],
            &["show", "--policy", file, "HEAD"],
            &["verify", "--threads", name],
            &[name],
        ] {
            let ran = done(&mut world.warrant("r", args));
            for text in [&ran.stdout, &ran.stderr] {
                assert_eq!(hostile(text), None, "{args:?}: {text}");
            }
        }
        // git lets control characters in no ref; what is pushed by another program may hold them all the same
        let zero = "0".repeat(40);
        let input = format!("{zero} {bad} refs/heads/{name}\n{zero} {bad} refs/heads/ok\n{zero} {bad} refs/notes/{name}\n");
        let ran = run(&mut world.warrant("r", &["hook", "pre-receive", "--policy", file]), input.as_bytes());
        assert!(matches!(ran.status, Some(1 | 2)), "{ran:?}");
        assert_eq!(hostile(&ran.stderr), None, "{ran:?}");
    }
}
