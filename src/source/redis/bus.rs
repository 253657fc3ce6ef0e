//! What relays tell each other through Redis: words in a stream. A word that
//! is lost, or comes twice, does no harm: revisions are compared at
//! intervals.

use serde::{Deserialize, Serialize};

use crate::snapshot::Revision;
use crate::snapshot::content::EnvironmentId;

/// The field of an entry that holds the word.
pub const FIELD: &str = "m";

/// One word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// An environment has another state.
    Changed(Changed),
    /// An environment is withdrawn.
    Gone(EnvironmentId),
    /// Is a key that nobody knows good? `id` names the question.
    Question { id: String },
    /// Every key list was read after the question, and what changed was
    /// told before this.
    Answer { id: String, complete: bool },
    /// The lease is given back: somebody else may take it now.
    Released,
}

/// A change of an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    pub environment: EnvironmentId,
    /// `None`: it has to be read whole.
    pub from: Option<Revision>,
    pub to: Revision,
    /// Fields of the truth that differ; empty with `from`: only versions.
    pub named: Vec<String>,
}

#[derive(Serialize, Deserialize, Default)]
struct Wire<'a> {
    k: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    e: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    f: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    t: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    n: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    c: bool,
}

impl Word {
    /// As JSON.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let wire = match self {
            Word::Changed(it) => Wire {
                k: "changed",
                e: Some(it.environment.to_string()),
                f: it.from.map(|from| from.to_string()),
                t: Some(it.to.to_string()),
                n: it.named.clone(),
                c: false,
            },
            Word::Gone(id) => Wire { k: "gone", e: Some(id.to_string()), ..Wire::default() },
            Word::Question { id } => Wire { k: "question", e: Some(id.clone()), ..Wire::default() },
            Word::Answer { id, complete } => Wire { k: "answer", e: Some(id.clone()), c: *complete, ..Wire::default() },
            Word::Released => Wire { k: "released", ..Wire::default() },
        };
        serde_json::to_vec(&wire).unwrap_or_default()
    }

    /// Reads what [`Word::write`] wrote; `None` for what a later version may
    /// say.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Word> {
        let wire: Wire<'_> = serde_json::from_slice(bytes).ok()?;
        Some(match wire.k {
            "changed" => Word::Changed(Changed {
                environment: EnvironmentId::new(&wire.e?),
                from: wire.f.as_deref().map(Revision::parse).map(|it| it.ok_or(())).transpose().ok()?,
                to: Revision::parse(&wire.t?)?,
                named: wire.n,
            }),
            "gone" => Word::Gone(EnvironmentId::new(&wire.e?)),
            "question" => Word::Question { id: wire.e? },
            "answer" => Word::Answer { id: wire.e?, complete: wire.c },
            "released" => Word::Released,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Epoch;
    use crate::snapshot::item::Digest;

    #[test]
    fn words_are_read_as_written() {
        let revision = |sequence| Revision { epoch: Epoch(7), sequence, digest: Digest::of(b"x") };
        let changed = |from| Changed {
            environment: EnvironmentId::new("e"),
            from,
            to: revision(3),
            named: vec!["f:a\"b".into()],
        };
        for word in [
            Word::Changed(changed(Some(revision(2)))),
            Word::Changed(changed(None)),
            Word::Gone(EnvironmentId::new("e")),
            Word::Question { id: "q".into() },
            Word::Answer { id: "q".into(), complete: true },
            Word::Released,
        ] {
            assert_eq!(Word::read(&word.write()), Some(word));
        }
        for other in [&b"{}"[..], b"{\"k\":\"later\"}", b"", b"{\"k\":\"changed\",\"e\":\"e\",\"t\":\"x\"}"] {
            assert_eq!(Word::read(other), None);
        }
    }
}
