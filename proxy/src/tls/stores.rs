//! The pairs of certificate and key in a directory.
//!
//! `NAME.crt` or `NAME.pem` with `NAME.key`, or (the HTTP add-on's spelling)
//! `NAME.pem` with `NAME-key.pem`; so also `tls.crt` with `tls.key`, as
//! Kubernetes names them in a secret. Directories in it are looked through
//! likewise, but those whose name begins with a dot: there Kubernetes keeps
//! the versions of a volume, and links to the present one from outside. An
//! authority beside a pair (`ca.crt`, as cert-manager has it) is no pair.

use super::loaded::FileError;
use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

/// Directories within directories; more is a loop of links.
const MOST_DEPTH: usize = 8;

/// The files of a pair.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PairFiles {
    pub(super) cert: PathBuf,
    pub(super) key: PathBuf,
}

/// What is in a directory.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Complete pairs, in order of their paths.
    pub(super) pairs: Vec<PairFiles>,
    /// Certificates without a key, keys without a certificate, directories
    /// that cannot be read.
    pub(super) problems: Vec<FileError>,
}

/// Looks for pairs in `dir`.
///
/// # Errors
/// `dir` itself cannot be read.
pub(super) fn find(dir: &Path) -> Result<Found, FileError> {
    let mut found = Found::default();
    look(dir, 0, &mut found).map_err(|error| FileError::new(dir, error))?;
    Ok(found)
}

fn look(dir: &Path, depth: usize, found: &mut Found) -> io::Result<()> {
    if depth > MOST_DEPTH {
        return Err(io::Error::other("is too deep: a loop of links?"));
    }
    let (mut files, mut dirs) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let is_hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if is_hidden {
            continue;
        }
        // Follows links. What is gone by now was never there.
        match fs::metadata(&path) {
            Ok(about) if about.is_dir() => dirs.push(path),
            Ok(about) if about.is_file() => files.push(path),
            _ => {}
        }
    }
    files.sort();
    dirs.sort();
    pair_up(&files, found);
    for dir in dirs {
        if let Err(error) = look(&dir, depth + 1, found) {
            found.problems.push(FileError::new(&dir, error));
        }
    }
    Ok(())
}

fn pair_up(files: &[PathBuf], found: &mut Found) {
    let has = |path: &PathBuf| files.binary_search(path).is_ok();
    let mut keys: Vec<PathBuf> = Vec::new();
    for cert in files.iter().filter(|file| is_certificate(file)) {
        let candidates = [cert.with_extension("key"), dashed_key(cert)];
        if let Some(key) = candidates.into_iter().find(has) {
            keys.push(key.clone());
            let cert = cert.clone();
            found.pairs.push(PairFiles { cert, key });
        } else if stem(cert) != "ca" {
            let missing = cert.with_extension("key");
            let message = format!("has no key: there is no {}", missing.display());
            found.problems.push(FileError::new(cert, message));
        }
    }
    for key in files.iter().filter(|file| is_key(file)) {
        if !keys.contains(key) {
            let message = "is a key without a certificate of the same name beside it";
            found.problems.push(FileError::new(key, message));
        }
    }
}

fn stem(path: &Path) -> &str {
    path.file_stem().and_then(OsStr::to_str).unwrap_or_default()
}

fn is_key(path: &Path) -> bool {
    match path.extension().and_then(OsStr::to_str) {
        Some("key") => true,
        Some("pem") => stem(path).ends_with("-key"),
        _ => false,
    }
}

fn is_certificate(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str);
    matches!(extension, Some("crt" | "pem")) && !is_key(path)
}

/// `x-key.pem` for `x.pem`.
fn dashed_key(cert: &Path) -> PathBuf {
    cert.with_file_name(format!("{}-key.pem", stem(cert)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn touch(dir: &Path, names: &[&str]) {
        for name in names {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().expect("in a folder")).expect("made");
            fs::write(path, "").expect("written");
        }
    }

    fn shown(dir: &Path, found: &Found) -> (Vec<String>, Vec<String>) {
        let show = |path: &Path| {
            let below = path.strip_prefix(dir).expect("below");
            below.display().to_string()
        };
        let pairs = found.pairs.iter();
        let pairs = pairs.map(|pair| format!("{} {}", show(&pair.cert), show(&pair.key)));
        let problems = found.problems.iter();
        let problems = problems.map(|problem| show(&problem.path));
        (pairs.collect(), problems.collect())
    }

    #[test]
    fn every_spelling_of_a_pair_is_found_in_order() {
        let dir = tempfile::tempdir().expect("a folder");
        touch(
            dir.path(),
            &[
                "tls.crt",
                "tls.key",
                "b.pem",
                "b.key",
                "c.pem",
                "c-key.pem",
                "readme.txt",
                "ca.crt",
                "team/a/tls.crt",
                "team/a/tls.key",
                "team/ca.pem",
                ".hidden/x.crt",
                "alone.crt",
                "lost.key",
            ],
        );
        let found = find(dir.path()).expect("readable");
        let (pairs, problems) = shown(dir.path(), &found);
        assert_eq!(
            pairs,
            [
                "b.pem b.key",
                "c.pem c-key.pem",
                "tls.crt tls.key",
                "team/a/tls.crt team/a/tls.key"
            ]
        );
        assert_eq!(problems, ["alone.crt", "lost.key"]);
        find(&dir.path().join("none")).expect_err("there is none");
    }

    #[test]
    fn a_secret_as_kubernetes_mounts_it_is_one_pair() {
        let dir = tempfile::tempdir().expect("a folder");
        touch(
            dir.path(),
            &["..2026_01_01/tls.crt", "..2026_01_01/tls.key"],
        );
        symlink("..2026_01_01", dir.path().join("..data")).expect("linked");
        symlink("..data/tls.crt", dir.path().join("tls.crt")).expect("linked");
        symlink("..data/tls.key", dir.path().join("tls.key")).expect("linked");
        let (pairs, problems) = shown(dir.path(), &find(dir.path()).expect("readable"));
        assert_eq!(
            (pairs, problems),
            (vec!["tls.crt tls.key".to_owned()], vec![])
        );
    }

    #[test]
    fn a_loop_of_links_ends() {
        let dir = tempfile::tempdir().expect("a folder");
        touch(dir.path(), &["tls.crt", "tls.key"]);
        symlink(dir.path(), dir.path().join("again")).expect("linked");
        let found = find(dir.path()).expect("readable");
        assert_eq!(found.problems.len(), 1);
        assert!(found.problems[0].message.contains("loop"));
    }
}
