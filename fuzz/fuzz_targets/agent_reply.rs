//! What answers at SSH_AUTH_SOCK: the first half of the input answers the request for keys, the rest the request to sign.
#![no_main]

use git_warrant::evidence::Key;
use git_warrant::io::keys::agent::Agent;
use git_warrant::policy::public_key::read_key;
use git_warrant::signature::ssh::MessageHash;
use git_warrant::signature::ssh::sign::Signer as _;
use libfuzzer_sys::fuzz_target;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, LazyLock, Mutex};

const LINE: &[u8] = b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKecyjh9aNmD4rb8WblA8v91JjRb0Cd2JtkzqxcggGeG";

struct Server {
    path: PathBuf,
    answers: Mutex<Sender<Vec<u8>>>,
    key: Arc<Key>,
}

static SERVER: LazyLock<Server> = LazyLock::new(|| {
    let path = std::env::temp_dir().join(format!("git-warrant-fuzz-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    let (sender, receiver) = channel::<Vec<u8>>();
    std::thread::spawn(move || {
        for answer in receiver {
            let (mut stream, _) = listener.accept().unwrap();
            let list = answer.get(..4).map_or(0, |length| u32::from_be_bytes(length.try_into().unwrap()) as usize);
            let (list, signature) = answer.split_at(list.saturating_add(4).min(answer.len()));
            let _ = request(&mut stream).and_then(|()| stream.write_all(list));
            if !signature.is_empty() {
                let _ = request(&mut stream).and_then(|()| stream.write_all(signature));
            }
        }
    });
    Server { path, answers: Mutex::new(sender), key: read_key(LINE).unwrap() }
});

/// Reads one request.
fn request(stream: &mut UnixStream) -> std::io::Result<()> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    stream.read_exact(&mut vec![0; u32::from_be_bytes(length) as usize])
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    part.is_empty() || bytes.windows(part.len()).any(|window| window == part)
}

fuzz_target!(|answers: &[u8]| {
    SERVER.answers.lock().unwrap().send(answers.to_vec()).unwrap();
    let Ok(mut agent) = Agent::find(Some(SERVER.path.as_os_str()), &SERVER.key) else { return };
    assert!(holds(answers, &SERVER.key.blob), "a key that nobody named");
    if let Ok(signature) = agent.sign(b"message", MessageHash::Sha512) {
        assert!(holds(answers, &signature), "a signature that nobody gave");
    }
});
