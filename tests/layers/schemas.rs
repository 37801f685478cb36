//! The JSON schemas list the words that the source has, no more and no fewer.

use crate::{codes, read, root, sources};
use git_warrant::evidence::Malleable;
use serde_json::Value;
use std::collections::BTreeSet;

const SCHEMAS: [&str; 2] = ["docs/verify.schema.json", "docs/show.schema.json"];

fn schema(file: &str) -> Value {
    serde_json::from_str(&read(&root().join(file))).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn words(list: &Value) -> BTreeSet<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[test]
fn the_schemas_list_the_codes_of_the_source() {
    let codes = codes(&sources());
    let mut faults = Vec::new();
    for (definition, enumerations) in
        [("reason", &["Reason", "Fault"][..]), ("why_unjudged", &["Unjudged"]), ("warning", &["Warning"])]
    {
        let of_source: BTreeSet<String> =
            codes.iter().filter(|code| enumerations.contains(&code.of.as_str())).map(|code| code.code.clone()).collect();
        assert!(!of_source.is_empty(), "no codes of {enumerations:?} were found");
        for file in SCHEMAS {
            let listed = schema(file);
            let of_schema = words(&listed["$defs"][definition]["enum"]);
            let lacks: Vec<_> = of_source.difference(&of_schema).collect();
            let more: Vec<_> = of_schema.difference(&of_source).collect();
            if !lacks.is_empty() {
                faults.push(format!("{file}: add to `enum` of `{definition}`: {lacks:?}"));
            }
            if !more.is_empty() {
                faults.push(format!("{file}: take out of `enum` of `{definition}`: {more:?}"));
            }
        }
    }
    assert!(
        faults.is_empty(),
        "{}\nA code that is new only has to be added there. One that went, or means something else now, also raises SCHEMA in src/report/jsonl.rs and `schema` in both files.",
        faults.join("\n")
    );
}

#[test]
fn the_schemas_have_the_version_of_the_source() {
    let version = u64::from(git_warrant::report::jsonl::SCHEMA);
    let verify = schema("docs/verify.schema.json");
    for place in ["line", "summary"] {
        assert_eq!(verify["$defs"][place]["properties"]["schema"]["const"], version, "docs/verify.schema.json, {place}");
    }
    assert_eq!(schema("docs/show.schema.json")["properties"]["schema"]["const"], version, "docs/show.schema.json");
}

#[test]
fn the_schema_lists_the_ways_to_write_a_signature_differently() {
    let all = [Malleable::Armor, Malleable::Header, Malleable::HighS, Malleable::Encoding];
    let listed = words(&schema("docs/show.schema.json")["$defs"]["evidence"]["properties"]["malleable"]["items"]["enum"]);
    assert_eq!(listed, all.map(|way| way.name().to_owned()).into());
}
