//! Agents that lie, stall and die: threats.md row 11. None may hang us, eat memory, or leave a signature behind.

use crate::common::Home;
use crate::signing::{assert_good, assert_refused, assert_signed, sign};
use git_warrant::signature::ssh::wire::{Reader, Writer};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What a fake agent does with a request: bytes to send (unframed answers are framed by [`frame`]); `None` hangs up.
pub(crate) type Answer = Box<dyn FnMut(&[u8], &mut UnixStream) -> Option<Vec<u8>> + Send>;

/// An agent inside the test, listening until the process ends.
pub(crate) fn fake(home: &Home, mut answer: Answer) -> PathBuf {
    let socket = home.join("fake.sock");
    let _ = std::fs::remove_file(&socket);
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            while let Some(request) = read_frame(&mut stream) {
                let Some(bytes) = answer(&request, &mut stream) else { break };
                if stream.write_all(&bytes).is_err() {
                    break;
                }
            }
        }
    });
    socket
}

fn read_frame(stream: &mut UnixStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut frame = vec![0; usize::try_from(u32::from_be_bytes(length)).ok()?];
    stream.read_exact(&mut frame).ok()?;
    Some(frame)
}

pub(crate) fn frame(answer: Writer) -> Vec<u8> {
    Writer::default().string(&answer.into_bytes()).into_bytes()
}

/// The answer to a request for the keys.
pub(crate) fn identities(blobs: &[&[u8]]) -> Vec<u8> {
    let start = Writer::default().byte(12).u32(u32::try_from(blobs.len()).unwrap());
    frame(blobs.iter().fold(start, |list, blob| list.string(blob).string(b"comment")))
}

/// The key, the data and the flags of a request to sign.
pub(crate) fn sign_request(request: &[u8]) -> (Vec<u8>, Vec<u8>, u32) {
    let mut reader = Reader::new(&request[1..]);
    let (blob, data) = (reader.string().unwrap().to_vec(), reader.string().unwrap().to_vec());
    (blob, data, reader.u32().unwrap())
}

pub(crate) fn blob(line: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(line.split(' ').nth(1).unwrap()).unwrap()
}

/// A home whose key `k` is only in a fake agent, which lists it and answers requests to sign in its own way.
fn against(mut answer: impl FnMut(&[u8], &mut UnixStream) -> Option<Vec<u8>> + Send + 'static) -> (Home, PathBuf) {
    let home = Home::new();
    home.key("k", &["ed25519"], "");
    home.write("message", "what is signed\n");
    home.write("signers", format!("alice@example.com {}\n", home.public("k")));
    let key = blob(&home.public("k"));
    std::fs::remove_file(home.join("k")).unwrap();
    let answer = move |request: &[u8], stream: &mut UnixStream| match request[0] {
        11 => Some(identities(&[&key])),
        _ => answer(request, stream),
    };
    let socket = fake(&home, Box::new(answer));
    (home, socket)
}

#[test]
fn lies_when_signing_leave_nothing() {
    use ed25519_dalek::{Signer as _, SigningKey};
    let other = |data: &[u8]| {
        let signature = SigningKey::from_bytes(&[7; 32]).sign(data).to_bytes();
        let blob = Writer::default().string(b"ssh-ed25519").string(&signature).into_bytes();
        frame(Writer::default().byte(14).string(&blob))
    };
    type Lie = Box<dyn FnMut(&[u8], &mut UnixStream) -> Option<Vec<u8>> + Send>;
    let table: Vec<(&str, Lie)> = vec![
        ("announces an answer of 4294967295 bytes", Box::new(|_, _| Some(vec![0xff; 4]))),
        ("announces an answer of 262145 bytes", Box::new(|_, _| Some(vec![0, 4, 0, 1]))),
        ("announces an answer of 0 bytes", Box::new(|_, _| Some(vec![0; 4]))),
        ("answers a request to sign with something else", Box::new(|_, _| Some(identities(&[])))),
        ("its signature is cut short", Box::new(|_, _| Some(frame(Writer::default().byte(14).u32(99))))),
        ("its signature is cut short", Box::new(|_, _| Some(frame(Writer::default().byte(14).string(b"x").byte(0))))),
        ("broke off", Box::new(|_, _| None)),
        (
            "broke off",
            Box::new(|_, stream| {
                stream.write_all(&[0, 0, 0, 90, 14, 0]).unwrap();
                None
            }),
        ),
        ("the agent refused to sign", Box::new(|_, _| Some(frame(Writer::default().byte(5))))),
        ("does not verify with the key", Box::new(|_, _| Some(frame(Writer::default().byte(14).string(b""))))),
        ("does not verify with the key", Box::new(move |request, _| Some(other(&sign_request(request).1)))),
    ];
    for (part, lie) in table {
        let (home, socket) = against(lie);
        for options in [&["-U"][..], &[]] {
            assert_refused(&home, &sign(&home, "k.pub", options, Some(&socket)), part);
        }
    }
}

#[test]
fn lies_when_listing_leave_nothing_and_the_file_signs() {
    let mut answers = vec![vec![0xff; 4], vec![0, 0, 0, 2, 12, 0], frame(Writer::default().byte(14)), vec![0, 0, 0, 1, 5]];
    answers.push(frame(Writer::default().byte(12).u32(u32::MAX)));
    for answer in answers {
        let home = Home::new();
        home.key("k", &["ed25519"], "");
        home.write("message", "what is signed\n");
        home.write("signers", format!("alice@example.com {}\n", home.public("k")));
        let mut once = Some(answer.clone());
        let socket = fake(
            &home,
            Box::new(move |_, stream| {
                stream.write_all(&once.clone().unwrap_or_default()).unwrap();
                if answer.len() == 6 { once.take().and(None) } else { Some(Vec::new()) }
            }),
        );
        let done = sign(&home, "k", &["-U"], Some(&socket));
        assert_refused(&home, &done, "agent");
        assert_signed(&sign(&home, "k", &[], Some(&socket)));
        assert_good(&home);
    }
}

#[test]
fn a_key_that_we_cannot_parse_hides_no_other() {
    let home = Home::new();
    home.key("k", &["ed25519"], "");
    let real = crate::common::SshAgent::start(&home, &[]);
    real.add(&home, &["-q", "k"]);
    home.write("message", "what is signed\n");
    home.write("signers", format!("alice@example.com {}\n", home.public("k")));
    let key = blob(&home.public("k"));
    let behind = real.socket.clone();
    let socket = fake(
        &home,
        Box::new(move |request, _| match request[0] {
            11 => Some(identities(&[b"", b"\0\0\0\x0cssh-unheard!", &[0xff; 300], &key])),
            _ => {
                let mut stream = UnixStream::connect(&behind).unwrap();
                stream.write_all(&Writer::default().string(request).into_bytes()).unwrap();
                Some(Writer::default().string(&read_frame(&mut stream)?).into_bytes())
            }
        }),
    );
    assert_signed(&sign(&home, "k.pub", &["-U"], Some(&socket)));
    assert_good(&home);
}

#[test]
fn ten_seconds_for_listing_however_it_drips() {
    let home = Home::new();
    home.key("k", &["ed25519"], "");
    home.write("message", "what is signed\n");
    let socket = fake(
        &home,
        Box::new(|_, stream| {
            for byte in identities(&[&[0; 1000]]) {
                std::thread::sleep(Duration::from_millis(400));
                stream.write_all(&[byte]).ok()?;
            }
            None
        }),
    );
    let start = Instant::now();
    let done = sign(&home, "k.pub", &["-U"], Some(&socket));
    let took = start.elapsed();
    assert_refused(&home, &done, "gave no answer within 10 seconds");
    assert!((Duration::from_secs(9)..Duration::from_secs(13)).contains(&took), "{took:?}");
}

#[test]
fn a_full_queue_of_connections_is_waited_for_ten_seconds_too() {
    let home = Home::new();
    home.key("k", &["ed25519"], "");
    home.write("message", "what is signed\n");
    let socket = home.join("full.sock");
    let _listener = UnixListener::bind(&socket).unwrap(); // accepts nobody
    let mut waiting = Vec::new();
    let (sender, receiver) = std::sync::mpsc::channel();
    loop {
        let (sender, socket) = (sender.clone(), socket.clone());
        std::thread::spawn(move || sender.send(UnixStream::connect(socket)));
        match receiver.recv_timeout(Duration::from_millis(500)) {
            Ok(Ok(stream)) => waiting.push(stream),
            _ => break,
        }
        if waiting.len() > 5000 {
            return crate::common::skipped("a listener's queue that fills up");
        }
    }
    assert_refused(&home, &sign(&home, "k.pub", &["-U"], Some(&socket)), "gave no answer within 10 seconds");
}
