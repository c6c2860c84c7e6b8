//! One thing that is wrong in a manifest, and how it is written for the person who has to mend it.
//!
//! Made by every reader and check of `manifest`; shown by `reveille check`, by the start-up log and
//! by the admin API. It must never lose the place: file, line, object and field path go with every
//! message.

use std::fmt;

/// How bad a [`Problem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The object cannot be used and is left out.
    Error,
    /// The object is used; something in it has no effect or looks like a mistake.
    Warning,
}

/// Something wrong in a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Problem {
    /// The file as it was named by the user, or the name of a built-in example.
    pub file: String,
    /// Line in the file, from 1; 0 when there is none (an unreadable file, an API object).
    pub line: usize,
    /// Kind, namespace and name, such as `InterceptorRoute default/web`, where known.
    pub object: Option<String>,
    /// The field, such as `spec.rules[0].hosts[1]`; empty when the object as a whole is meant.
    pub path: String,
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong and, where it can be said, what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        f.write_str(": ")?;
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        if let Some(object) = &self.object {
            write!(f, "{object}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem() -> Problem {
        Problem {
            file: "web.yaml".into(),
            line: 12,
            object: Some("InterceptorRoute default/web".into()),
            path: "spec.target.port".into(),
            severity: Severity::Error,
            message: "is required".into(),
        }
    }

    #[test]
    fn an_error_names_file_line_object_and_field() {
        assert_eq!(
            problem().to_string(),
            "web.yaml:12: InterceptorRoute default/web: spec.target.port: is required"
        );
    }

    #[test]
    fn what_is_unknown_is_left_out_and_warnings_say_so() {
        let bare = Problem {
            line: 0,
            object: None,
            path: String::new(),
            ..problem()
        };
        assert_eq!(bare.to_string(), "web.yaml: is required");
        let warning = Problem {
            severity: Severity::Warning,
            ..problem()
        };
        assert_eq!(
            warning.to_string(),
            "web.yaml:12: warning: InterceptorRoute default/web: spec.target.port: is required"
        );
    }
}
