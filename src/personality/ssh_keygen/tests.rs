//! Command lines, as git writes them and as nobody should.

use super::*;

fn parse(args: &str) -> Result<SshKeygen, UsageError> {
    let args: Vec<OsString> = args.split(' ').map(|arg| OsString::from(arg.trim_matches('"'))).collect();
    SshKeygen::parse(&args)
}

fn sign(files: &[&str], agent_only: bool) -> Operation {
    let files = files.iter().map(PathBuf::from).collect();
    Operation::Sign(Sign { namespace: "git".into(), key: "K".into(), agent_only, hash: None, provider: None, files })
}

fn verify(revoked: Option<&str>, time: Option<&str>) -> Operation {
    Operation::Verify {
        namespace: "git".into(),
        allowed: "A".into(),
        principal: "P".into(),
        signature: "S".into(),
        revoked: revoked.map(PathBuf::from),
        time: time.map(str::to_owned),
        print_key: false,
    }
}

#[test]
fn what_git_writes_and_its_variants() {
    let find = |time: Option<&str>| Operation::FindPrincipals {
        allowed: "A".into(),
        signature: "S".into(),
        time: time.map(str::to_owned),
    };
    let novalidate = Operation::CheckNovalidate { namespace: "git".into(), signature: "S".into(), time: None, print_key: false };
    for (args, operation) in [
        ("-Y sign -n git -f K B", sign(&["B"], false)),
        ("-Y sign -n git -f K -U B", sign(&["B"], true)),
        ("-Ysign -ngit -fK B -U", sign(&["B"], true)),
        ("-qUY sign -n git -fK -- -B", sign(&["-B"], true)),
        ("-Y signify -n git -f K", sign(&[], false)),
        ("-Y sign -n git -f K -", sign(&["-"], false)),
        ("-Y signify -n git -f K -v B -vvv", sign(&["B"], false)),
        ("-Y match-principals -f A -I P S", Operation::MatchPrincipals { allowed: "A".into(), principal: "P".into() }),
        ("-Y find-principals -f A -s S -Overify-time=20240101", find(Some("20240101"))),
        ("-Y find-principals -f A -s S \"\"", find(None)),
        ("-Y verify -n git -f A -I P -s S -Overify-time=1 -r R", verify(Some("R"), Some("1"))),
        ("-Y verify -n git -f A -I P -s S \"\" -r R", verify(Some("R"), None)),
        ("-Y verify -n git -f A -I P -s S x -O Verify-Time=1 -O verify-time=2", verify(None, Some("2"))),
        ("-Y check-novalidate -n git -s S \"\"", novalidate),
    ] {
        assert_eq!(parse(args).map(|parsed| parsed.operation), Ok(operation), "{args}");
    }
    for args in ["-Y verify -n git -f A -I P -s S", "-Y check-novalidate -n git -s S"] {
        let printed = parse(&format!("{args} -OPrint-Pubkey")).map(|parsed| parsed.operation);
        assert!(matches!(
            printed,
            Ok(Operation::Verify { print_key: true, .. } | Operation::CheckNovalidate { print_key: true, .. })
        ));
    }
    let Ok(Operation::Sign(signing)) = parse("-Y sign -n git -f K -OHASHALG=a -O hashalg=sha1 -w W").map(|parsed| parsed.operation)
    else {
        panic!()
    };
    assert_eq!((signing.hash.as_deref(), signing.provider), (Some("sha1"), Some("W".into())));
    assert!(parse("-q -Y sign -n git -f K").is_ok_and(|parsed| parsed.quiet));
    let named = SshKeygen::parse(&["-Y", "sign", "-n", "git", "-f", "K"].map(OsString::from)).unwrap();
    let bytes = OsString::from_vec(vec![b'-', b'f', 0xff]);
    let raw = SshKeygen::parse(&["-Y".into(), "sign".into(), "-ngit".into(), bytes]).unwrap();
    assert_ne!(named, raw); // paths need not be UTF-8
}

#[test]
fn what_is_refused() {
    use UsageErrorKind as Kind;
    let missing = |operation, what| Kind::Missing { operation, what };
    for (args, kind, status, reads_stdin) in [
        ("-l", Kind::UnknownOption('l'), 1, false),
        ("x", Kind::NoOperation, 1, false),
        ("-Y", Kind::NoValue('Y'), 1, false),
        ("-Y sig", Kind::UnknownOperation("sig".into()), 1, false),
        ("-Y match-principals -I P", missing("match-principals", "allowed keys file"), 1, false),
        ("-Y match-principals -f A", missing("match-principals", "principal ID"), 1, false),
        ("-Y match-principals -f A -I P -Overify-time=1", Kind::InvalidOption("verify-time=1".into()), 246, false),
        ("-Y sign -n git -f K - B", Kind::Mixed, 255, false),
        ("-Y sign -n git -f K B - -Ofoo", Kind::Mixed, 255, false),
        ("-Y find-principals -f A -s S -Oprint-pubkey", Kind::InvalidOption("print-pubkey".into()), 255, false),
        ("-Y sign -n git B", missing("sign", "key"), 1, false),
        ("-Y sign -f K B", missing("sign", "namespace"), 1, false),
        ("-Y sign -n \"\" -f K B", missing("sign", "namespace"), 1, false),
        ("-Y sign -n git -f K -Ofoo", Kind::InvalidOption("foo".into()), 255, false),
        ("-Y sign -n git -f K -Overify-time=1", Kind::InvalidOption("verify-time=1".into()), 255, false),
        ("-Y verify -n git -f A -I P", missing("verify", "signature file"), 1, true),
        ("-Y verify -n git -f A -s S", missing("verify", "principal identity"), 1, true),
        ("-Y verify -n git -I P -s S", missing("verify", "allowed keys file"), 1, true),
        ("-Y verify -x -n git", Kind::UnknownOption('x'), 1, true),
        ("-Y verify -n git -f A -I P -s S -Ohashalg=sha512", Kind::InvalidOption("hashalg=sha512".into()), 255, true),
        ("-Y check-novalidate -n git -s S -Ofoo", Kind::InvalidOption("foo".into()), 255, true),
        ("-Y find-principals -s S", missing("find-principals", "allowed keys file"), 1, false),
        ("-Y find-principals -f A", missing("find-principals", "signature file"), 1, false),
    ] {
        let error = parse(args).unwrap_err();
        assert_eq!((error.exit_status(), error.reads_stdin()), (status, reads_stdin), "{args}");
        assert!(!error.kind.to_string().contains("usage:"));
        assert_eq!(error.kind, kind, "{args}");
    }
}
