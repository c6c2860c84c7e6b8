//! `bodyFromFile`: in local mode, the body of an answer from a file beside the
//! manifest.
//!
//! Read once, with the manifest. It must never make a route vanish because a
//! page is missing: that answer is 500 then, as for a ConfigMap that is not
//! there.

use std::fs::File;
use std::io::Read;

use super::decode::Field;

/// Largest file in bytes: as long as a `body` may be.
const MAX_BODY: usize = 32_768;

/// A body from a file.
#[derive(Clone, Debug, PartialEq)]
pub struct FileBody {
    /// Its path as written, relative to the folder of the manifest.
    pub path: String,
    /// What it held when the manifest was read; `None`: it could not be read.
    pub body: Option<Vec<u8>>,
}

impl FileBody {
    /// Decodes the field and reads the file.
    pub(super) fn decode(field: &Field<'_>) -> Option<Self> {
        let path = field.non_empty()?;
        let Some(base_dir) = field.base_dir() else {
            field.error("is of local mode only: use body or bodyFromConfigMap");
            return None;
        };
        let full = base_dir.join(path);
        let mut body = Vec::new();
        let limit = MAX_BODY as u64 + 1;
        let read = File::open(&full).and_then(|file| file.take(limit).read_to_end(&mut body));
        if let Err(error) = read {
            let full = full.display();
            field.warning(format!(
                "{full} cannot be read, so the answer is 500: {error}"
            ));
            return Some(Self {
                path: path.to_owned(),
                body: None,
            });
        }
        if body.len() > MAX_BODY {
            field.error(format!("the file must have at most {MAX_BODY} bytes"));
            return None;
        }
        Some(Self {
            path: path.to_owned(),
            body: Some(body),
        })
    }
}
