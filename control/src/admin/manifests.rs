//! `/api/v1/manifests`: which files are served, since when, and why the ones on
//! disk are not, if so.

use super::Admin;
use serde::Serialize;

/// The manifests of local mode.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestsView {
    /// Files and folders that are followed; none with the built-in example.
    pub files: Vec<String>,
    /// When what is served was read, in Unix time.
    pub applied_at: u64,
    /// Reloads that were applied.
    pub reloads_applied: u64,
    /// Reloads that were refused.
    pub reloads_refused: u64,
    /// What is wrong with the files as they are now; absent: they are served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<RefusedView>,
}

/// Manifests that are not served.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedView {
    /// When they were read, in Unix time.
    pub at: u64,
    /// The errors in them, with file and line; the first hundred.
    pub problems: Vec<String>,
}

/// `None`: what is served does not come from files.
pub(super) fn view(admin: &Admin) -> Option<ManifestsView> {
    let reloads = admin.scene.reloads()?;
    let files = reloads.files();
    Some(ManifestsView {
        files: files
            .iter()
            .map(|path| path.display().to_string())
            .collect(),
        applied_at: reloads.applied_at(),
        reloads_applied: reloads.applied(),
        reloads_refused: reloads.refused(),
        refused: reloads.pending().map(|refused| RefusedView {
            at: refused.at,
            problems: refused.problems,
        }),
    })
}
