//! The text of `--print-config`.

use std::fmt::Write;

use super::option_spec::{Group, Variable};
use super::remarks::is_unused;
use super::settings::{Setting, Settings};

/// Every option with its value and where that came from, secrets as `***`; then what would be
/// logged at start.
pub(super) fn text(settings: &Settings, mode: &str, warnings: &[String], notices: &[String]) -> String {
    let mut text = format!("mode: {mode}\n");
    for group in Group::ALL {
        let mut settings_shown = settings
            .0
            .iter()
            .filter(|setting| setting.spec.group == group)
            .filter(|setting| setting.spec.variable != Variable::None)
            .peekable();
        if settings_shown.peek().is_some() {
            let _ = writeln!(text, "\n{}:", group.title());
        }
        for setting in settings_shown {
            line(&mut text, settings, setting);
        }
    }
    for (heading, lines) in [("Warnings", warnings), ("Notices", notices)] {
        if !lines.is_empty() {
            let _ = writeln!(text, "\n{heading}:");
        }
        for line in lines {
            let _ = writeln!(text, "  {line}");
        }
    }
    text
}

fn line(text: &mut String, settings: &Settings, setting: &Setting) {
    let value = format!("{} = {}", setting.spec.flag, setting.shown);
    let _ = write!(text, "  {value:<56} # {}", setting.origin);
    if setting.is_given() && is_unused(settings, setting) {
        text.push_str(", not used offline");
    }
    text.push('\n');
}
