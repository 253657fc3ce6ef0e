//! The proxy key's own routes.

use serde_json::{Value, json};

use super::request::Request;
use super::rest::{error, scope};
use super::wire::Answer;
use super::world::{Environment, Scope};
use super::{Shared, admin, lock};

pub fn authenticate(shared: &Shared, request: &Request) -> Answer {
    let mut world = lock(&shared.world);
    let body = request.json();
    if body["proxyKey"].as_str().is_none() || body["proxyKey"].as_str() != world.proxy_key.as_deref() {
        return error(401, "unknown proxy key");
    }
    Answer::json(200, &json!({"authToken": world.proxy_token()}))
}

pub fn config(shared: &Shared, request: &Request) -> Answer {
    let world = lock(&shared.world);
    let covered = match scope(&world, request) {
        Ok(Scope::Proxy(covered)) => covered,
        Ok(Scope::Environment(_)) => return error(403, "not the token of a proxy key"),
        Err(refusal) => return refusal,
    };
    if request.query("key").is_none() || request.query("key") != world.proxy_key.as_deref() {
        return error(401, "unknown proxy key");
    }
    if request.environment.as_ref().is_some_and(|wanted| !covered.contains(wanted)) {
        return error(403, "the token does not cover this environment");
    }
    let wanted = |environment: &&Environment| {
        covered.contains(&environment.id) && request.environment.as_ref().is_none_or(|id| *id == environment.id)
    };
    let all: Vec<&Environment> = world.environments.values().filter(wanted).collect();
    let size = request.query("pageSize").and_then(|size| size.parse::<usize>().ok()).unwrap_or(10);
    let size = size.clamp(1, world.page_limit);
    let number = request.query("pageNumber").and_then(|page| page.parse::<usize>().ok()).unwrap_or(0);
    let page = admin::page("environments", &all, |environment| shown(environment), size, number);
    Answer::json(200, &page)
}

fn shown(environment: &Environment) -> Value {
    json!({
        "id": environment.id,
        "apiKeys": environment.key_hashes(),
        "featureConfigs": environment.content.flags.values().collect::<Vec<_>>(),
        "segments": environment.content.segments.values().collect::<Vec<_>>(),
    })
}
