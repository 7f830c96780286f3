//! What a process has used so far, as Linux tells in `/proc`. Elsewhere nothing is known.

use std::path::Path;
use std::time::Duration;

/// One tick of CPU time as `/proc` counts it: a hundredth of a second on every Linux that this is built for.
const TICK: Duration = Duration::from_millis(10);
/// The thread of a home on which the embedded table store runs.
const STORE: &str = "dynamodb";

/// A look at a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    cpu: Duration,
    store: Duration,
    resident: u64,
}

/// What a process used between two looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    /// CPU time of all its threads, in steps of 10 ms.
    pub cpu: Duration,
    /// The share of the thread on which the embedded table store runs; zero in a process that has none. Reading streams
    /// happens on other threads.
    pub store: Duration,
    /// Resident memory at the beginning, bytes.
    pub before: u64,
    /// Resident memory at the end, bytes.
    pub after: u64,
}

impl Usage {
    /// Looks at a process; `None` if there is none, or the system does not tell.
    pub(crate) fn of(process: u32) -> Option<Self> {
        let folder = Path::new("/proc").join(process.to_string());
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
        let (_, cpu) = named_cpu(&read("stat")?)?;
        let tasks = std::fs::read_dir(folder.join("task")).ok()?;
        let threads = tasks.filter_map(|task| {
            // A thread may end while its fellows are looked at.
            named_cpu(&std::fs::read_to_string(task.ok()?.path().join("stat")).ok()?)
        });
        let store = threads.filter(|(name, _)| name == STORE).map(|(_, cpu)| cpu).sum();
        Some(Self { cpu, store, resident: resident(&read("status")?)? })
    }

    /// What was used between two looks, if both succeeded.
    pub(crate) fn between(before: Option<Self>, after: Option<Self>) -> Option<Used> {
        let (before, after) = (before?, after?);
        Some(Used {
            cpu: after.cpu.saturating_sub(before.cpu),
            store: after.store.saturating_sub(before.store),
            before: before.resident,
            after: after.resident,
        })
    }
}

/// The name in a `stat` file, and the CPU time in user and in kernel mode together.
fn named_cpu(stat: &str) -> Option<(String, Duration)> {
    // A name may hold blanks and brackets; the last bracket ends it. Times are the 14th and 15th field, the name is the
    // second.
    let (front, rest) = stat.rsplit_once(')')?;
    let (_, name) = front.split_once('(')?;
    let mut times = rest.split_whitespace().skip(11).take(2).map(str::parse::<u32>);
    let ticks = times.next()?.ok()?.checked_add(times.next()?.ok()?)?;
    Some((name.to_owned(), TICK.checked_mul(ticks)?))
}

/// Bytes of resident memory, by a `status` file.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_hide_the_times() {
        let stat = "4711 (a (b) c) S 1 4711 4711 0 -1 4194304 9 0 0 0 150 25 0 0 20 0 3 0 99 1 2";
        assert_eq!(named_cpu(stat), Some(("a (b) c".to_owned(), Duration::from_millis(1_750))));
        assert_eq!(named_cpu("nonsense"), None);
    }

    #[test]
    fn memory_is_told_in_kibibytes() {
        assert_eq!(resident("Name:\tx\nVmHWM:\t   900 kB\nVmRSS:\t     512 kB\n"), Some(524_288));
        assert_eq!(resident("Name:\tx\n"), None);
    }

    #[test]
    fn nothing_is_known_between_looks_of_which_one_failed() {
        let look = Usage { cpu: Duration::from_secs(1), store: Duration::ZERO, resident: 1 };
        assert_eq!(Usage::between(Some(look), None), None);
        let later = Usage { cpu: Duration::from_secs(3), store: Duration::from_secs(1), resident: 2 };
        let used = Usage::between(Some(look), Some(later)).unwrap();
        assert_eq!((used.cpu, used.store), (Duration::from_secs(2), Duration::from_secs(1)));
        assert_eq!((used.before, used.after), (1, 2));
    }
}
