//! Requests: ready bytes, some with a number in them that differs each time.

use super::answer::Expected;

/// Stands in a request for six digits.
pub const NUMBER: &str = "@@@@@@";

/// One kind of request.
#[derive(Debug, Clone)]
pub struct Kind {
    pub request: Vec<u8>,
    pub expected: Expected,
    /// How often it comes, beside the others.
    pub weight: u32,
}

/// Kinds of requests, drawn by their weights from a fixed seed.
#[derive(Debug, Clone)]
pub struct Traffic {
    kinds: Vec<(Kind, Vec<usize>)>,
    total: u32,
    /// The numbers are below it.
    numbers: u64,
    state: u64,
}

impl Traffic {
    pub fn new(kinds: Vec<Kind>, numbers: u64) -> Self {
        let places = |kind: &Kind| {
            let windows = kind.request.windows(NUMBER.len()).enumerate();
            windows.filter(|(_, window)| *window == NUMBER.as_bytes()).map(|(at, _)| at).collect()
        };
        let total = kinds.iter().map(|kind| kind.weight).sum();
        let kinds = kinds.into_iter().map(|kind| (places(&kind), kind)).map(|(places, kind)| (kind, places)).collect();
        Traffic { kinds, total, numbers, state: 0x9e37_79b9_7f4a_7c15 }
    }

    /// Writes the next request; gives its kind.
    pub fn next(&mut self, out: &mut Vec<u8>) -> usize {
        let draw = self.random();
        let mut left = u32::try_from(draw >> 32).unwrap() % self.total;
        let mut at = 0;
        while left >= self.kinds[at].0.weight {
            left -= self.kinds[at].0.weight;
            at += 1;
        }
        let number = self.random() % self.numbers;
        let (kind, places) = &self.kinds[at];
        out.clear();
        out.extend_from_slice(&kind.request);
        for place in places {
            write_number(&mut out[*place..*place + NUMBER.len()], number);
        }
        at
    }

    pub fn expected(&self, kind: usize) -> &Expected {
        &self.kinds[kind].0.expected
    }

    /// Xorshift.
    fn random(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }
}

fn write_number(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap();
        number /= 10;
    }
}
