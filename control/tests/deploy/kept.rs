//! Files that are generated and checked in.

use crate::deploy;
use std::fs;

/// The file below `deploy/` has this content, or gets it.
pub(crate) fn same(path: &str, fresh: &str) {
    let kept = deploy(path);
    if std::env::var_os("REVEILLE_REGENERATE").is_some() {
        let folder = kept.parent().expect("a folder");
        fs::create_dir_all(folder).expect("made");
        fs::write(&kept, fresh).expect("written");
    }
    let current = fs::read_to_string(&kept).unwrap_or_default();
    assert!(
        current == fresh,
        "deploy/{path} is stale: see the top of control/tests/deploy/main.rs"
    );
}
