//! Row 10: FIDO tokens that sign without being touched.

use crate::token::{KIND, public, signed};
use crate::world::{World, done};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::SigningKey;
use git_warrant::armor::encode_ssh;

// guard: policy.rs, conclude (Warning::NoTouch); signature/ssh (the flags are what the token signed)
#[test]
fn row_10_a_signature_without_a_touch_is_reported() {
    let world = World::new();
    world.signed("r", 1);
    let key = SigningKey::from_bytes(&[7; 32]);
    let line = format!("alice@example.com {} {}\n", std::str::from_utf8(KIND).unwrap(), STANDARD.encode(public(&key)));
    world.home.write("signers", line);
    let who = "Alice <alice@example.com> 1700000000 +0000";
    let (head, message) = (format!("tree {}\nauthor {who}\ncommitter {who}\n", world.id("r", "HEAD^{tree}")), "\nm\n");
    let payload = format!("{head}{message}");
    for (flags, warnings, touch) in
        [(0, &["no-touch"][..], "not touched"), (1, &[], "touched"), (5, &[], "user verified"), (4, &["no-touch"], "not touched")]
    {
        let signature = signed(&key, payload.as_bytes(), flags).trim_end().replace('\n', "\n ");
        let id = world.object("r", "commit", format!("{head}gpgsig {signature}\n{message}").as_bytes());
        let judged = world.judged("r", &["--no-walk", &id]);
        assert_eq!((judged.status, judged.verdicts()[0].1.as_str()), (Some(0), "accept"), "{flags}: {}", judged.stdout);
        assert_eq!(judged.verdicts()[0].2, warnings, "{flags}");
        let shown = done(&mut world.warrant("r", &["show", &id]));
        assert!(shown.stdout.contains(&format!("token       {touch}")) || shown.stdout.contains(touch), "{shown:?}");
        assert!(shown.stdout.contains("counter 7"), "{shown:?}");
        // the flags are signed: another byte there, and the signature is bad
        let lie = signed(&key, payload.as_bytes(), flags);
        let mut blob = STANDARD.decode(lie.lines().filter(|line| !line.starts_with('-')).collect::<String>()).unwrap();
        let at = blob.len() - 5;
        blob[at] ^= 1;
        let lie = String::from_utf8(encode_ssh(&blob)).unwrap().trim_end().replace('\n', "\n ");
        let id = world.object("r", "commit", format!("{head}gpgsig {lie}\n{message}").as_bytes());
        assert_eq!(world.judged("r", &["--no-walk", &id]).words(), ["bad-signature"], "{flags}");
    }
}
