//! Adding and removing environments and keys.

use serde_json::{Value, json};

use super::request::Route;
use super::world::{Environment, World, key_hash};
use super::{FakeHarness, lock};

impl FakeHarness {
    /// A new environment with one server key. The identifier that people use is `name-` and the id's last part.
    pub fn add_environment(&self, id: &str, server_key: &str) {
        {
            let mut world = lock(&self.shared.world);
            let last = id.rsplit('-').next().unwrap_or(id);
            let mut environment = Environment::new(id, &format!("name-{last}"));
            environment.key_rows.push(key_row(server_key, "Server"));
            world.environments.insert(id.to_owned(), environment);
            world.keys.insert(server_key.to_owned(), id.to_owned());
        }
        self.tell_proxies(&json!({"event": "environmentsAdded", "domain": "proxy", "environments": [id]}));
    }

    pub fn remove_environment(&self, id: &str) {
        {
            let mut world = lock(&self.shared.world);
            world.environments.remove(id);
            world.keys.retain(|_, environment| environment != id);
        }
        self.tell_proxies(&json!({"event": "environmentsRemoved", "domain": "proxy", "environments": [id]}));
    }

    /// A further key of an environment.
    pub fn add_key(&self, environment: &str, key: &str, kind: &str) {
        self.world(|world| {
            world.keys.insert(key.to_owned(), environment.to_owned());
            found(world, environment).key_rows.push(key_row(key, kind));
        });
        self.tell_proxies(&key_message("apiKeyAdded", environment, key));
    }

    pub fn remove_key(&self, environment: &str, key: &str) {
        let hash = key_hash(key);
        self.world(|world| {
            world.keys.remove(key);
            found(world, environment).key_rows.retain(|row| row["key"] != hash.as_str());
        });
        self.tell_proxies(&key_message("apiKeyRemoved", environment, key));
    }

    /// A row of the admin service's key list as the test wants it.
    pub fn add_key_row(&self, environment: &str, row: Value) {
        self.world(|world| found(world, environment).key_rows.push(row));
    }

    pub fn set_targets(&self, environment: &str, targets: Vec<Value>) {
        self.world(|world| found(world, environment).targets = targets);
    }

    /// Proxy mode is on once there is a key.
    pub fn set_proxy_key(&self, key: &str) {
        self.world(|world| world.proxy_key = Some(key.to_owned()));
    }

    /// The key is refused from now, its tokens too, and its streams are told.
    pub fn delete_proxy_key(&self) {
        self.world(|world| {
            world.proxy_key = None;
            world.tokens.retain(|_, scope| matches!(scope, super::world::Scope::Environment(_)));
        });
        self.tell_proxies(&json!({"event": "proxyKeyDeleted", "domain": "proxy"}));
    }

    /// Every token given out so far is refused from now.
    pub fn expire_tokens(&self) {
        self.world(|world| world.tokens.clear());
    }

    /// Pages hold no more than this, whatever is asked for.
    pub fn set_page_limit(&self, limit: usize) {
        self.world(|world| world.page_limit = limit);
    }

    /// A route of an environment answers from what there is now for its next requests, whatever is changed meanwhile.
    pub fn lag(&self, environment: &str, route: Route, requests: usize) {
        self.world(|world| {
            let environment = found(world, environment);
            let now = environment.content.clone();
            environment.lags.insert(route, (now, requests));
        });
    }

    pub(super) fn world<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        look(&mut lock(&self.shared.world))
    }

    fn tell_proxies(&self, message: &Value) {
        if self.announces() {
            self.shared.streams.tell_proxies(message);
        }
    }
}

pub(super) fn found<'a>(world: &'a mut World, environment: &str) -> &'a mut Environment {
    world.environments.get_mut(environment).unwrap_or_else(|| panic!("no environment {environment}"))
}

fn key_row(key: &str, kind: &str) -> Value {
    let masked = format!("{}********", key.get(..4).unwrap_or_default());
    json!({"apiKey": masked, "identifier": key, "key": key_hash(key), "name": key, "type": kind})
}

fn key_message(event: &str, environment: &str, key: &str) -> Value {
    json!({"event": event, "domain": "proxy", "environments": [environment], "apiKey": key_hash(key)})
}
