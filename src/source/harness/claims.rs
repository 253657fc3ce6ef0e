//! The payload of Harness's tokens. They cannot be verified here (the key is
//! Harness's); what they say is used.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::snapshot::content::EnvironmentId;

/// What a token for one environment says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentClaims {
    pub environment: EnvironmentId,
    pub environment_identifier: String,
    pub project_identifier: String,
    pub account_id: String,
    /// `"1"` where none is named.
    pub cluster: String,
}

/// What the token of a proxy key says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyClaims {
    pub account_id: String,
    /// `"1"` where none is named.
    pub cluster: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Payload {
    environment: Option<String>,
    #[serde(rename = "environmentIdentifier")]
    environment_identifier: Option<String>,
    #[serde(rename = "projectIdentifier")]
    project_identifier: Option<String>,
    #[serde(rename = "accountID")]
    account_id: Option<String>,
    #[serde(rename = "clusterIdentifier")]
    cluster_identifier: Option<serde_json::Value>,
    #[serde(rename = "cluster_identifier")]
    proxy_cluster: Option<serde_json::Value>,
    account: Option<String>,
}

fn payload(token: &str) -> Result<Payload, String> {
    let part = token.split('.').nth(1).ok_or("the token is no JWT")?;
    let bytes = URL_SAFE_NO_PAD
        .decode(part.trim_end_matches('='))
        .map_err(|_| "the token's payload is not base64url".to_owned())?;
    serde_json::from_slice(&bytes).map_err(|error| format!("the token's payload cannot be read: {error}"))
}

/// Some services write the cluster as a number.
fn cluster(value: Option<serde_json::Value>) -> String {
    let text = match value {
        Some(serde_json::Value::String(text)) => text,
        Some(serde_json::Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    if text.is_empty() { "1".to_owned() } else { text }
}

impl EnvironmentClaims {
    /// # Errors
    /// What is missing.
    pub fn read(token: &str) -> Result<Self, String> {
        let payload = payload(token)?;
        let needed = |value: Option<String>, name: &str| {
            value.filter(|text| !text.is_empty()).ok_or_else(|| format!("the token has no claim {name}"))
        };
        Ok(EnvironmentClaims {
            environment: EnvironmentId::new(&needed(payload.environment, "environment")?),
            environment_identifier: needed(payload.environment_identifier, "environmentIdentifier")?,
            project_identifier: needed(payload.project_identifier, "projectIdentifier")?,
            account_id: payload.account_id.unwrap_or_default(),
            cluster: cluster(payload.cluster_identifier),
        })
    }
}

impl ProxyClaims {
    /// # Errors
    /// It is no JWT.
    pub fn read(token: &str) -> Result<Self, String> {
        let payload = payload(token)?;
        Ok(ProxyClaims { account_id: payload.account.unwrap_or_default(), cluster: cluster(payload.proxy_cluster) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(payload: &str) -> String {
        format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn reads_what_is_there_and_says_what_is_missing() {
        let good = token(
            r#"{"environment":"u","environmentIdentifier":"e","projectIdentifier":"p","accountID":"a","clusterIdentifier":2}"#,
        );
        let claims = EnvironmentClaims::read(&good).unwrap();
        assert_eq!((claims.environment.as_str(), claims.cluster.as_str(), claims.account_id.as_str()), ("u", "2", "a"));
        let missing = token(r#"{"environment":"u","projectIdentifier":"p"}"#);
        assert!(EnvironmentClaims::read(&missing).unwrap_err().contains("environmentIdentifier"));
        for bad in ["", "a", "a.%%.c", "a.e30.c"] {
            assert!(EnvironmentClaims::read(bad).is_err(), "{bad}");
        }
        let proxy = ProxyClaims::read(&token(r#"{"account":"a","cluster_identifier":""}"#)).unwrap();
        assert_eq!(proxy, ProxyClaims { account_id: "a".into(), cluster: "1".into() });
    }
}
