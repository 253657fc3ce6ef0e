//! Events as lines.

use std::time::SystemTime;

use prost_types::Timestamp;
use serde_json::json;

use super::state::Event;
use crate::cli::Output;
use crate::cli::print::{self, Paint, Tone, clean, say};
use crate::cli::view;

/// Prints until there were enough changes.
pub(super) struct Printer {
    output: Output,
    paint: Paint,
    left: Option<u64>,
}

impl Printer {
    pub(super) fn new(output: Output, limit: Option<u64>) -> Self {
        Printer { output, paint: Paint::of_surroundings(), left: limit }
    }

    pub(super) fn is_done(&self) -> bool {
        self.left == Some(0)
    }

    pub(super) fn print(&mut self, events: &[Event]) {
        for event in events {
            if self.is_done() {
                return;
            }
            self.line(event);
            if event.is_change() {
                self.left = self.left.map(|left| left.saturating_sub(1));
            }
        }
    }

    fn line(&self, event: &Event) {
        let now = Timestamp::from(SystemTime::now());
        if self.output == Output::Json {
            let mut value = json!(event);
            if let Some(members) = value.as_object_mut() {
                members.insert("at".to_owned(), view::time_json(Some(&now)));
            }
            print::json_line(&value);
            return;
        }
        let tone = match event.what {
            "create" | "added" | "fresh" => Tone::Good,
            "delete" | "removed" | "stale" => Tone::Bad,
            "state" => Tone::Faint,
            _ => Tone::Changed,
        };
        let mut line = format!("{} env-{} ", view::time(Some(&now)), clean(&event.environment));
        line.push_str(&self.paint.text(tone, event.what));
        if let (Some(kind), Some(identifier)) = (event.kind, &event.identifier) {
            line.push_str(&format!(" {kind} {}", clean(identifier)));
        }
        if let Some(version) = event.version {
            line.push_str(&format!(" version {version}"));
        }
        if !event.detail.is_empty() {
            line.push_str(&format!(": {}", clean(&event.detail)));
        }
        say!("{line}");
        print::flush();
    }
}
