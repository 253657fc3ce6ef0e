//! What `examples/offline` answers, as its README says: the targets and, flag by flag, the value for each of them.

use serde_json::{Value, json};

pub const PRODUCTION: &str = "6f1c8a52-7d0e-4b6f-9a41-2c5e8d7b6a10";
pub const SERVER_KEY: &str = "sample-server-key-production";
pub const CLIENT_KEY: &str = "sample-client-key-production";

/// One flag's values for the targets of `targets`, in their order.
pub struct SampleFlag {
    pub flag: &'static str,
    pub kind: &'static str,
    pub values: [Value; 6],
}

impl SampleFlag {
    /// Something that is no flag's value, so that a default never looks like an answer; booleans have no third value.
    pub fn default(&self, index: usize) -> Value {
        match self.kind {
            "boolean" => json!(!self.values[index].as_bool().unwrap()),
            "string" => json!("the default"),
            "number" => json!(-1.0),
            _ => json!({"default": true}),
        }
    }
}

pub fn targets() -> [Value; 6] {
    let target = |identifier: &str, name: &str, attributes: Value| json!({"identifier": identifier, "name": name, "attributes": attributes});
    [
        target(
            "ada",
            "Ada",
            json!({"email": "ada@example.com", "plan": "enterprise", "country": "DE", "company": "initech"}),
        ),
        target("bob", "Bob", json!({"email": "bob@example.org", "plan": "free", "country": "FR", "company": "globex"})),
        target(
            "carol",
            "Carol",
            json!({"email": "carol@example.com", "plan": "pro", "country": "FR", "company": "umbrella"}),
        ),
        target(
            "dora",
            "Dora",
            json!({"email": "dora@beta.example.com", "plan": "pro", "country": "SE", "company": "acme"}),
        ),
        target("mallory", "Mallory", json!({"email": "mallory@beta.example.com", "plan": "free", "country": "US"})),
        target("kiosk-7", "Kiosk 7", json!({"store": "Berlin", "country": "DE"})),
    ]
}

pub fn flags() -> Vec<SampleFlag> {
    let booleans = |flag, values: [bool; 6]| SampleFlag { flag, kind: "boolean", values: values.map(Value::from) };
    let strings = |flag, values: [&str; 6]| SampleFlag { flag, kind: "string", values: values.map(Value::from) };
    let numbers = |flag, values: [f64; 6]| SampleFlag { flag, kind: "number", values: values.map(Value::from) };
    let standard = || json!({"pageSize": 20, "facets": ["brand", "price"]});
    let wide = || json!({"pageSize": 50, "facets": ["brand", "price", "rating"], "highlight": {"tag": "em"}});
    vec![
        booleans("new-checkout", [true, false, true, true, false, false]),
        booleans("express-shipping", [true, false, true, true, false, false]),
        booleans("gift-wrapping", [true, false, true, true, false, false]),
        booleans("maintenance-mode", [false; 6]),
        booleans("partner-portal", [true, false, false, false, false, false]),
        booleans("kiosk-mode", [false, false, false, false, false, true]),
        booleans("recommendations", [false, true, false, true, false, false]),
        strings("search-engine", ["classic", "semantic", "classic", "hybrid", "semantic", "semantic"]),
        strings("theme", ["maple-eu", "maple-dark", "maple-eu", "maple", "maple", "maple-eu"]),
        strings("greeting", ["Grüß dich 🍁", "Welcome!", "Bienvenue, ça va ?", "Welcome!", "Welcome!", "Welcome!"]),
        numbers("free-shipping-threshold", [0.0, 50.0, 0.0, 0.0, 50.0, 50.0]),
        numbers("max-cart-items", [1000.0, 100.0, 100.0, 100.0, 100.0, 100.0]),
        numbers("discount-percent", [2.5; 6]),
        SampleFlag {
            flag: "search-settings",
            kind: "json",
            values: [standard(), standard(), wide(), wide(), standard(), standard()],
        },
    ]
}

/// `20` and `20.0` are one number: languages write whole numbers differently.
pub fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.as_f64() == right.as_f64(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, value)| right.get(key).is_some_and(|other| same(value, other)))
        }
        _ => left == right,
    }
}
