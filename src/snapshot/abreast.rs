//! Environments are independent of each other: many are worked on side by
//! side, on all cores.

use std::num::NonZero;
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Does the same work with each and gives the results in the same order. A
/// panic of one is the caller's.
pub fn each<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let helpers = cores.min(items.len()).saturating_sub(1);
    if helpers == 0 {
        return items.into_iter().map(work).collect();
    }
    let queue = Mutex::new((0_usize..).zip(items));
    let take = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let run = || {
        let mut done = Vec::new();
        while let Some((place, item)) = take() {
            done.push((place, work(item)));
        }
        done
    };
    let mut done = thread::scope(|scope| {
        // Where no thread can be had, those that are there do it all.
        let spawn = |_| thread::Builder::new().name("abreast".to_owned()).spawn_scoped(scope, run).ok();
        let helpers: Vec<_> = (0..helpers).filter_map(spawn).collect();
        let mut done = run();
        for helper in helpers {
            match helper.join() {
                Ok(more) => done.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_unstable_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_their_order_and_a_panic_is_seen() {
        let squares = each((0..1000_u64).collect(), |n| n * n);
        assert!(squares.iter().copied().eq((0..1000).map(|n| n * n)));
        assert!(each(Vec::<u8>::new(), |n| n).is_empty());
        let panicked = std::panic::catch_unwind(|| each((0..10).collect(), |n: u8| assert!(n < 9)));
        assert!(panicked.is_err());
    }
}
