//! `POST /client/auth`: an SDK key for a token.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use hyper::body::Incoming;
use regex::Regex;

use super::answer::{self, Answer, Refusal};
use super::api::Api;
use super::authorize::not_synced;
use super::hold::Look;
use super::request_body;
use crate::config::Secret;
use crate::fault::Fault;
use crate::model::json::Json;
use crate::snapshot::Snapshot;
use crate::snapshot::content::KeyHash;
use crate::snapshot::item::Digest;
use crate::store::Index;
use crate::store::environment::Environment;
use crate::store::targets::{MAX_TARGET_BYTES, StoredTarget};
use crate::telemetry::clock::unix_now_s;

/// Most targets are not longer.
const TYPICAL_TARGET_BYTES: usize = 512;

/// What an SDK sends.
#[derive(Debug)]
struct Credentials {
    key_hash: KeyHash,
    /// Only where the target is registered upstream with it.
    key: Option<Secret>,
    target: Option<SentTarget>,
}

/// A target as it was sent, checked.
#[derive(Debug)]
struct SentTarget {
    identifier: String,
    json: Box<str>,
}

impl Api {
    /// Answers `{"authToken":"…"}` and nothing more: Android refuses other
    /// fields.
    ///
    /// # Errors
    /// A bad body, an unknown key, or an environment that is not synced.
    pub async fn authenticate(
        &self,
        headers: &HeaderMap,
        body: &mut Incoming,
    ) -> Result<(Arc<Environment>, Answer), Refusal> {
        let body = request_body::read(headers, body).await?;
        let credentials = read(&body, self.settings.target_validation, self.usage.registers_targets())?;
        let look = |index: &Index, certain: bool| look(index, certain, &credentials.key_hash);
        let (environment, snapshot) = match self.hold.until(&self.store, Some(&credentials.key_hash), look).await {
            Some(Ok(found)) => found,
            Some(Err(_)) => return Err(Refusal::new(Fault::CredentialsInvalid, "this API key is not known here")),
            None => return Err(not_synced()),
        };
        if let Some(sent) = credentials.target.as_ref().filter(|sent| !sent.identifier.is_empty()) {
            if let Some(key) = &credentials.key {
                self.usage.register_target(&environment.id, Some(key), &sent.json);
            }
            self.learn(&environment, sent)?;
        }
        let token = self.tokens.load().issue(
            &snapshot,
            environment.names.load().as_deref(),
            &credentials.key_hash,
            credentials.target.as_ref().map(|sent| &*sent.json),
            unix_now_s(),
        );
        let answer = answer::json(StatusCode::OK, Bytes::from(format!("{{\"authToken\":\"{token}\"}}\n")));
        Ok((environment, answer))
    }

    /// Stores a target, unless it is known as it is.
    fn learn(&self, environment: &Arc<Environment>, sent: &SentTarget) -> Result<(), Refusal> {
        if environment.targets.get(&sent.identifier).is_some_and(|known| known.json == sent.json) {
            return Ok(());
        }
        let target = serde_json::from_str(&sent.json);
        let target = target.map_err(|error| bad(format!("the target cannot be read: {error}")))?;
        self.store.learn(environment, StoredTarget { target, json: sent.json.clone() }, "");
        Ok(())
    }
}

fn look(index: &Index, certain: bool, key: &KeyHash) -> Look<(Arc<Environment>, Arc<Snapshot>)> {
    match index.environment_of_key(key) {
        Some(environment) => match environment.snapshot().clone() {
            Some(snapshot) => Look::Found((Arc::clone(environment), snapshot)),
            None => Look::Unknown,
        },
        None if certain => Look::Absent,
        None => Look::Unknown,
    }
}

fn bad(message: impl Into<String>) -> Refusal {
    Refusal::new(Fault::InvalidField, message)
}

fn read(body: &[u8], validate: bool, keep_key: bool) -> Result<Credentials, Refusal> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(bad("the request body is empty; send {\"apiKey\":\"…\"}"));
    }
    let text = std::str::from_utf8(body).map_err(|_| bad("the request body is not UTF-8"))?;
    let mut json = Json::parse(text).map_err(|error| bad(format!("the request body is not JSON: {error}")))?;
    if !matches!(json, Json::Object(_)) {
        return Err(bad("the request body must be a JSON object"));
    }
    let target = take_member(&mut json, "target");
    let key = match member(&json, "apiKey") {
        Some(Json::String(key)) if !key.is_empty() => key,
        Some(Json::String(_) | Json::Null) | None => return Err(bad("apiKey is missing or empty")),
        Some(_) => return Err(bad("apiKey must be a string")),
    };
    let target = match target {
        None | Some(Json::Null) => None,
        Some(target @ Json::Object(_)) => Some(read_target(target, validate)?),
        Some(_) => return Err(bad("target must be an object")),
    };
    let kept = (keep_key && target.is_some()).then(|| Secret::new(key.as_ref()));
    Ok(Credentials { key_hash: Digest::of(key.as_bytes()), key: kept, target })
}

/// A member by its name in any case; of several the last.
fn member<'a, 'b>(json: &'b Json<'a>, name: &str) -> Option<&'b Json<'a>> {
    match json {
        Json::Object(members) => members.iter().rev().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, v)| v),
        _ => None,
    }
}

/// A member by its name in any case, taken out; of several the last.
fn take_member<'a>(json: &mut Json<'a>, name: &str) -> Option<Json<'a>> {
    match json {
        Json::Object(members) => {
            let place = members.iter().rposition(|(key, _)| key.eq_ignore_ascii_case(name))?;
            Some(members.remove(place).1)
        }
        _ => None,
    }
}

fn read_target(mut json: Json<'_>, validate: bool) -> Result<SentTarget, Refusal> {
    let attributes = take_member(&mut json, "attributes");
    let text = |name: &str| match member(&json, name) {
        None | Some(Json::Null) => Ok(String::new()),
        Some(Json::String(text)) => Ok(text.to_string()),
        Some(_) => Err(bad(format!("target.{name} must be a string"))),
    };
    let identifier = text("identifier")?;
    let name = Some(text("name")?).filter(|name| !name.is_empty()).unwrap_or_else(|| identifier.clone());
    if validate {
        check_identifier(&identifier)?;
        check_name(&name)?;
    }
    let mut plain =
        vec![("identifier".into(), Json::String((&*identifier).into())), ("name".into(), Json::String(name.into()))];
    match member(&json, "anonymous") {
        None | Some(Json::Null) => {}
        Some(Json::Bool(anonymous)) => plain.push(("anonymous".into(), Json::Bool(*anonymous))),
        Some(_) => return Err(bad("target.anonymous must be true or false")),
    }
    match attributes {
        None | Some(Json::Null) => {}
        Some(attributes @ Json::Object(_)) => plain.push(("attributes".into(), attributes)),
        Some(_) => return Err(bad("target.attributes must be an object")),
    }
    let mut json = String::with_capacity(TYPICAL_TARGET_BYTES);
    Json::Object(plain).write_compact(&mut json);
    if json.len() > MAX_TARGET_BYTES {
        return Err(bad(format!("the target is larger than {MAX_TARGET_BYTES} bytes")));
    }
    Ok(SentTarget { identifier, json: json.into() })
}

fn check_identifier(identifier: &str) -> Result<(), Refusal> {
    let good = identifier.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'@' | b'_' | b'-'));
    if good {
        return Ok(());
    }
    Err(bad("target.identifier may hold only letters, digits and . @ _ - (target-validation=off turns this off)"))
}

/// Letters of every script, digits, and `. @ _ -` with blanks.
static NAME: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^[\p{L}0-9 .@_-]*$").ok());

fn check_name(name: &str) -> Result<(), Refusal> {
    // Nearly all are, and need no expression.
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b' ' | b'.' | b'@' | b'_' | b'-');
    if name.bytes().all(plain) || NAME.as_ref().is_none_or(|pattern| pattern.is_match(name)) {
        return Ok(());
    }
    Err(bad("target.name may hold only letters, digits, blanks and . @ _ - (target-validation=off turns this off)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_sdks_send() {
        for body in [
            r#"{"apiKey":"k"}"#,
            r#"{"APIKEY":"k","target":null}"#,
            r#"{"apikey":"k","Target":{"Identifier":"a","ATTRIBUTES":{"x":1.50}}}"#,
            r#"{"apiKey":"k","target":{"identifier":""}}"#,
        ] {
            let read = read(body.as_bytes(), true, false).unwrap();
            assert_eq!(read.key_hash, Digest::of(b"k"), "{body}");
            assert!(read.key.is_none());
        }
        let with_target =
            read(br#"{"apiKey":"k","target":{"identifier":"a","attributes":{"x":1.50}}}"#, true, true).unwrap();
        assert_eq!(with_target.key.as_ref().map(Secret::expose), Some("k"));
        assert_eq!(&*with_target.target.unwrap().json, r#"{"identifier":"a","name":"a","attributes":{"x":1.50}}"#);
    }

    #[test]
    fn refuses_what_it_cannot_take() {
        let long =
            format!(r#"{{"apiKey":"k","target":{{"identifier":"a","attributes":{{"x":"{}"}}}}}}"#, "y".repeat(300_000));
        for (body, says) in [
            ("", "empty"),
            ("{", "not JSON"),
            ("[]", "object"),
            ("{}", "apiKey is missing"),
            (r#"{"apiKey":5}"#, "must be a string"),
            (r#"{"apiKey":null}"#, "missing"),
            (r#"{"apiKey":"k","target":{"identifier":"a b"}}"#, "target.identifier"),
            (r#"{"apiKey":"k","target":{"identifier":"a","name":"<b>"}}"#, "target.name"),
            (r#"{"apiKey":"k","target":[]}"#, "target must be"),
            (&long, "larger than"),
        ] {
            let refusal = read(body.as_bytes(), true, false).unwrap_err();
            assert!(refusal.message.contains(says), "{body:.60}: {}", refusal.message);
            assert_eq!(refusal.fault, Fault::InvalidField);
        }
        assert!(
            read(r#"{"apiKey":"k","target":{"identifier":"a b","name":"Žofie 你好"}}"#.as_bytes(), false, false)
                .is_ok()
        );
    }
}
