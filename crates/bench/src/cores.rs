//! CPU affinity, and CPU time as the scheduler counts it.

use std::fs;
use std::time::Duration;

use rustix::thread::{CpuSet, sched_setaffinity};

use crate::Outcome;

/// The core of the measured server.
pub(crate) const SERVER: usize = 0;
/// The core of the load generator.
pub(crate) const GENERATOR: usize = 1;

/// Both cores. The server shares the second one with the load generator.
pub(crate) const BOTH: [usize; 2] = [SERVER, GENERATOR];

/// Binds this thread, and all threads and processes that it starts, to these cores.
pub(crate) fn pin(cores: &[usize]) -> Outcome<()> {
    let mut set = CpuSet::new();
    cores.iter().for_each(|core| set.set(*core));
    sched_setaffinity(None, &set).map_err(|error| format!("cores {cores:?}: {error}; the bench needs two").into())
}

/// The CPU time (user and system) of a process so far: the sum over its threads.
///
/// `/proc/PID/stat` counts ticks of 10 ms, which in a round of three seconds is 0.3 %. For an RSA signature, that is a fifth
/// of the difference to measure. `schedstat` counts nanoseconds.
pub(crate) fn cpu_time(process: u32) -> Outcome<Duration> {
    let mut total_ns = 0;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else {
            continue; // the thread has just ended
        };
        let ran_ns = text.split_whitespace().next().and_then(|word| word.parse::<u64>().ok());
        total_ns += ran_ns.ok_or("the kernel has no schedstat")?;
    }
    Ok(Duration::from_nanos(total_ns))
}

/// The total CPU time on both cores, in ticks of 10 ms.
pub(crate) fn busy_time() -> Outcome<Duration> {
    let text = fs::read_to_string("/proc/stat")?;
    let mut ticks = 0;
    for core in BOTH {
        let name = format!("cpu{core}");
        let line = text.lines().find(|line| line.split(' ').next() == Some(&name)).ok_or("requires two cores")?;
        let counts: Vec<u64> = line.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
        // user nice system idle iowait irq softirq steal
        ticks += [0, 1, 2, 5, 6, 7].iter().filter_map(|index| counts.get(*index)).sum::<u64>();
    }
    Ok(Duration::from_millis(ticks * 10))
}

/// The processor's name.
pub(crate) fn cpu_name() -> Outcome<String> {
    let text = fs::read_to_string("/proc/cpuinfo")?;
    let name = text.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    Ok(name.trim_matches([' ', '\t', ':']).to_owned())
}
