//! What `verify` and `show` write for programs, held to docs/*.schema.json by a validator of JSON Schema.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)] // a test says what went wrong by failing there

mod common;
#[path = "schema/journeys.rs"]
mod journeys;
#[path = "support/pki.rs"]
mod pki;
#[path = "support/sigstore.rs"]
mod sigstore;
#[path = "support/token.rs"]
mod token;
#[path = "support/tuf.rs"]
mod tuf;
#[path = "support/world.rs"]
mod world;

use jsonschema::Validator;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

/// Objects whose names are data: codes, people, claims.
const OPEN: [&str; 4] = ["codes", "warnings", "signers", "claims"];

/// A schema, and what was held to it.
struct Schema {
    text: Value,
    validator: Validator,
    /// The names that stood in what was valid, by their paths without the places in lists.
    seen: BTreeSet<String>,
    verdicts: BTreeSet<String>,
}

impl Schema {
    fn of(command: &str) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/{command}.schema.json"));
        let text: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        let validator = jsonschema::draft202012::new(&text).unwrap();
        Self { text, validator, seen: BTreeSet::new(), verdicts: BTreeSet::new() }
    }

    /// Asserts that a line is valid, and is not with one field more or less than it may have.
    #[track_caller]
    fn holds(&mut self, line: &Value) {
        let errors: Vec<String> =
            self.validator.iter_errors(line).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{line}\n{}", errors.join("\n"));
        let mut objects = Vec::new();
        objects_in(line, String::new(), &mut objects);
        for pointer in objects {
            let mut more = line.clone();
            more.pointer_mut(&pointer).unwrap()["unknown"] = json!("x");
            assert!(!self.validator.is_valid(&more), "an unknown field of `{pointer}` is valid: {more}");
        }
        let mut wrong = line.clone();
        *version_of(&mut wrong) = json!(2);
        assert!(!self.validator.is_valid(&wrong), "another version is valid: {wrong}");
        names_in(line, String::new(), &mut self.seen);
        self.verdicts.extend(line["verdict"].as_str().map(str::to_owned));
    }

    /// The names that the schema has and no line had.
    fn unseen(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        self.names(&self.text, String::new(), &mut names);
        names.difference(&self.seen).cloned().collect()
    }

    fn names(&self, schema: &Value, path: String, into: &mut BTreeSet<String>) {
        if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/$defs/")) {
            self.names(&self.text["$defs"][name], path.clone(), into);
        }
        for (name, below) in schema["properties"].as_object().into_iter().flatten().filter(|(_, below)| !below.is_boolean()) {
            into.insert(format!("{path}/{name}"));
            self.names(below, format!("{path}/{name}"), into);
        }
        for below in ["items", "then", "else"] {
            let below = &schema[below];
            if below.is_object() {
                self.names(below, path.clone(), into);
            }
        }
        for below in ["oneOf", "anyOf"].iter().filter_map(|word| schema[word].as_array()).flatten() {
            self.names(below, path.clone(), into);
        }
    }
}

fn version_of(line: &mut Value) -> &mut Value {
    let place = if line["summary"].is_object() { &mut line["summary"] } else { line };
    &mut place["schema"]
}

/// The pointers of all objects whose names the schema lists.
fn objects_in(value: &Value, pointer: String, into: &mut Vec<String>) {
    if let Some(object) = value.as_object() {
        for (name, below) in object {
            if !(OPEN.contains(&name.as_str()) && below.is_object()) {
                objects_in(below, format!("{pointer}/{name}"), into);
            }
        }
        into.push(pointer.clone());
    }
    for (at, below) in value.as_array().into_iter().flatten().enumerate() {
        objects_in(below, format!("{pointer}/{at}"), into);
    }
}

fn names_in(value: &Value, path: String, into: &mut BTreeSet<String>) {
    for (name, below) in value.as_object().into_iter().flatten() {
        into.insert(format!("{path}/{name}"));
        if !(OPEN.contains(&name.as_str()) && below.is_object()) {
            names_in(below, format!("{path}/{name}"), into);
        }
    }
    for below in value.as_array().into_iter().flatten() {
        names_in(below, path.clone(), into);
    }
}

#[test]
fn what_the_schemas_must_refuse() {
    let verify = Schema::of("verify");
    let id = "1".repeat(40);
    let line = |verdict: &str, more: Value| {
        let mut line = json!({"schema": 1, "object": id, "verdict": verdict, "warnings": [], "times": {}});
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        line
    };
    assert!(verify.validator.is_valid(&line("reject", json!({"code": "unsigned"}))));
    assert!(verify.validator.is_valid(&line("unjudged", json!({"code": "shallow"}))));
    for wrong in [
        line("accept", json!({})), // by nobody
        line("accept", json!({"code": "unsigned", "principal": "a"})),
        line("reject", json!({})),
        line("reject", json!({"code": "no-such-code"})),
        line("reject", json!({"code": "shallow"})),
        line("reject", json!({"code": "unsigned", "principal": "a"})),
        line("unjudged", json!({"code": "unsigned"})),
        line("exempt", json!({"code": "unsigned"})),
        line("maybe", json!({"code": "unsigned"})),
        line("reject", json!({"code": "unsigned", "object": &id[1..]})),
        line("reject", json!({"code": "unsigned", "object": "refs/heads/main"})),
        line("reject", json!({"code": "unsigned", "warnings": ["no-such-warning"]})),
        line("reject", json!({"code": "unsigned", "times": {"claimed": "yesterday"}})),
        json!({"summary": {}}),
        json!({}),
        json!([]),
    ] {
        assert!(!verify.validator.is_valid(&wrong), "valid: {wrong}");
    }
}
