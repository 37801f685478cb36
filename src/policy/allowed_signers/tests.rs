//! Lines, options and times.

use super::*;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKecyjh9aNmD4rb8WblA8v91JjRb0Cd2JtkzqxcggGeG";

fn parse(text: &str) -> AllowedSigners {
    AllowedSigners::parse(text.as_bytes(), &utc_seconds)
}

fn only(text: &str) -> Line {
    let file = parse(text);
    assert_eq!(file.skipped, [], "{text}");
    assert_eq!(file.lines.len(), 1, "{text}");
    file.lines[0].clone()
}

#[test]
fn lines_that_can_be_used() {
    for (text, principals) in [
        (format!("a@x {KEY}"), "a@x"),
        (format!("  \ta@x,b@y\t{KEY} a comment"), "a@x,b@y"),
        (format!("\"a x,b\" {KEY}\r"), "a x,b"),
        (format!("a\"b c\"{KEY}"), "ab c"),
        (format!("# comment\n\n \t\na@x {KEY}\n"), "a@x"),
        (format!("a@x {KEY}\0 junk"), "a@x"),
    ] {
        assert_eq!(only(&text).principals.as_bytes(), principals.as_bytes(), "{text}");
    }
    let line =
        only(&format!("a@x CERT-authority,namespaces=\"git,file*\",valid-after=\"20240101\",valid-before=\"20250101Z\" {KEY}"));
    assert!(line.cert_authority && line.covers_namespace(b"file-x") && !line.covers_namespace(b"ssh"));
    assert_eq!((line.valid_after, line.valid_before), (Some(1_704_067_200), Some(1_735_689_600)));
    assert!(line.holds_at(1_704_067_200) && line.holds_at(1_735_689_600));
    assert!(!line.holds_at(1_704_067_199) && !line.holds_at(1_735_689_601));
}

#[test]
fn a_date_without_zone_is_noted() {
    assert_eq!(parse(&format!("a valid-after=\"20240101Z\" {KEY}\nb valid-after=\"20240101\" {KEY}")).zoneless, Some(2));
}

#[test]
fn lines_that_are_skipped() {
    let option = |why| LineError::Option(why);
    for (text, why) in [
        ("a@x".to_owned(), LineError::Invalid),
        (format!("\"a@x {KEY}"), LineError::Invalid),
        ("a@x ssh-ed25519".to_owned(), LineError::MissingKey),
        ("a@x ssh-ed25519 AAAA".to_owned(), LineError::InvalidKey),
        (format!("a@x namespaces=\"git {KEY}"), LineError::UnterminatedQuote),
        (format!("a@x namespaces=git {KEY}"), option("missing start quote")),
        (format!("a@x cert-authority, {KEY}"), option("unexpected end-of-options")),
        (format!("a@x no-touch {KEY}"), option("unknown key option")),
        (format!("a@x cert-authorityx {KEY}"), option("unknown key option")),
        (format!("a@x namespaces=\"a\",namespaces=\"b\" {KEY}"), option("multiple \"namespaces\" clauses")),
        (format!("a@x valid-after=\"2024\" {KEY}"), option("invalid \"valid-after\" time")),
        (format!("a@x valid-before=\"19700101Z\" {KEY}"), option("invalid \"valid-before\" time")),
        (
            format!("a@x valid-after=\"20240101\",valid-before=\"20240101\" {KEY}"),
            option("\"valid-before\" time is before \"valid-after\""),
        ),
    ] {
        let file = parse(&text);
        assert_eq!((file.skipped.len(), file.skipped[0].number, &file.skipped[0].why), (1, 1, &why), "{text}");
        assert!(file.lines.is_empty());
    }
}

#[test]
fn times() {
    for (text, want) in [
        ("20240101", Some(1_704_067_200)),
        ("20240101Z", Some(1_704_067_200)),
        ("202401010001utc", Some(1_704_067_260)),
        ("20240101000102", Some(1_704_067_262)),
        ("99981231235959", Some(253_370_764_799)),
        ("99991230", Some(253_402_128_000)),
        ("99991231235959Z", Some(253_402_300_799)),
        ("99991231235961Z", Some(253_402_300_801)), // two seconds into the year 10000
        ("99990229", Some(253_375_862_400)),        // 1 March
        ("20240231", Some(1_709_337_600)),          // 2 March, as mktime(3) has it
        ("20241301", None),
        ("2024010", None),
        ("20240101T", None),
        ("19600101", None),
        ("", None),
        ("Z", None),
    ] {
        assert_eq!(parse_time(text.as_bytes(), &utc_seconds).map(|(time, _)| time), want, "{text}");
    }
    let local = |civil| utc_seconds(civil).map(|time| time - 3600);
    assert_eq!(parse_time(b"20240101", &local), Some((1_704_063_600, true)));
    assert_eq!(parse_time(b"20240101Z", &local), Some((1_704_067_200, false)));
    assert_eq!(parse_time(b"99991231235959", &local), Some((253_402_297_199, true)));
}
