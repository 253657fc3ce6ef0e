//! What the fake knows.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::request::Route;
use super::{ACCOUNT, ADMIN_TOKEN, ORGANIZATION, PROJECT, token};

pub struct World {
    pub environments: BTreeMap<String, Environment>,
    /// The environment of each real key.
    pub keys: HashMap<String, String>,
    pub proxy_key: Option<String>,
    pub admin_token: String,
    /// What each token that is still good may ask for.
    pub tokens: HashMap<String, Scope>,
    /// Pages of the admin service are no larger, whatever is asked for.
    pub page_limit: usize,
    issued: u64,
}

/// A token's reach.
#[derive(Clone, Debug)]
pub enum Scope {
    Environment(String),
    /// What the proxy key covered when the token was made.
    Proxy(BTreeSet<String>),
}

impl Scope {
    pub fn covers(&self, environment: &str) -> bool {
        match self {
            Scope::Environment(own) => own == environment,
            Scope::Proxy(all) => all.contains(environment),
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct Content {
    pub flags: BTreeMap<String, Value>,
    pub segments: BTreeMap<String, Value>,
}

pub struct Environment {
    pub id: String,
    pub identifier: String,
    pub cluster: String,
    pub content: Content,
    /// Rows as the admin service lists them.
    pub key_rows: Vec<Value>,
    pub targets: Vec<Value>,
    /// Routes that still answer from older content, and how often.
    pub lags: HashMap<Route, (Content, usize)>,
}

impl Environment {
    pub fn new(id: &str, identifier: &str) -> Self {
        Environment {
            id: id.to_owned(),
            identifier: identifier.to_owned(),
            cluster: "1".to_owned(),
            content: Content::default(),
            key_rows: Vec::new(),
            targets: Vec::new(),
            lags: HashMap::new(),
        }
    }

    /// The content that a route answers from now; a lag is used up by it.
    pub fn content_for(&mut self, route: Route) -> &Content {
        let lagging = self.lags.get_mut(&route).is_some_and(|(_, left)| {
            let some = *left > 0;
            *left = left.saturating_sub(1);
            some
        });
        match self.lags.get(&route) {
            Some((old, _)) if lagging => old,
            _ => &self.content,
        }
    }

    pub fn key_hashes(&self) -> Vec<&str> {
        self.key_rows.iter().filter_map(|row| row["key"].as_str()).collect()
    }
}

impl Default for World {
    fn default() -> Self {
        World {
            environments: BTreeMap::new(),
            keys: HashMap::new(),
            proxy_key: None,
            admin_token: ADMIN_TOKEN.to_owned(),
            tokens: HashMap::new(),
            page_limit: 100,
            issued: 0,
        }
    }
}

impl World {
    /// A new token for one environment, with the claims that Harness gives.
    pub fn environment_token(&mut self, environment: &str) -> Option<String> {
        let found = self.environments.get(environment)?;
        let claims = json!({
            "environment": found.id, "environmentIdentifier": found.identifier,
            "project": "uuid-of-the-project", "projectIdentifier": PROJECT, "accountID": ACCOUNT,
            "organization": "uuid-of-the-organization", "organizationIdentifier": ORGANIZATION,
            "clusterIdentifier": found.cluster, "key_type": "Server",
        });
        Some(self.issue(claims, Scope::Environment(environment.to_owned())))
    }

    pub fn proxy_token(&mut self) -> String {
        let scope = Scope::Proxy(self.environments.keys().cloned().collect());
        self.issue(json!({"account": ACCOUNT, "cluster_identifier": "", "type": "proxy_key"}), scope)
    }

    fn issue(&mut self, mut claims: Value, scope: Scope) -> String {
        self.issued += 1;
        claims["jti"] = json!(self.issued.to_string());
        let token = token::encode(&claims);
        self.tokens.insert(token.clone(), scope);
        token
    }
}

pub fn key_hash(key: &str) -> String {
    Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect()
}
