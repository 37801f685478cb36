//! Reads Rust as text: words, what `use` names, and the paths that a file reaches.

use std::collections::BTreeMap;

/// A file of the source: the paths that it names.
pub(crate) struct Source {
    pub(crate) file: String,
    pub(crate) lines: usize,
    tokens: Vec<Token>,
    /// What `use` and `mod` give a name to.
    names: BTreeMap<String, String>,
    paths: Vec<Named>,
}

/// A path or macro that is named, resolved, with its place in the tokens.
pub(crate) struct Named {
    line: usize,
    token: usize,
    path: String,
    /// A lone word: counts only where types are looked for.
    lone: bool,
}

impl Source {
    pub(crate) fn read(file: &str, text: &str) -> Self {
        let tokens = without_tests(tokens(text));
        let mut source =
            Self { file: file.to_owned(), lines: text.lines().count(), tokens, names: BTreeMap::new(), paths: Vec::new() };
        source.find_names();
        source.find_paths();
        source
    }

    /// The module that the file is: `crate::signature::ssh`.
    fn module(&self) -> String {
        let stem = self.file.trim_end_matches(".rs");
        if ["lib", "main"].contains(&stem) { "crate".to_owned() } else { format!("crate::{}", stem.replace('/', "::")) }
    }

    fn word(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| token.text.as_str())
    }

    fn line(&self, at: usize) -> usize {
        self.tokens.get(at).map_or(0, |token| token.line)
    }

    /// Fills in what `use` and `mod` name.
    fn find_names(&mut self) {
        let mut at = 0;
        while at < self.tokens.len() {
            match self.word(at) {
                "mod" if self.word(at + 2) == ";" => {
                    let name = self.word(at + 1).to_owned();
                    self.names.insert(name.clone(), format!("{}::{name}", self.module()));
                    at += 3;
                }
                "use" if self.word(at + 1) != "<" => at = self.find_use(at + 1, ""),
                _ => at += 1,
            }
        }
    }

    /// Reads one use tree and gives the place after it.
    fn find_use(&mut self, mut at: usize, before: &str) -> usize {
        let mut path = before.to_owned();
        let start = at;
        loop {
            match self.word(at) {
                "::" => at += 1,
                "{" => {
                    at += 1;
                    while !["}", ""].contains(&self.word(at)) {
                        at = self.find_use(at, &path);
                        if self.word(at) == "," {
                            at += 1;
                        }
                    }
                    return at + 1;
                }
                "as" => {
                    let name = self.word(at + 1).to_owned();
                    self.record_use(start, &path, &name);
                    return at + 2;
                }
                "," | "}" | ";" | "" => {
                    let name = path.rsplit("::").next().unwrap_or_default().to_owned();
                    self.record_use(start, &path, &name);
                    return at;
                }
                "self" if !path.is_empty() => at += 1,
                word => {
                    path = if path.is_empty() { word.to_owned() } else { format!("{path}::{word}") };
                    at += 1;
                }
            }
        }
    }

    fn record_use(&mut self, token: usize, path: &str, name: &str) {
        let path = self.absolute(path);
        // `use std as s` names nothing by itself: its uses are resolved.
        self.paths.push(Named { line: self.line(token), token, path: path.clone(), lone: false });
        if name != "_" && name != "*" {
            self.names.insert(name.to_owned(), path);
        }
    }

    /// Resolves `self` and `super`.
    fn absolute(&self, path: &str) -> String {
        let mut module = self.module();
        let mut rest = path;
        let mut relative = false;
        loop {
            let (head, tail) = rest.split_once("::").unwrap_or((rest, ""));
            match head {
                "self" => {}
                "super" => module = module.rsplit_once("::").map_or("crate", |(parent, _)| parent).to_owned(),
                _ => break,
            }
            relative = true;
            rest = tail;
        }
        match (relative, rest.is_empty()) {
            (false, _) => path.to_owned(),
            (true, true) => module,
            (true, false) => format!("{module}::{rest}"),
        }
    }

    /// Resolves a path in the code.
    fn resolve(&self, path: &str) -> String {
        let (head, tail) = path.split_once("::").unwrap_or((path, ""));
        match self.names.get(head) {
            Some(full) if tail.is_empty() => full.clone(),
            Some(full) => format!("{full}::{tail}"),
            None => self.absolute(path),
        }
    }

    /// Finds the paths and macros outside of `use`.
    fn find_paths(&mut self) {
        let mut at = 0;
        let mut found = Vec::new();
        while at < self.tokens.len() {
            if self.word(at) == "use" && self.word(at + 1) != "<" {
                while ![";", ""].contains(&self.word(at)) {
                    at += 1;
                }
                continue;
            }
            let continues =
                at > 0 && (self.word(at - 1) == "." || (self.word(at - 1) == "::" && at > 1 && self.follows_type(at - 2)));
            if !self.is_word(at) || continues {
                at += 1;
                continue;
            }
            let start = at;
            let mut path = self.word(at).to_owned();
            while self.word(at + 1) == "::" && self.is_word(at + 2) {
                path = format!("{path}::{}", self.word(at + 2));
                at += 2;
            }
            at += 1;
            let is_extern = start > 1 && self.word(start - 1) == "crate" && self.word(start - 2) == "extern";
            let lone = !path.contains("::") && !is_extern;
            if self.word(at) == "!" && self.word(at + 1) != "=" {
                found.push(Named { line: self.line(start), token: start, path: format!("{}!", self.resolve(&path)), lone: false });
            }
            found.push(Named { line: self.line(start), token: start, path: self.resolve(&path), lone });
        }
        self.paths.extend(found);
    }

    fn is_word(&self, at: usize) -> bool {
        self.word(at).starts_with(|c: char| c.is_alphabetic() || c == '_')
    }

    /// Whether a `::` after this token goes on with a path: after a word or the `>` of a type.
    fn follows_type(&self, at: usize) -> bool {
        self.word(at) == ">" || (self.is_word(at) && !KEYWORDS.contains(&self.word(at)))
    }

    /// Says where one of these, or something inside it, is named; a `*` stands for anything.
    pub(crate) fn naming(&self, what: &[&str]) -> Vec<String> {
        self.report(|path| what.iter().any(|what| reaches(path, what)))
    }

    /// Says where something directly inside a module is named other than these.
    pub(crate) fn naming_beside(&self, module: &str, fine: &[&str]) -> Vec<String> {
        self.report(|path| {
            let inside = path.strip_prefix(module).and_then(|rest| rest.strip_prefix("::"));
            inside.is_some_and(|rest| !fine.contains(&rest.split("::").next().unwrap_or_default()))
        })
    }

    fn report(&self, is_breach: impl Fn(&str) -> bool) -> Vec<String> {
        let breaches = self.paths.iter().filter(|named| !named.lone && is_breach(&named.path));
        breaches.map(|named| format!("line {}: {}", named.line, named.path)).collect()
    }

    /// Says where the signature of a public item, or a public field, names something of a crate.
    pub(crate) fn showing(&self, what: &str) -> Vec<String> {
        let mut found = Vec::new();
        for start in (0..self.tokens.len()).filter(|at| self.word(*at) == "pub") {
            let end = self.end_of_public(start);
            let shown = self.paths.iter().filter(|named| (start..end).contains(&named.token) && reaches(&named.path, what));
            found.extend(shown.map(|named| format!("line {}: {}", named.line, named.path)));
        }
        found
    }

    /// Where what a `pub` makes public ends.
    fn end_of_public(&self, start: usize) -> usize {
        let mut at = start + 1;
        if self.word(at) == "(" && ["crate", "super", "self", "in"].contains(&self.word(at + 1)) {
            while ![")", ""].contains(&self.word(at)) {
                at += 1;
            }
            at += 1;
        }
        let ends: &[&str] = match self.word(at) {
            "fn" | "const" | "async" | "unsafe" | "extern" | "type" | "static" | "trait" => &["{", ";"],
            "use" => &[";"],
            "struct" | "enum" | "union" | "mod" => &["{", ";", "("],
            _ => &[",", "}", ")", ";"],
        };
        let is_field = ends.contains(&",");
        let mut depth = 0_usize;
        while let Some(token) = self.tokens.get(at) {
            if depth == 0 && ends.contains(&token.text.as_str()) {
                return at;
            }
            match token.text.as_str() {
                "<" | "(" | "[" if is_field => depth += 1,
                ">" | ")" | "]" if is_field => depth = depth.saturating_sub(1),
                _ => {}
            }
            at += 1;
        }
        at
    }
}

const KEYWORDS: &[&str] = &["as", "dyn", "else", "for", "impl", "in", "match", "move", "mut", "ref", "return", "where"];

/// Whether a path is something or lies inside it. `std::*` reaches all that lies in `std`.
fn reaches(path: &str, what: &str) -> bool {
    let mut path = path.split("::");
    for wanted in what.split("::") {
        match path.next() {
            Some("*") => return true,
            Some(found) if found == wanted => {}
            _ => return false,
        }
    }
    true
}

pub(crate) struct Token {
    line: usize,
    pub(crate) text: String,
    /// The content of a string.
    pub(crate) literal: Option<String>,
}

/// Splits Rust into words and marks. Comments and lifetimes are left out; strings and characters are one token without text.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let peek = |at: usize| chars.get(at).copied().unwrap_or('\0');
    let mut found = Vec::new();
    let mut line = 1;
    let mut at = 0;
    while at < chars.len() {
        let start = at;
        let mut text = None;
        let mut literal = None;
        match (peek(at), peek(at + 1)) {
            ('/', '/') => {
                while at < chars.len() && peek(at) != '\n' {
                    at += 1;
                }
            }
            ('/', '*') => {
                let mut depth = 1;
                at += 2;
                while at < chars.len() && depth > 0 {
                    match (peek(at), peek(at + 1)) {
                        ('/', '*') => (depth, at) = (depth + 1, at + 2),
                        ('*', '/') => (depth, at) = (depth - 1, at + 2),
                        _ => at += 1,
                    }
                }
            }
            ('"', _) => {
                at = end_of_string(&chars, at);
                literal = Some(chars[start + 1..at.max(start + 2) - 1].iter().collect());
            }
            ('\'', '\\') => {
                at += 3;
                while at < chars.len() && peek(at) != '\'' {
                    at += 1;
                }
                at += 1;
            }
            ('\'', _) if peek(at + 2) == '\'' => at += 3,
            ('\'', _) => at += 2, // the name of a lifetime goes on as a word
            (':', ':') => (at, text) = (at + 2, Some("::".to_owned())),
            (c, _) if c.is_alphanumeric() || c == '_' => {
                while peek(at).is_alphanumeric() || peek(at) == '_' {
                    at += 1;
                }
                let word: String = chars[start..at].iter().collect();
                let raw = word.ends_with('r') && word.len() <= 2;
                let mut hashes = 0;
                while raw && peek(at + hashes) == '#' {
                    hashes += 1;
                }
                if raw && peek(at + hashes) == '"' {
                    let open = at + hashes + 1;
                    let mut end = open;
                    while end < chars.len() && !(peek(end) == '"' && (1..=hashes).all(|hash| peek(end + hash) == '#')) {
                        end += 1;
                    }
                    literal = Some(chars[open..end].iter().collect());
                    at = end + hashes + 1;
                } else if hashes == 1 {
                    at += 1; // a raw identifier: its name follows
                } else if !(["b", "c"].contains(&word.as_str()) && ['"', '\''].contains(&peek(at))) {
                    text = Some(word);
                }
            }
            (c, _) if c.is_whitespace() => at += 1,
            (c, _) => (at, text) = (at + 1, Some(c.to_string())),
        }
        let at_most = at.min(chars.len());
        if text.is_some() || literal.is_some() {
            found.push(Token { line, text: text.unwrap_or_default(), literal });
        }
        line += chars[start..at_most].iter().filter(|c| **c == '\n').count();
    }
    found
}

/// The place after a string that begins here.
fn end_of_string(chars: &[char], start: usize) -> usize {
    let mut at = start + 1;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

/// Leaves out each item under `#[cfg(test)]` or `#[cfg(all(test, …))]`.
pub(crate) fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    let words = |at: usize, wanted: &[&str]| {
        wanted.iter().enumerate().all(|(n, word)| tokens.get(at + n).is_some_and(|token| token.text == *word))
    };
    let mut kept = vec![true; tokens.len()];
    let mut at = 0;
    while at < tokens.len() {
        let is_test =
            words(at, &["#", "[", "cfg", "(", "test", ")", "]"]) || words(at, &["#", "[", "cfg", "(", "all", "(", "test", ","]);
        if !is_test {
            at += 1;
            continue;
        }
        // To the `;` or the closing brace of the item, past the brackets of its attributes and arguments.
        let mut depth = 0_usize;
        while let Some(token) = tokens.get(at) {
            kept[at] = false;
            at += 1;
            match token.text.as_str() {
                "{" | "(" | "[" => depth += 1,
                ")" | "]" => depth = depth.saturating_sub(1),
                "}" => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        break;
                    }
                }
                ";" if depth == 0 => break,
                _ => {}
            }
        }
    }
    tokens.into_iter().zip(kept).filter(|(_, kept)| *kept).map(|(token, _)| token).collect()
}
