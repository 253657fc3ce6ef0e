//! An explanation as a person reads it.

use crate::cli::print::{Paint, Tone, clean, say};
use crate::cli::view::spoken;
use crate::proto::inspect::v1 as proto;

struct Text {
    paint: Paint,
}

pub(super) fn print(it: &proto::ExplainEvaluationResponse) {
    let text = Text { paint: Paint::of_surroundings() };
    text.answer(it);
    text.prerequisites(&it.prerequisites);
    text.target_map(&it.target_map);
    text.rules(&it.rules);
    it.distributions.iter().for_each(|bucket| text.distribution(bucket));
    text.segments(&it.segments);
}

impl Text {
    fn answer(&self, it: &proto::ExplainEvaluationResponse) {
        let state = if it.on { "on" } else { "off" };
        say!("flag     {} ({}, {state}, served version {})", clean(&it.flag), clean(&it.kind), it.served_version);
        let origin = match it.target_origin() {
            proto::TargetOrigin::Learnt => "brought by an SDK",
            proto::TargetOrigin::Configured => "configured",
            proto::TargetOrigin::Unspecified => "as given",
        };
        say!("target   {} ({origin})", clean(&String::from_utf8_lossy(&it.target_json)));
        match (&it.variation, &it.value) {
            (Some(variation), value) => {
                let shown = self.paint.text(Tone::Strong, &clean(variation));
                say!("serves   {shown} (value {})", quoted(value.as_deref().unwrap_or_default()));
            }
            (None, _) => say!("serves   {}", self.paint.text(Tone::Bad, "nothing: no variation can be served")),
        }
        say!("because  {}", because(it));
    }

    fn mark(&self, held: bool) -> String {
        if held { self.paint.text(Tone::Good, "✓") } else { self.paint.text(Tone::Bad, "✗") }
    }

    fn prerequisites(&self, steps: &[proto::PrerequisiteStep]) {
        if steps.is_empty() {
            return;
        }
        heading("prerequisites");
        for it in steps {
            use proto::PrerequisiteOutcome as Outcome;
            let served = it.served.as_deref().map_or_else(|| "nothing".to_owned(), quoted);
            let wanted = list(&it.wanted, it.wanted_count);
            let said = match it.outcome() {
                Outcome::Met => format!("serves {served}, one of {wanted}"),
                Outcome::OtherVariation => format!("serves {served}, and not one of {wanted}"),
                Outcome::Unknown => "there is no such flag: counts as met".to_owned(),
                Outcome::NotEvaluated => "it has no answer: counts as met".to_owned(),
                Outcome::OwnNotMet => "its own prerequisites are not met".to_owned(),
                Outcome::Circle => "it leads back to itself".to_owned(),
                Outcome::Unspecified => "not said".to_owned(),
            };
            let held = matches!(it.outcome(), Outcome::Met | Outcome::Unknown | Outcome::NotEvaluated);
            say!("  {} {} (of {}): {said}", self.mark(held), clean(&it.flag), clean(&it.of));
        }
    }

    fn target_map(&self, steps: &[proto::MapStep]) {
        if steps.is_empty() {
            return;
        }
        heading("target map");
        for it in steps {
            let said = if it.listed { "lists the target" } else { "does not list the target" };
            say!("  {} {}: {said}{}", self.mark(it.held), clean(&it.variation), consulted(&it.segments));
        }
    }

    fn rules(&self, rules: &[proto::RuleStep]) {
        if rules.is_empty() {
            return;
        }
        heading("rules");
        for it in rules {
            let said = if it.held { "holds" } else { "does not hold" };
            say!("  {} {} (priority {}): {said}", self.mark(it.held), clean(&it.rule), it.priority);
            it.clauses.iter().for_each(|clause| self.clause("      ", clause));
        }
    }

    fn clause(&self, indent: &str, it: &proto::ClauseStep) {
        if it.op == "segmentMatch" || !it.segments.is_empty() {
            say!(
                "{indent}{} member of {}{}",
                self.mark(it.held),
                list(&it.values, it.value_count),
                consulted(&it.segments)
            );
            return;
        }
        let values = list(&it.values, it.value_count);
        let text =
            if it.text.is_empty() { "the target has none".to_owned() } else { format!("it is {}", quoted(&it.text)) };
        say!("{indent}{} {} {} {values}: {text}", self.mark(it.held), clean(&it.attribute), clean(&it.op));
    }

    fn distribution(&self, it: &proto::BucketStep) {
        let by = clean(&it.bucket_by);
        match it.bucket {
            Some(bucket) => heading(&format!("rollout by {by}: bucket {bucket} of 100")),
            None => heading(&format!("rollout by {by}: in no bucket")),
        }
        let mut end = 0;
        for share in &it.shares {
            let (first, last) = (end + 1, end + share.weight);
            end = last;
            let within = it.bucket.is_some_and(|bucket| (first..=last).contains(&i64::from(bucket)));
            let range = if share.weight > 0 { format!("{first}–{last}") } else { "-".to_owned() };
            let line = format!("  {range:<8} {:>3} %  {}", share.weight, clean(&share.variation));
            say!(
                "{}{}",
                self.paint.text(if within { Tone::Strong } else { Tone::Faint }, &line),
                if within { "  ←" } else { "" }
            );
        }
        if !it.variation.is_empty() {
            say!("  serves {}", clean(&it.variation));
        }
    }

    fn segments(&self, steps: &[proto::SegmentStep]) {
        if steps.is_empty() {
            return;
        }
        heading("segments");
        for it in steps {
            let outcome = it.outcome();
            let member = matches!(outcome, proto::SegmentOutcome::Included | proto::SegmentOutcome::Rule);
            say!("  {} {}: {}", self.mark(member), clean(&it.segment), said(outcome));
            for (at, rule) in it.rules.iter().enumerate() {
                say!("      rule {}", at + 1);
                rule.clauses.iter().for_each(|clause| self.clause("        ", clause));
            }
        }
    }
}

fn heading(text: &str) {
    say!();
    say!("{text}");
}

fn because(it: &proto::ExplainEvaluationResponse) -> String {
    let held = || it.rules.iter().find(|rule| rule.held).map(|rule| clean(&rule.rule)).unwrap_or_default();
    match it.reason() {
        proto::Reason::Unspecified => "nothing can be served for this target".to_owned(),
        proto::Reason::PrerequisiteNotMet => "a prerequisite is not met, so the off variation is served".to_owned(),
        proto::Reason::Off => "the flag is off, so the off variation is served".to_owned(),
        proto::Reason::TargetMap => "the target map names this target".to_owned(),
        proto::Reason::Rule => format!("rule {} holds", held()),
        proto::Reason::DefaultDistribution => "no rule holds, so the default's rollout decides".to_owned(),
        proto::Reason::DefaultVariation => "no rule holds, so the default is served".to_owned(),
    }
}

fn said(outcome: proto::SegmentOutcome) -> String {
    match outcome {
        proto::SegmentOutcome::Excluded => "excludes the target".to_owned(),
        proto::SegmentOutcome::Included => "includes the target".to_owned(),
        proto::SegmentOutcome::Rule => "a rule holds".to_owned(),
        proto::SegmentOutcome::NotMember => "the target is no member".to_owned(),
        proto::SegmentOutcome::Unknown => "there is no such segment: skipped".to_owned(),
        proto::SegmentOutcome::Unspecified => "not said".to_owned(),
    }
}

/// The segments that a map entry or a clause looked at.
fn consulted(segments: &[proto::SegmentReference]) -> String {
    let one = |it: &proto::SegmentReference| {
        format!("{} {}", clean(&it.segment), spoken(it.outcome().as_str_name(), "SEGMENT_OUTCOME_"))
    };
    if segments.is_empty() {
        return String::new();
    }
    format!(" (segments: {})", segments.iter().map(one).collect::<Vec<_>>().join(", "))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", clean(text))
}

/// Values, and how many more there are.
fn list(values: &[String], count: u64) -> String {
    let shown = values.iter().map(|value| quoted(value)).collect::<Vec<_>>().join(", ");
    match count.saturating_sub(values.len() as u64) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
