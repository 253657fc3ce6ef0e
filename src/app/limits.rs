//! How many connections fit into this process.

/// Descriptors that are not for SDK connections.
const RESERVED: u64 = 512;

/// Raises the soft limit of open files to the hard one and says how many
/// connections fit.
#[must_use]
pub fn connections(wanted: Option<usize>) -> usize {
    let open_files = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1024);
    let fit = usize::try_from(open_files.saturating_sub(RESERVED).max(64)).unwrap_or(usize::MAX);
    // More permits than that a semaphore does not have.
    let fit = fit.min(tokio::sync::Semaphore::MAX_PERMITS);
    match wanted {
        Some(wanted) if wanted > fit => {
            tracing::warn!(
                max_connections = wanted,
                open_files,
                fit,
                "max-connections is above what the open-file limit allows"
            );
            wanted.min(tokio::sync::Semaphore::MAX_PERMITS)
        }
        Some(wanted) => wanted,
        None => fit,
    }
}
