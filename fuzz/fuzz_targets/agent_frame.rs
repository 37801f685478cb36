//! What comes to the keyless agent's socket, frame after frame; and what a signer makes of an agent that answers these bytes.
#![no_main]

use git_warrant::io::agent::{Agent, Answered, Holder};
use git_warrant::signature::x509::sign::SignedAttributes;
use libfuzzer_sys::fuzz_target;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::sync::mpsc::{Sender, channel};
use std::sync::{LazyLock, Mutex};

/// Listens in an agent's place: the first who comes hears that one is there, the next hears what is sent here.
static IMPOSTOR: LazyLock<Mutex<Sender<Vec<u8>>>> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("git-warrant-fuzz-{}", std::process::id()));
    let place = folder.join("git-warrant");
    std::fs::create_dir_all(&place).unwrap();
    std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o700)).unwrap();
    // SAFETY: before the first thread of this process that reads the environment
    unsafe { std::env::set_var("XDG_RUNTIME_DIR", &folder) };
    let _ = std::fs::remove_file(place.join("agent"));
    let listener = UnixListener::bind(place.join("agent")).unwrap();
    let (sender, receiver) = channel::<Vec<u8>>();
    std::thread::spawn(move || {
        let status = br#"{"status":{"process":1,"locked":false,"certificates":[]}}"#;
        let status = [&(status.len() as u32).to_be_bytes()[..], status].concat();
        for answer in receiver {
            for says in [&status, &answer] {
                let (mut stream, _) = listener.accept().unwrap();
                let mut length = [0; 4];
                stream.read_exact(&mut length).unwrap();
                stream.read_exact(&mut vec![0; u32::from_be_bytes(length) as usize]).unwrap();
                let _ = stream.write_all(says);
            }
        }
    });
    Mutex::new(sender)
});

fuzz_target!(init: LazyLock::force(&IMPOSTOR), |bytes: &[u8]| {
    let holder = Holder::default();
    let mut rest = bytes;
    loop {
        let before = rest.len();
        let mut answer = Vec::new();
        if holder.serve(&mut rest, &mut answer).is_ok() {
            let (length, text) = answer.split_first_chunk().unwrap();
            assert_eq!(u32::from_be_bytes(*length) as usize, text.len());
            let text = std::str::from_utf8(text).unwrap();
            // it holds a certificate of nobody
            assert!(!text.starts_with(r#"{"signature""#) && text != r#""kept""#, "{text}");
        }
        if rest.is_empty() || rest.len() == before {
            break;
        }
    }
    IMPOSTOR.lock().unwrap().send(bytes.to_vec()).unwrap();
    let agent = Agent::find().unwrap();
    let attributes = SignedAttributes::new(b"payload", 1_750_000_000);
    if let Ok(Answered::Signature(leaf, signature)) = agent.sign("x", &attributes) {
        assert!(!leaf.signed(attributes.as_der(), &signature), "a signature out of nothing");
    }
});
