//! What Linux tells about processes: CPU time and memory.
//!
//! Read from /proc before and after a run; never sampled during one.

use anyhow::{Context as _, Result};
use std::{collections::HashMap, fs};

/// One line of `/proc/PID/stat`, as far as it is used.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stat {
    pid: u32,
    parent: u32,
    /// User and system time, in clock ticks.
    user: u64,
    system: u64,
}

/// CPU time in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cpu {
    pub(crate) user: f64,
    pub(crate) system: f64,
}

impl Cpu {
    /// What was used since `before`.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            user: self.user - before.user,
            system: self.system - before.system,
        }
    }
}

/// CPU time of a process, its threads, and all its living descendants.
pub(crate) fn tree_cpu(root: u32) -> Result<Cpu> {
    let tree = tree(root)?;
    let ticks = rustix::param::clock_ticks_per_second();
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 ticks")]
    let seconds = |count: u64| count as f64 / ticks as f64;
    Ok(Cpu {
        user: seconds(tree.iter().map(|stat| stat.user).sum()),
        system: seconds(tree.iter().map(|stat| stat.system).sum()),
    })
}

/// Proportional set size of a process and all its living descendants, KiB.
pub(crate) fn tree_pss_kib(root: u32) -> Result<u64> {
    tree(root)?.iter().map(|stat| pss_kib(stat.pid)).sum()
}

/// A process and all its living descendants.
fn tree(root: u32) -> Result<Vec<Stat>> {
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // One that ended meanwhile is none of the tree, which lives on.
        if let Ok(line) = fs::read_to_string(format!("/proc/{pid}/stat")) {
            all.extend(parse_stat(&line));
        }
    }
    select_tree(root, &all).with_context(|| format!("no process {root}"))
}

/// The command's name is in parentheses and may itself contain some.
fn parse_stat(line: &str) -> Option<Stat> {
    let (pid, rest) = line.split_once(" (")?;
    let (_, rest) = rest.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // rest starts with field 3, the state; see proc_pid_stat(5).
    let field = |number: usize| fields.get(number - 3);
    Some(Stat {
        pid: pid.parse().ok()?,
        parent: field(4)?.parse().ok()?,
        user: field(14)?.parse().ok()?,
        system: field(15)?.parse().ok()?,
    })
}

/// `root` and its descendants.
fn select_tree(root: u32, all: &[Stat]) -> Option<Vec<Stat>> {
    let parents: HashMap<u32, u32> = all.iter().map(|stat| (stat.pid, stat.parent)).collect();
    parents.get(&root)?;
    let belongs = |stat: &&Stat| {
        let mut pid = stat.pid;
        // No chain is longer than there are processes.
        for _ in 0..all.len() {
            if pid == root {
                return true;
            }
            match parents.get(&pid) {
                Some(parent) => pid = *parent,
                None => return false,
            }
        }
        false
    };
    Some(all.iter().filter(belongs).copied().collect())
}

/// Proportional set size of one process, KiB: its share of memory.
pub(crate) fn pss_kib(pid: u32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    parse_pss(&text).with_context(|| format!("no Pss of process {pid}"))
}

/// Resident memory of one process, KiB: now, and the most that it ever was.
pub(crate) fn resident_kib(pid: u32) -> Result<(u64, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field =
        |name: &str| field_kib(&text, name).with_context(|| format!("no {name} of process {pid}"));
    Ok((field("VmRSS:")?, field("VmHWM:")?))
}

/// Entries of a directory of `/proc/PID`: `fd` or `task`.
pub(crate) fn count(pid: u32, of: &str) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/{of}"))?.count())
}

fn parse_pss(text: &str) -> Option<u64> {
    field_kib(text, "Pss:")
}

fn field_kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Stat, parse_pss, parse_stat, select_tree};

    fn stat(pid: u32, parent: u32, user: u64) -> Stat {
        let system = 1;
        Stat {
            pid,
            parent,
            user,
            system,
        }
    }

    #[test]
    fn stat_with_a_nasty_name() {
        let line = "42 (a) R 7 (x)) S 7 42 42 0 -1 4194560 1 2 3 4 150 25 9 9 20 0 3 0 55 1 2";
        let expected = Stat {
            pid: 42,
            parent: 7,
            user: 150,
            system: 25,
        };
        assert_eq!(parse_stat(line), Some(expected));
        assert_eq!(parse_stat("42 (cut) S 7"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn the_tree_and_nothing_else() {
        let all = [
            stat(1, 0, 1000),
            stat(5, 1, 10),
            stat(6, 5, 20),
            stat(7, 6, 40),
            stat(8, 1, 80),
        ];
        let tree = select_tree(5, &all).unwrap();
        let pids: Vec<u32> = tree.iter().map(|stat| stat.pid).collect();
        assert_eq!(pids, [5, 6, 7]);
        assert_eq!(select_tree(9, &all), None);
    }

    #[test]
    fn own_process() {
        let own = std::process::id();
        assert!(super::tree_cpu(own).unwrap().user >= 0.0);
        assert!(super::pss_kib(own).unwrap() > 0);
        assert!(super::tree_pss_kib(own).unwrap() > 0);
        let (now, peak) = super::resident_kib(own).unwrap();
        assert!(now > 0 && now <= peak);
    }

    #[test]
    fn pss() {
        let text = "5581 [rollup]\nRss:  900 kB\nPss:                 123 kB\nPss_Dirty: 9 kB\n";
        assert_eq!(parse_pss(text), Some(123));
        assert_eq!(parse_pss("Rss: 1 kB"), None);
    }
}
