//! Signing that is killed: the signature is there whole or not at all, and nothing is left in the way of the next run.

use crate::common::{Home, run};
use crate::signing::{assert_good, assert_signed, check, sign};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Kills that many runs, each at a moment of its own between start and end, and signs again after each.
fn kill(kills: u32, old: Option<&[u8]>) {
    let home = Home::new();
    home.key("k", &["ed25519"], "");
    home.write("message", vec![b'x'; 300_000]);
    home.write("signers", format!("alice@example.com {}\n", home.public("k")));
    home.write("yes", "y\n");
    let start = Instant::now();
    assert_signed(&sign(&home, "k", &[], None));
    // the runs themselves show how long one takes: the longest that was killed is the measure of the next
    let mut whole_run = start.elapsed();
    let whole = home.read("message.sig");
    let (mut absent, mut there) = (0, 0);
    for round in 0..kills {
        let _ = std::fs::remove_file(home.join("message.sig"));
        if let Some(old) = old {
            home.write("message.sig", old);
        }
        let mut command = home.ours(&["-Y", "sign", "-n", "git", "-f", "k", "message"]);
        command.stdin(std::fs::File::open(home.join("yes")).unwrap()).stdout(Stdio::null()).stderr(Stdio::null());
        let start = Instant::now();
        let mut child = command.spawn().unwrap();
        let after = whole_run * (round * 7919 % 1000) / 1000;
        while start.elapsed() < after && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_micros(20));
        }
        let _ = child.kill();
        let killed = child.wait().unwrap().code().is_none();
        if !killed {
            whole_run = (whole_run + start.elapsed()) / 2;
        } else if after > whole_run * 8 / 10 {
            whole_run += whole_run / 5; // it takes longer than was thought
        }
        match std::fs::read(home.join("message.sig")) {
            Ok(bytes) if old == Some(&bytes) => absent += 1,
            Ok(bytes) => {
                assert_eq!(bytes, whole, "round {round}: a signature that is not whole");
                there += 1;
            }
            Err(_) => {
                assert_eq!(old, None, "round {round}: the old one is gone, and no new one there");
                absent += 1;
            }
        }
        if old.is_some() {
            let yes = std::fs::File::open(home.join("yes")).unwrap();
            let over = home.ours(&["-Y", "sign", "-n", "git", "-f", "k", "message"]).stdin(yes).output().unwrap();
            assert!(over.status.success(), "{over:?}");
        } else {
            assert_signed(&sign(&home, "k", &[], None));
        }
        assert_eq!(home.read("message.sig"), whole);
        let left: Vec<_> = std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        let known = ["gitconfig", "k", "k.pub", "message", "message.sig", "signers", "yes"];
        assert!(left.iter().all(|name| known.iter().any(|known| name == known)), "round {round}: {left:?}");
    }
    assert_good(&home);
    check(&home);
    assert!(run(&mut home.ours(&["-Y", "check-novalidate", "-n", "git", "-s", "message.sig"]), &home.read("message")).ok());
    println!("{kills} runs killed: {absent} times no signature, {there} times a whole one");
    assert!(absent > 0 && there > 0, "the moments do not span the run: {absent}, {there}");
}

#[test]
fn a_signature_is_whole_or_absent() {
    kill(40, None);
}

#[test]
fn what_takes_anothers_place_is_the_old_one_or_the_new() {
    kill(40, Some(b"old"));
}

/// `cargo test --test ssh_keygen killed -- --ignored --nocapture`
#[test]
#[ignore = "a thousand runs: minutes"]
fn a_signature_is_whole_or_absent_a_thousand_times() {
    kill(1_000, None);
    kill(1_000, Some(b"old"));
}
