use super::compiled::CompiledFlag;
use super::variation::CompiledVariation;

/// What one flag answers a target.
#[derive(Debug, Clone, Copy)]
pub struct FlagAnswer<'a> {
    /// The flag's identifier.
    pub identifier: &'a str,
    /// The flag's kind: `boolean`, `int`, `string` or `json`.
    pub kind: &'a str,
    /// The variation served; `None` when the flag cannot be evaluated.
    pub variation: Option<&'a CompiledVariation>,
}

impl<'a> FlagAnswer<'a> {
    #[inline]
    pub(super) fn new(flag: &'a CompiledFlag, served: Option<u32>) -> Self {
        Self { identifier: &flag.origin.identifier, kind: &flag.kind, variation: flag.variation(served) }
    }
}

impl CompiledFlag {
    /// The variation at a place among the flag's.
    #[inline]
    pub(super) fn variation(&self, place: Option<u32>) -> Option<&CompiledVariation> {
        self.variations.get(usize::try_from(place?).ok()?)
    }
}
