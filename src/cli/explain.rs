//! `ff-relay explain`: why a flag serves what it serves, step by step.

mod text;
mod view;

use clap::Parser;

use super::connect::{Relay, wait};
use super::inspect::one_environment;
use super::{Output, print};
use crate::proto::inspect::v1::ExplainEvaluationRequest;
use crate::proto::inspect::v1::explain_evaluation_request::Subject;

/// Say what a flag serves for a target, and why: prerequisite by
/// prerequisite, rule by rule, clause by clause, with buckets and weights.
/// Needs the role inspect.
#[derive(Debug, Parser)]
#[command(name = "explain", disable_version_flag = true, after_help = EXAMPLES)]
pub struct Arguments {
    /// The environment's id; may be left out where there is only one.
    #[arg(long, value_name = "ID")]
    environment: Option<String>,
    /// The flag's identifier.
    #[arg(long, value_name = "IDENTIFIER")]
    flag: String,
    /// The target's identifier: one that an SDK brought, else a configured
    /// one, else one without attributes.
    #[arg(long, value_name = "IDENTIFIER", required_unless_present = "target_json")]
    target: Option<String>,
    /// The target as SDKs send it.
    #[arg(long, value_name = "JSON", conflicts_with = "target")]
    target_json: Option<String>,
    #[command(flatten)]
    relay: Relay,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

const EXAMPLES: &str = r#"Examples:
  ff-relay explain --flag dark-mode --target jo
  ff-relay explain --flag dark-mode --target-json '{"identifier":"jo","attributes":{"tier":"gold"}}'
  ff-relay explain --flag dark-mode --target jo --output json | jq .variation

Exit codes: 0 explained; 1 no such flag, or failed; 2 unreachable; 3 refused; 64 wrong command line."#;

/// # Errors
/// The relay cannot be reached, refuses, or has no such flag.
pub fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    wait(async {
        let session = arguments.relay.connect().await?;
        let subject = match (&arguments.target, &arguments.target_json) {
            (_, Some(json)) => Subject::TargetJson(json.clone().into_bytes()),
            (target, None) => Subject::TargetIdentifier(target.clone().unwrap_or_default()),
        };
        let request = ExplainEvaluationRequest {
            environment_id: one_environment(&session, arguments.environment.as_deref()).await?,
            flag: arguments.flag.clone(),
            subject: Some(subject),
        };
        let answer = session.answer(session.inspect().explain_evaluation(session.request(request))).await?;
        match arguments.output {
            Output::Json => print::json(&view::json(&answer)),
            Output::Text => text::print(&answer),
        }
        Ok(true)
    })
}
