//! Counts of SDK requests, kept where they arise as plain atomics, so that
//! counting needs no lock and no label look-up.

use std::sync::atomic::{AtomicU64, Ordering};

/// The routes by which requests are counted: a fixed set, never a raw path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum RouteLabel {
    Authenticate,
    Flags,
    Flag,
    Segments,
    Segment,
    Evaluations,
    Evaluation,
    Stream,
    Metrics,
    Operations,
    Unknown,
}

impl RouteLabel {
    pub const ALL: [RouteLabel; 11] = [
        RouteLabel::Authenticate,
        RouteLabel::Flags,
        RouteLabel::Flag,
        RouteLabel::Segments,
        RouteLabel::Segment,
        RouteLabel::Evaluations,
        RouteLabel::Evaluation,
        RouteLabel::Stream,
        RouteLabel::Metrics,
        RouteLabel::Operations,
        RouteLabel::Unknown,
    ];

    /// The route's template, as the Go proxy labels it.
    #[must_use]
    pub fn template(self) -> &'static str {
        match self {
            RouteLabel::Authenticate => "/client/auth",
            RouteLabel::Flags => "/client/env/:environment_uuid/feature-configs",
            RouteLabel::Flag => "/client/env/:environment_uuid/feature-configs/:identifier",
            RouteLabel::Segments => "/client/env/:environment_uuid/target-segments",
            RouteLabel::Segment => "/client/env/:environment_uuid/target-segments/:identifier",
            RouteLabel::Evaluations => "/client/env/:environment_uuid/target/:target/evaluations",
            RouteLabel::Evaluation => "/client/env/:environment_uuid/target/:target/evaluations/:feature",
            RouteLabel::Stream => "/stream",
            RouteLabel::Metrics => "/metrics/:environment_uuid",
            RouteLabel::Operations => "/operations",
            RouteLabel::Unknown => "/unknown",
        }
    }

    /// The method that the route is asked with.
    #[must_use]
    pub fn method(self) -> &'static str {
        match self {
            RouteLabel::Authenticate | RouteLabel::Metrics => "POST",
            _ => "GET",
        }
    }
}

/// Status codes that are told apart; everything else is the last.
pub const CODES: [u16; 14] = [200, 204, 304, 400, 401, 404, 405, 408, 413, 431, 500, 503, 507, 0];

/// Requests by route and code.
#[derive(Debug, Default)]
pub struct RequestCounts {
    counts: [[AtomicU64; CODES.len()]; RouteLabel::ALL.len()],
}

impl RequestCounts {
    pub fn add(&self, route: RouteLabel, status: u16) {
        let code = CODES.iter().position(|code| *code == status).unwrap_or(CODES.len() - 1);
        if let Some(count) = self.counts.get(route as usize).and_then(|row| row.get(code)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Everything that was counted: route, code (0 for other ones), count.
    pub fn rows(&self) -> impl Iterator<Item = (RouteLabel, u16, u64)> {
        RouteLabel::ALL.into_iter().zip(&self.counts).flat_map(|(route, row)| {
            CODES.into_iter().zip(row).filter_map(move |(code, count)| {
                let count = count.load(Ordering::Relaxed);
                (count > 0).then_some((route, code, count))
            })
        })
    }
}

/// A histogram over fixed buckets, without locks.
#[derive(Debug)]
pub struct FixedHistogram<const N: usize> {
    bounds: [f64; N],
    counts: [AtomicU64; N],
    over: AtomicU64,
    /// In millionths of the unit, so that it can be an integer.
    sum_millionths: AtomicU64,
}

impl<const N: usize> FixedHistogram<N> {
    #[must_use]
    pub fn new(bounds: [f64; N]) -> Self {
        FixedHistogram {
            bounds,
            counts: std::array::from_fn(|_| AtomicU64::new(0)),
            over: AtomicU64::new(0),
            sum_millionths: AtomicU64::new(0),
        }
    }

    pub fn observe(&self, value: f64) {
        let slot = self.bounds.iter().zip(&self.counts).find(|(bound, _)| value <= **bound).map(|(_, count)| count);
        slot.unwrap_or(&self.over).fetch_add(1, Ordering::Relaxed);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a sum of observations")]
        self.sum_millionths.fetch_add((value * 1e6) as u64, Ordering::Relaxed);
    }

    /// Cumulative counts by bound, the total, and the sum.
    #[must_use]
    pub fn read(&self) -> (Vec<(f64, u64)>, u64, f64) {
        let mut total = 0;
        let mut rows = Vec::with_capacity(N);
        for (bound, count) in self.bounds.iter().zip(&self.counts) {
            total += count.load(Ordering::Relaxed);
            rows.push((*bound, total));
        }
        total += self.over.load(Ordering::Relaxed);
        #[expect(clippy::cast_precision_loss, reason = "a sum for a dashboard")]
        let sum = self.sum_millionths.load(Ordering::Relaxed) as f64 / 1e6;
        (rows, total, sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_route_and_code() {
        let counts = RequestCounts::default();
        counts.add(RouteLabel::Flags, 200);
        counts.add(RouteLabel::Flags, 200);
        counts.add(RouteLabel::Unknown, 418);
        assert_eq!(counts.rows().collect::<Vec<_>>(), [(RouteLabel::Flags, 200, 2), (RouteLabel::Unknown, 0, 1)]);
        for (index, route) in RouteLabel::ALL.into_iter().enumerate() {
            assert_eq!(route as usize, index);
        }
    }

    #[test]
    fn histograms_are_cumulative() {
        let histogram = FixedHistogram::new([1.0, 2.0]);
        [0.5, 1.5, 9.0].into_iter().for_each(|value| histogram.observe(value));
        let (rows, total, sum) = histogram.read();
        assert_eq!((rows, total), (vec![(1.0, 1), (2.0, 2)], 3));
        assert!((sum - 11.0).abs() < 1e-6);
    }
}
