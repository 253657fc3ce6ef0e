//! One environment, flag or segment.

use serde_json::Value;

use super::pages::one_environment;
use crate::cli::Output;
use crate::cli::connect::Session;
use crate::cli::failure::Failure;
use crate::cli::print::{clean, say};
use crate::cli::{print, view};
use crate::proto::inspect::v1 as proto;

pub(super) async fn environment(session: &Session, id: Option<&str>, output: Output) -> anyhow::Result<()> {
    let environment_id = one_environment(session, id).await?;
    let request = session.request(proto::GetEnvironmentRequest { environment_id });
    let answer = session.answer(session.inspect().get_environment(request)).await?;
    let environment = answer.environment.ok_or_else(|| Failure::failed("the relay's answer holds no environment"))?;
    print(view::environment(&environment), &[], output);
    Ok(())
}

pub(super) async fn flag(
    session: &Session,
    environment: Option<&str>,
    identifier: &str,
    output: Output,
) -> anyhow::Result<()> {
    let environment_id = one_environment(session, environment).await?;
    let request = proto::GetFlagRequest { environment_id, identifier: identifier.to_owned() };
    let answer = session.answer(session.inspect().get_flag(session.request(request))).await?;
    let flag = answer.flag.ok_or_else(|| Failure::failed("the relay's answer holds no flag"))?;
    print(view::flag(&flag), &[("json", &answer.json), ("servedJson", &answer.served_json)], output);
    Ok(())
}

pub(super) async fn segment(
    session: &Session,
    environment: Option<&str>,
    identifier: &str,
    output: Output,
) -> anyhow::Result<()> {
    let environment_id = one_environment(session, environment).await?;
    let request = proto::GetSegmentRequest { environment_id, identifier: identifier.to_owned() };
    let answer = session.answer(session.inspect().get_segment(session.request(request))).await?;
    let segment = answer.segment.ok_or_else(|| Failure::failed("the relay's answer holds no segment"))?;
    print(view::segment(&segment), &[("json", &answer.json), ("servedJson", &answer.served_json)], output);
    Ok(())
}

/// What is known in short, then the JSON that belongs to it: for people only
/// the source's own.
fn print(mut summary: Value, embedded: &[(&'static str, &[u8])], output: Output) {
    if output == Output::Json {
        for (name, bytes) in embedded {
            if let Some(members) = summary.as_object_mut() {
                members.insert((*name).to_owned(), view::embedded(bytes));
            }
        }
        print::json(&summary);
        return;
    }
    lines("", &summary);
    if let Some((_, bytes)) = embedded.first() {
        say!();
        print::json(&view::embedded(bytes));
    }
}

/// Members one a line, under names of the outer ones.
fn lines(outer: &str, value: &Value) {
    for (name, value) in value.as_object().into_iter().flatten() {
        let name = if outer.is_empty() { name.clone() } else { format!("{outer}.{name}") };
        match value {
            Value::Object(_) => lines(&name, value),
            Value::Null => say!("{name:<24} -"),
            Value::String(text) => say!("{name:<24} {}", clean(text)),
            other => say!("{name:<24} {other}"),
        }
    }
}
