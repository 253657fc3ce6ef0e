//! The admin service: key hashes and targets, in pages that begin with 0.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::request::Request;
use super::rest::error;
use super::wire::Answer;
use super::world::World;
use super::{ACCOUNT, ORGANIZATION, PROJECT, Shared, lock};

pub fn environment_of(world: &World, request: &Request) -> Option<String> {
    let wanted = request.query("environmentIdentifier")?;
    world.environments.values().find(|environment| environment.identifier == wanted).map(|found| found.id.clone())
}

/// One page of an environment's rows under this name.
pub fn list(shared: &Shared, request: &Request, rows: &str) -> Answer {
    let world = lock(&shared.world);
    if request.header("x-api-key") != Some(world.admin_token.as_str()) {
        return error(401, "x-api-key is not the admin service token");
    }
    for (name, expected) in
        [("accountIdentifier", ACCOUNT), ("orgIdentifier", ORGANIZATION), ("projectIdentifier", PROJECT)]
    {
        if request.query(name) != Some(expected) {
            return error(400, &format!("{name} is not {expected}"));
        }
    }
    let found = request.environment.as_ref().and_then(|environment| world.environments.get(environment));
    let Some(found) = found else { return error(404, "no such environmentIdentifier") };
    let all: &[Value] = if rows == "targets" { &found.targets } else { &found.key_rows };
    let asked = request.query("pageSize").and_then(|size| size.parse::<usize>().ok()).unwrap_or(100);
    let size = asked.clamp(1, world.page_limit);
    let number = request.query("pageNumber").and_then(|page| page.parse::<usize>().ok()).unwrap_or(0);
    let last = all.len().div_ceil(size).saturating_sub(1);
    let shown = if shared.switches.last_page_repeats.load(Ordering::SeqCst) { number.min(last) } else { number };
    Answer::json(200, &page(rows, all, Value::clone, size, shown))
}

/// A page as Harness writes it; only what is on it is made.
pub fn page<T>(name: &str, all: &[T], show: impl Fn(&T) -> Value, size: usize, number: usize) -> Value {
    let rows: Vec<Value> = all.iter().skip(number * size).take(size).map(show).collect();
    let count = all.len();
    json!({
        name: rows, "itemCount": count, "pageCount": count.div_ceil(size), "pageIndex": number, "pageSize": size,
    })
}
