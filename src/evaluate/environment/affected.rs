//! Which flags a change can touch.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::CompiledEnvironment;
use crate::evaluate::slots::{Kind, Slot, at};

impl CompiledEnvironment {
    /// The identifiers, sorted, of every flag whose answer can change when these flags and
    /// segments change, are created or are deleted.
    ///
    /// Those are the flags themselves (named here or not), the flags that use one of the segments,
    /// directly or through segments, and the flags that have any of these as a prerequisite,
    /// directly or through flags. An identifier that no longer exists, or does not yet, counts
    /// with those who refer to it.
    #[must_use]
    pub fn affected_flags(&self, changed_flags: &[&str], changed_segments: &[&str]) -> Vec<Arc<str>> {
        let named = || changed_flags.iter().map(|&flag| Arc::from(flag)).collect::<BTreeSet<Arc<str>>>();
        if !self.anyone_uses(changed_flags, changed_segments) {
            return named().into_iter().collect();
        }
        let mut reached = Reached::none(self.frame.users.get_or_init(|| Users::of(self)));
        for segment in changed_segments {
            reached.segment(self.slots.find(Kind::Segment, segment));
        }
        reached.spread_segments();
        for flag in changed_flags {
            reached.flag(self.slots.find(Kind::Flag, flag));
        }
        reached.spread_flags();

        let mut affected = named();
        let reached = reached.flags.iter().zip(&self.flags).filter(|(reached, _)| **reached);
        affected.extend(reached.filter_map(|(_, flag)| Some(Arc::clone(&flag.as_ref()?.origin.identifier))));
        affected.into_iter().collect()
    }

    fn anyone_uses(&self, flags: &[&str], segments: &[&str]) -> bool {
        let marked = |kind, names: &[&str], used: &[bool]| {
            names.iter().any(|name| self.slots.find(kind, name).is_some_and(|slot| used.get(at(slot)) != Some(&false)))
        };
        marked(Kind::Flag, flags, &self.frame.used_flags) || marked(Kind::Segment, segments, &self.frame.used_segments)
    }
}

/// Who refers to whom, backwards, by slot: the same for as long as everybody refers to what they
/// did.
#[derive(Debug)]
pub(super) struct Users {
    flags_of_flag: Vec<Vec<Slot>>,
    flags_of_segment: Vec<Vec<Slot>>,
    segments_of_segment: Vec<Vec<Slot>>,
}

/// Who was reached so far.
struct Reached<'u> {
    users: &'u Users,
    flags: Vec<bool>,
    segments: Vec<bool>,
    flags_to_do: Vec<Slot>,
    segments_to_do: Vec<Slot>,
}

impl Users {
    fn of(environment: &CompiledEnvironment) -> Self {
        let (flags, segments) = (environment.flags.len(), environment.frame.segments.len());
        let mut users = Self {
            flags_of_flag: vec![Vec::new(); flags],
            flags_of_segment: vec![Vec::new(); segments],
            segments_of_segment: vec![Vec::new(); segments],
        };
        for origin in environment.flags().map(|flag| &flag.origin) {
            note(&mut users.flags_of_flag, &origin.uses.flags, origin.slot);
            note(&mut users.flags_of_segment, &origin.uses.segments, origin.slot);
        }
        for origin in environment.segments().map(|segment| &segment.origin) {
            note(&mut users.segments_of_segment, &origin.uses.segments, origin.slot);
        }
        users
    }
}

impl<'u> Reached<'u> {
    fn none(users: &'u Users) -> Self {
        Self {
            users,
            flags: vec![false; users.flags_of_flag.len()],
            segments: vec![false; users.flags_of_segment.len()],
            flags_to_do: Vec::new(),
            segments_to_do: Vec::new(),
        }
    }

    fn flag(&mut self, slot: Option<Slot>) {
        reach(&mut self.flags, &mut self.flags_to_do, slot);
    }

    fn segment(&mut self, slot: Option<Slot>) {
        reach(&mut self.segments, &mut self.segments_to_do, slot);
    }

    fn spread_segments(&mut self) {
        while let Some(segment) = self.segments_to_do.pop() {
            for &user in self.users.segments_of_segment.get(at(segment)).into_iter().flatten() {
                self.segment(Some(user));
            }
            for &user in self.users.flags_of_segment.get(at(segment)).into_iter().flatten() {
                self.flag(Some(user));
            }
        }
    }

    fn spread_flags(&mut self) {
        while let Some(flag) = self.flags_to_do.pop() {
            for &user in self.users.flags_of_flag.get(at(flag)).into_iter().flatten() {
                self.flag(Some(user));
            }
        }
    }
}

fn note(users: &mut [Vec<Slot>], references: &[Slot], by: Slot) {
    for &slot in references {
        if let Some(list) = users.get_mut(at(slot)) {
            list.push(by);
        }
    }
}

fn reach(reached: &mut [bool], waiting: &mut Vec<Slot>, slot: Option<Slot>) {
    let Some(slot) = slot else { return };
    if let Some(seen) = reached.get_mut(at(slot)).filter(|seen| !**seen) {
        *seen = true;
        waiting.push(slot);
    }
}
