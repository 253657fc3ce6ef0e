//! The client service, and the way to the other routes.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::request::{Request, Route};
use super::wire::Answer;
use super::world::{Scope, World, key_hash};
use super::{Shared, admin, lock, metrics, proxy};

/// Finds the environment of a request that does not name it in its path.
pub fn place(shared: &Shared, mut request: Request) -> Request {
    let world = lock(&shared.world);
    request.environment = match request.route {
        Route::Auth => request.json()["apiKey"].as_str().and_then(|key| world.keys.get(key).cloned()),
        Route::Stream => request.header("api-key").and_then(|key| world.keys.get(key).cloned()),
        Route::ProxyConfig => request.query("environment").map(str::to_owned),
        Route::ApiKeys | Route::Targets => admin::environment_of(&world, &request),
        _ => request.environment,
    };
    request
}

pub fn answer(shared: &Shared, request: &Request) -> Answer {
    match request.route {
        Route::Auth => authenticate(shared, request),
        Route::ApiKeys => admin::list(shared, request, "apiKeys"),
        Route::Targets => admin::list(shared, request, "targets"),
        Route::Flags | Route::Segments => list(shared, request),
        Route::Flag | Route::Segment => item(shared, request),
        Route::Metrics => metrics::take(shared, request),
        Route::ProxyAuth => proxy::authenticate(shared, request),
        Route::ProxyConfig => proxy::config(shared, request),
        Route::Stream | Route::Unknown => error(404, "no such route"),
    }
}

pub fn error(status: u16, why: &str) -> Answer {
    Answer::json(status, &json!({"code": status.to_string(), "message": why}))
}

/// What the request's token may ask for, or the refusal.
pub fn scope<'a>(world: &'a World, request: &Request) -> Result<&'a Scope, Answer> {
    let known = request.bearer().and_then(|token| world.tokens.get(token));
    known.ok_or_else(|| error(401, "the token is missing, unknown or expired"))
}

pub fn covered<'a>(world: &'a World, request: &'a Request) -> Result<&'a str, Answer> {
    let environment = request.environment.as_deref().unwrap_or_default();
    if !scope(world, request)?.covers(environment) {
        return Err(error(403, "the token is for another environment"));
    }
    if !world.environments.contains_key(environment) {
        return Err(error(404, "no such environment"));
    }
    Ok(environment)
}

fn authenticate(shared: &Shared, request: &Request) -> Answer {
    let mut world = lock(&shared.world);
    let Some(key) = request.json()["apiKey"].as_str().map(str::to_owned) else {
        return error(400, "apiKey is missing");
    };
    let known = world.keys.get(&key).cloned();
    let Some(token) = known.and_then(|environment| world.environment_token(&environment)) else {
        return error(401, "unknown key");
    };
    Answer::json(200, &json!({"authToken": token}))
}

fn list(shared: &Shared, request: &Request) -> Answer {
    let mut world = lock(&shared.world);
    let environment = match covered(&world, request) {
        Ok(environment) => environment.to_owned(),
        Err(refusal) => return refusal,
    };
    let Some(found) = world.environments.get_mut(&environment) else { return error(404, "no such environment") };
    let content = found.content_for(request.route);
    let items: Vec<&Value> = match request.route {
        Route::Flags => content.flags.values().collect(),
        _ => content.segments.values().collect(),
    };
    let mut answer = Answer::json(200, &json!(items));
    if shared.switches.etags.load(Ordering::SeqCst) {
        let tag = format!("\"{}\"", key_hash(&String::from_utf8_lossy(&answer.body)));
        if request.header("if-none-match") == Some(tag.as_str()) {
            answer = Answer { status: 304, headers: Vec::new(), body: Vec::new() };
        }
        answer.headers.push(("ETag".into(), tag));
    }
    answer
}

fn item(shared: &Shared, request: &Request) -> Answer {
    let mut world = lock(&shared.world);
    let environment = match covered(&world, request) {
        Ok(environment) => environment.to_owned(),
        Err(refusal) => return refusal,
    };
    let Some(found) = world.environments.get_mut(&environment) else { return error(404, "no such environment") };
    let content = found.content_for(request.route);
    let items = if request.route == Route::Flag { &content.flags } else { &content.segments };
    match request.item.as_deref().and_then(|item| items.get(item)) {
        Some(item) => Answer::json(200, item),
        None => error(404, "no such flag or segment"),
    }
}
