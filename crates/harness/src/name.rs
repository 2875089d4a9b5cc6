//! Names that are unique to a run, so that two test processes, or a test and an operator, do not collide.

use std::time::{SystemTime, UNIX_EPOCH};

/// The id of the test run: nextest's `NEXTEST_RUN_ID`, or else `run-` and a random suffix.
pub(crate) fn run_id() -> String {
    std::env::var("NEXTEST_RUN_ID").unwrap_or_else(|_| format!("run-{}", suffix()))
}

/// The test's name as a file name, `isolation.two_clients`: nextest's `NEXTEST_TEST_NAME`, or else the thread's name.
pub(crate) fn test_name() -> String {
    let of_the_thread = || std::thread::current().name().unwrap_or("main").to_owned();
    let name = std::env::var("NEXTEST_TEST_NAME").unwrap_or_else(|_| of_the_thread());
    name.replace("::", ".")
}

/// Four letters or digits, `x7k2`, that differ between processes and between fixtures of one process.
pub(crate) fn suffix() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut number = u64::from(now.subsec_nanos()) ^ now.as_secs() ^ (u64::from(std::process::id()) << 20);
    let letters = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut text = String::new();
    for _ in 0..4 {
        // Fibonacci hashing: the upper bits depend on all lower ones.
        number = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        text.push(char::from(letters[(number >> 59) as usize]));
    }
    text
}

/// The name of a node on the host, `acme-x7k2-cp-1`, for the test's `acme-cp-1`. `None` where it is no node of the
/// cluster. Pure.
pub(crate) fn real_node(asked: &str, cluster: &str, real_cluster: &str) -> Option<String> {
    let role = asked.strip_prefix(cluster)?.strip_prefix('-')?;
    Some(format!("{real_cluster}-{role}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_found_by_the_name_that_the_test_uses() {
        assert_eq!(real_node("acme-cp-1", "acme", "acme-x7k2").as_deref(), Some("acme-x7k2-cp-1"));
        assert_eq!(real_node("globex-cp-1", "acme", "acme-x7k2"), None);
    }
}
