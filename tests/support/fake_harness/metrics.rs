//! What the events service was sent.

use serde_json::{Value, json};

use super::request::Request;
use super::rest::{error, scope};
use super::wire::Answer;
use super::{FakeHarness, Shared, lock};

/// One body that was taken.
#[derive(Clone, Debug)]
pub struct Received {
    pub environment: String,
    pub body: Vec<u8>,
}

impl Received {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub fn rows(&self) -> Vec<Value> {
        self.json()["metricsData"].as_array().cloned().unwrap_or_default()
    }

    pub fn targets(&self) -> Vec<Value> {
        self.json()["targetData"].as_array().cloned().unwrap_or_default()
    }
}

pub fn take(shared: &Shared, request: &Request) -> Answer {
    {
        let world = lock(&shared.world);
        let environment = request.environment.as_deref().unwrap_or_default();
        match scope(&world, request) {
            Ok(scope) if scope.covers(environment) => {}
            Ok(_) => return error(403, "the token is for another environment"),
            Err(refusal) => return refusal,
        }
    }
    if request.json().is_null() {
        return error(400, "no JSON");
    }
    let environment = request.environment.clone().unwrap_or_default();
    lock(&shared.metrics).push(Received { environment, body: request.body.clone() });
    Answer::json(200, &json!({"status": "success"}))
}

/// The value of one attribute of a row.
pub fn attribute<'a>(row: &'a Value, name: &str) -> Option<&'a str> {
    row["attributes"].as_array()?.iter().find(|pair| pair["key"] == name)?["value"].as_str()
}

impl FakeHarness {
    /// The bodies taken for an environment, in order.
    pub fn metrics(&self, environment: &str) -> Vec<Received> {
        lock(&self.shared.metrics).iter().filter(|received| received.environment == environment).cloned().collect()
    }

    /// The evaluations counted for a flag in everything that was taken.
    pub fn counted(&self, environment: &str, flag: &str) -> i64 {
        let rows = self.metrics(environment).into_iter().flat_map(|received| received.rows());
        let named =
            |row: &Value| attribute(row, "featureIdentifier").or_else(|| attribute(row, "featureName")) == Some(flag);
        rows.filter(named).filter_map(|row| row["count"].as_i64()).sum()
    }
}
