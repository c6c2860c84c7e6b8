//! Where the decoders of one object put what they find wrong.
//!
//! A decoder goes on after a problem, so that its user sees all of them at once; this is what it
//! goes on with. Shared by reference between all cursors into one object. It must never decide
//! what is a problem: it only collects, and remembers whether any was an error.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::problem::{Problem, Severity};

/// A hostile file can hold a million unknown fields. Nobody reads past the first hundred.
const MAX_KEPT: usize = 100;

/// Longest message in characters: a message may quote a value that is megabytes long.
const MAX_MESSAGE: usize = 500;

/// What the decoded objects are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// `reveille local`: features that need a cluster or KEDA itself are warned of.
    Local,
    /// Objects from a Kubernetes API: KEDA serves what we do not, nothing to warn of.
    Cluster,
}

/// Collects the problems of one object.
#[derive(Debug)]
pub struct Report {
    file: Arc<str>,
    scope: Scope,
    base_dir: Option<PathBuf>,
    object: RefCell<Option<String>>,
    problems: RefCell<Vec<Problem>>,
    failed: Cell<bool>,
    dropped: Cell<usize>,
}

impl Report {
    /// An empty report on an object of `file` (for API objects: any name of their origin).
    pub fn new(file: Arc<str>, scope: Scope) -> Self {
        Self {
            file,
            scope,
            base_dir: None,
            object: RefCell::new(None),
            problems: RefCell::new(Vec::new()),
            failed: Cell::new(false),
            dropped: Cell::new(0),
        }
    }

    /// Relative paths in the object are meant from `base_dir`.
    #[must_use]
    pub fn with_base_dir(mut self, base_dir: &Path) -> Self {
        self.base_dir = Some(base_dir.to_owned());
        self
    }

    /// What relative paths are meant from; `None`: there are no files.
    pub fn base_dir(&self) -> Option<&Path> {
        self.base_dir.as_deref()
    }

    /// Sets how the object is called in all problems from here on.
    pub fn set_object(&self, object: String) {
        self.object.replace(Some(object));
    }

    /// What the objects are decoded for.
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// Notes an error: the object will not be used.
    pub fn error(&self, line: usize, path: &str, message: impl Into<String>) {
        self.failed.set(true);
        self.push(Severity::Error, line, path, message.into());
    }

    /// Notes a warning: the object is used all the same.
    pub fn warning(&self, line: usize, path: &str, message: impl Into<String>) {
        self.push(Severity::Warning, line, path, message.into());
    }

    /// Whether any error was noted.
    pub fn failed(&self) -> bool {
        self.failed.get()
    }

    /// All problems in the order they were found.
    pub fn into_problems(self) -> Vec<Problem> {
        let dropped = self.dropped.get();
        let severity = if self.failed() {
            Severity::Error
        } else {
            Severity::Warning
        };
        let mut problems = self.problems.into_inner();
        if dropped > 0 {
            problems.push(Problem {
                file: self.file.to_string(),
                line: 0,
                object: self.object.into_inner(),
                path: String::new(),
                severity,
                message: format!("{dropped} more problems are not shown"),
            });
        }
        problems
    }

    fn push(&self, severity: Severity, line: usize, path: &str, mut message: String) {
        if let Some((end, _)) = message.char_indices().nth(MAX_MESSAGE) {
            message.truncate(end);
            message.push_str("...");
        }
        let mut problems = self.problems.borrow_mut();
        if problems.len() >= MAX_KEPT {
            self.dropped.set(self.dropped.get() + 1);
            return;
        }
        problems.push(Problem {
            file: self.file.to_string(),
            line,
            object: self.object.borrow().clone(),
            path: path.to_owned(),
            severity,
            message,
        });
    }
}
