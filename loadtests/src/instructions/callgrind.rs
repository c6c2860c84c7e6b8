//! Callgrind: how it is called, and what it writes.

use anyhow::{Context as _, Result};
use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

/// Runs the rest of the command line and writes `file` with a suffix for each
/// thread.
pub(super) fn command(file: &Path) -> Vec<OsString> {
    let mut out = OsString::from("--callgrind-out-file=");
    out.push(file);
    vec![
        "valgrind".into(),
        "--tool=callgrind".into(),
        "--separate-threads=yes".into(),
        out,
    ]
}

/// Removes what an earlier run wrote.
pub(super) fn remove_old(file: &Path) -> Result<()> {
    for old in threads(file)? {
        fs::remove_file(&old).with_context(|| old.display().to_string())?;
    }
    Ok(())
}

/// Instructions of the thread that executed most after the first, which reads
/// the configuration: the only worker.
pub(super) fn busiest_thread(file: &Path) -> Result<u64> {
    let mut most = None;
    for path in threads(file)? {
        let text = fs::read_to_string(&path)?;
        let (thread, total) =
            parse(&text).with_context(|| format!("not callgrind's: {}", path.display()))?;
        if thread != 1 {
            most = most.max(Some(total));
        }
    }
    most.with_context(|| format!("callgrind wrote nothing at {}", file.display()))
}

/// `FILE-01`, `FILE-02` and so on.
fn threads(file: &Path) -> Result<Vec<PathBuf>> {
    let dir = file.parent().context("a file has a directory")?;
    let name = file.file_name().and_then(|name| name.to_str());
    let prefix = format!("{}-", name.context("a name that is not UTF-8")?);
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.starts_with(&prefix))
        {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Thread and instructions of one file.
fn parse(text: &str) -> Option<(u32, u64)> {
    let value = |key| text.lines().find_map(|line| line.strip_prefix(key));
    let thread = value("thread: ")?.trim().parse().ok()?;
    let total = value("totals: ")?.trim().parse().ok()?;
    Some((thread, total))
}

#[cfg(test)]
mod tests {
    use super::{busiest_thread, parse, remove_old};

    #[test]
    fn the_busiest_but_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("callgrind.100");
        for (thread, total) in [(1, 900), (2, 20), (3, 500)] {
            let text = format!("# callgrind format\npid: 7\nthread: {thread}\n\ntotals: {total}\n");
            let path = dir.path().join(format!("callgrind.100-0{thread}"));
            std::fs::write(path, text).unwrap();
        }
        assert_eq!(busiest_thread(&file).unwrap(), 500);
        remove_old(&file).unwrap();
        assert!(busiest_thread(&file).is_err());
    }

    #[test]
    fn a_file_that_was_cut_off() {
        assert_eq!(parse("thread: 2\n"), None);
    }
}
