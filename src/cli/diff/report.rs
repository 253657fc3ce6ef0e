//! The difference as a person reads it.

use super::compare::{Difference, EnvironmentDifference, Outcome};
use crate::cli::print::{Paint, Tone, clean, count, say};

pub(super) fn print(difference: &Difference) {
    if difference.equal {
        say!("no difference");
        return;
    }
    let paint = Paint::of_surroundings();
    for environment in &difference.environments {
        print_environment(paint, environment);
    }
    let items = difference.environments.iter().map(|environment| environment.items.len() as u64).sum();
    let environments = count(difference.environments.len() as u64, "environment");
    say!("{} in {environments}", count(items, "item"));
}

fn print_environment(paint: Paint, it: &EnvironmentDifference) {
    let what = match it.outcome {
        Outcome::Added => ": added",
        Outcome::Removed => ": removed",
        Outcome::Changed => "",
    };
    say!("{}", paint.text(Tone::Strong, &format!("env-{}{what}", clean(&it.id))));
    for item in &it.items {
        let (tone, sign) = match item.outcome {
            Outcome::Added => (Tone::Good, "+"),
            Outcome::Removed => (Tone::Bad, "-"),
            Outcome::Changed => (Tone::Changed, "~"),
        };
        say!("  {}", paint.text(tone, &format!("{sign} {} {}", item.kind, clean(&item.identifier))));
        item.changes.iter().for_each(|change| say!("      {}", clean(&change.text)));
    }
    for (tone, sign, hashes) in [(Tone::Good, "+", &it.key_hashes_added), (Tone::Bad, "-", &it.key_hashes_removed)] {
        if !hashes.is_empty() {
            let keys = count(hashes.len() as u64, "SDK key");
            say!("  {}", paint.text(tone, &format!("{sign} {keys} (hash {})", hashes.join(", "))));
        }
    }
}
