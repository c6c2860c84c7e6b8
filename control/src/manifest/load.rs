//! From files and folders to checked objects.
//!
//! Called by the composition root at start and on reload, and by `reveille check`. It must never
//! give up because of one bad file: everything that is sound is returned beside the problems.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Manifests;
use super::cross;
use super::draft::Drafts;
use super::kind;
use super::problem::{Problem, Severity};
use super::yaml;

/// Largest file in bytes. Manifests are kilobytes; this keeps a wrong path from filling memory.
pub(super) const MAX_FILE: u64 = 8 << 20;

/// Problems that are told of one file. A wrong file can be nothing but broken documents.
const MAX_PROBLEMS: usize = 1000;

/// Reads manifests from files and from the `*.yaml` and `*.yml` files of folders (sorted by name,
/// without those in folders below and without hidden ones), and checks them together.
///
/// Never fails: what cannot be read or is wrong is in [`Manifests::problems`].
pub fn load(paths: &[PathBuf]) -> Manifests {
    let mut drafts = Drafts::default();
    let mut seen = HashSet::new();
    for path in paths {
        for file in files(path, &mut drafts.problems) {
            // Named once as a file and once through its folder, it is still one file.
            let identity = fs::canonicalize(&file).unwrap_or_else(|_| file.clone());
            if !seen.insert(identity) {
                continue;
            }
            match read(&file) {
                Ok(text) => {
                    let base_dir = file.parent().unwrap_or(Path::new(""));
                    add(&display(&file), base_dir, &text, &mut drafts);
                }
                Err(problem) => drafts.problems.push(problem),
            }
        }
    }
    cross::check(drafts)
}

/// Reads manifests from `text`. `file` is its name in problems; relative folders in it are meant
/// from `base_dir`.
pub fn parse(file: &str, base_dir: &Path, text: &str) -> Manifests {
    let mut drafts = Drafts::default();
    add(file, base_dir, text, &mut drafts);
    cross::check(drafts)
}

fn add(file: &str, base_dir: &Path, text: &str, drafts: &mut Drafts) {
    let file: Arc<str> = Arc::from(file);
    let before = drafts.problems.len();
    let mut dropped = 0;
    for document in yaml::documents(text) {
        match document {
            Ok(document) => kind::read(document, &file, base_dir, drafts),
            Err(flaw) => drafts.problems.push(Problem {
                file: file.to_string(),
                line: flaw.line,
                object: None,
                path: flaw.path,
                severity: Severity::Error,
                message: flaw.message,
            }),
        }
        let kept = drafts.problems.len().min(before + MAX_PROBLEMS);
        dropped += drafts.problems.len() - kept;
        drafts.problems.truncate(kept);
    }
    if dropped > 0 {
        let message = format!("{dropped} more problems are not shown");
        drafts.problems.push(problem(Path::new(&*file), 0, message));
    }
}

/// The files that `path` stands for.
pub(super) fn files(path: &Path, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    if !path.is_dir() {
        return vec![path.to_owned()];
    }
    let found = match yaml_files(path) {
        Ok(found) => found,
        Err(error) => {
            problems.push(unreadable(path, &error));
            return Vec::new();
        }
    };
    if found.is_empty() {
        problems.push(problem(
            path,
            0,
            "the folder has no *.yaml or *.yml file".to_owned(),
        ));
    }
    found
}

fn yaml_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let yaml = path
            .extension()
            .is_some_and(|ext| ext == "yaml" || ext == "yml");
        // Editors keep half-written copies as hidden files.
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if yaml && !hidden && !path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> Result<String, Problem> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
        .map_err(|error| unreadable(path, &error))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(problem(path, 0, "the file is larger than 8 MiB".to_owned()));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = error.as_bytes().iter().take(valid);
        let line = before.filter(|byte| **byte == b'\n').count() + 1;
        problem(path, line, "the file is not UTF-8 from here on".to_owned())
    })
}

fn unreadable(path: &Path, error: &io::Error) -> Problem {
    problem(path, 0, format!("cannot be read: {error}"))
}

fn problem(path: &Path, line: usize, message: String) -> Problem {
    Problem {
        file: display(path),
        line,
        object: None,
        path: String::new(),
        severity: Severity::Error,
        message,
    }
}

fn display(path: &Path) -> String {
    path.display().to_string()
}
