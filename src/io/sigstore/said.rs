//! What a server says of its reasons, as a message may repeat it: some servers send back what they were sent.

use super::token::escape_into;
use zeroize::Zeroizing;

/// How much of it goes into a message, in characters.
const MAX_SAID: usize = 300;

/// What a server says of its reasons, for a message.
pub(super) fn said(body: &[u8], secrets: &[&str]) -> String {
    let text = String::from_utf8_lossy(body);
    let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let field = |name: &str| json.as_ref()?.get(name)?.as_str().map(str::to_owned);
    let word = field("message").or_else(|| field("error_description")).or_else(|| field("error"));
    let word = word.unwrap_or_else(|| text.into_owned());
    let said: String = without_secrets(word.trim(), secrets).chars().take(MAX_SAID).collect();
    if said.is_empty() { said } else { format!(" and says: {said}") }
}

/// A text without secrets, and without what may be another token: some servers repeat what they were sent. Words are
/// short, and so are most names; what is left out of longer ones is not missed. Parts of secrets are left out where they are no
/// shorter than a word.
fn without_secrets(text: &str, secrets: &[&str]) -> String {
    const SHORT: usize = 19;
    const SHORTEST: usize = 8;
    const STRUCK: char = '\0';
    let mut marked = Zeroizing::new(text.replace(STRUCK, " "));
    for form in secrets.iter().flat_map(|secret| forms(secret)).filter(|form| !form.is_empty()) {
        marked = Zeroizing::new(marked.replace(form.as_str(), "\0"));
    }
    let is_of_secret = |part: &str| part.len() >= SHORTEST && secrets.iter().any(|secret| secret.contains(part));
    let is_of_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, STRUCK | '-' | '_' | '+' | '/' | '=' | '.' | '~' | '%');
    let mut out = String::new();
    for piece in marked.split_inclusive(|c: char| !is_of_token(c)) {
        let run = piece.trim_end_matches(|c: char| !is_of_token(c));
        // a path and a host have parts that are short, and a token has none
        let is_plain = run.split(['/', '.']).all(|part| part.len() <= SHORT);
        match is_plain && !run.contains(STRUCK) && !is_of_secret(run) {
            true => out.push_str(piece),
            false => {
                out.push_str("[...]");
                out.push_str(piece.get(run.len()..).unwrap_or_default());
            }
        }
    }
    out
}

/// How a secret may stand in what a server repeats: as it is, escaped for a form, or escaped for JSON.
fn forms(secret: &str) -> [Zeroizing<String>; 4] {
    let mut escaped = Zeroizing::new(String::with_capacity(3 * secret.len()));
    escape_into(&mut escaped, secret);
    let json = Zeroizing::new(serde_json::Value::from(secret).to_string());
    let json = json.get(1..json.len().saturating_sub(1)).unwrap_or_default();
    // the longest first: one that is struck out leaves nothing of the others
    let lower = Zeroizing::new(lower_escapes(&escaped));
    [escaped, lower, Zeroizing::new(json.to_owned()), Zeroizing::new(secret.to_owned())]
}

/// The same with small letters in `%XX`.
fn lower_escapes(text: &str) -> String {
    let mut parts = text.split('%');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2).unwrap_or((part, ""));
        out.push('%');
        out.push_str(&digits.to_ascii_lowercase());
        out.push_str(rest);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_token_is_not_repeated() {
        for (text, want) in [
            ("there was an error processing the credentials", "there was an error processing the credentials"),
            ("bad token eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.c2lnbmF0dXJl, sorry", "bad token [...], sorry"),
            ("a=0123456789abcdef0123456789&b=2", "[...]&b=2"),
            ("see https://docs.sigstore.dev/about/faq.html", "see https://docs.sigstore.dev/about/faq.html"),
            ("'ChluYXN0eS1yZWZyZXNoLXRva2Vu'", "'[...]'"),
            ("", ""),
        ] {
            assert_eq!(without_secrets(text, &[]), want);
        }
        // secrets need not be long, and are known in other clothes
        let secrets = ["shorttoken", "hunter2", "a \u{e9}?\"b", ""];
        for (text, want) in [
            ("not shorttoken, nor hunter2: code", "not [...], nor [...]: code"),
            ("grant=x&secret=hunter2&x=y", "grant=x&[...]&x=y"),
            ("not shorttok", "not [...]"),
            ("not short", "not short"),
            (
                "secret a \u{e9}?\"b or a%20%C3%A9%3F%22b or a%20%c3%a9%3f%22b or a \u{e9}?\\\"b.",
                "secret [...] or [...] or [...] or [...]",
            ),
        ] {
            assert_eq!(without_secrets(text, &secrets), want);
        }
    }

    #[test]
    fn the_servers_reasons_stay_whatever_was_sent() {
        let says = "unsupported grant_type authorization_code: client_secret or redirect_uri, Content-Type application/json";
        assert_eq!(without_secrets(says, &["hunter2"]), says);
    }
}
