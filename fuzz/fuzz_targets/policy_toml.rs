//! Policies in TOML: what is edited keeps the meaning of all that is not.
#![no_main]

use git_warrant::object::ObjectId;
use git_warrant::policy::file::edit::{Editor, Holder};
use git_warrant::policy::file::{PolicyFile, Status};
use libfuzzer_sys::fuzz_target;
use std::collections::HashSet;

/// All that a policy says, without the lines where it says it.
fn meaning(mut policy: PolicyFile) -> String {
    policy.principals.iter_mut().flat_map(|principal| &mut principal.keys).for_each(|key| key.line = 0);
    policy.authorities.iter_mut().for_each(|authority| authority.line = 0);
    format!("{policy:?}")
}

fn parse(text: &str) -> PolicyFile {
    PolicyFile::parse(text.as_bytes()).unwrap_or_else(|error| panic!("an edit broke it: {error}\n{text}"))
}

fuzz_target!(|text: &[u8]| {
    let Ok(policy) = PolicyFile::parse(text) else { return };
    let editor = || Editor::new(text).expect("what can be read can be edited");
    assert_eq!(meaning(parse(&editor().text())), meaning(policy.clone()), "no edit, no change");

    let id: ObjectId = "f00dfeedf00dfeedf00dfeedf00dfeedf00dfeed".parse().unwrap();
    let mut settling = editor();
    settling.settle(&[(id, "refs/heads/main".to_owned())], &HashSet::new());
    let mut settled = parse(&settling.text());
    assert!(settled.settled.contains(&id), "settled");
    if !policy.settled.contains(&id) {
        settled.settled.retain(|other| *other != id);
    }
    assert_eq!(meaning(settled), meaning(policy.clone()), "settling changes nothing else");

    let keys = policy.principals.iter().flat_map(|principal| {
        let holder = |index| Holder::Key { principal: principal.name.clone(), index };
        // those of a preset are not in the file
        principal.keys.iter().enumerate().filter(|(_, key)| !key.preset).map(move |(index, key)| (holder(index), key.status.clone()))
    });
    let authorities = policy.authorities.iter().map(|it| (Holder::Authority(it.name.clone()), it.status.clone()));
    for (holder, status) in keys.chain(authorities).filter(|(_, status)| *status == Status::Active) {
        let mut retiring = editor();
        assert!(retiring.retire(&holder, "2026-01-02T03:04:05Z", Some("left")), "{holder:?} is there");
        let mut retired = parse(&retiring.text());
        let changed = match &holder {
            Holder::Key { principal, index } => {
                let mut people = retired.principals.iter_mut();
                &mut people.find(|it| it.name == *principal).unwrap().keys[*index].status
            }
            Holder::Authority(name) => &mut retired.authorities.iter_mut().find(|it| it.name == *name).unwrap().status,
        };
        assert!(matches!(std::mem::replace(changed, status), Status::Retired { .. }));
        assert_eq!(meaning(retired), meaning(policy.clone()), "retiring changes nothing else");
    }
});
