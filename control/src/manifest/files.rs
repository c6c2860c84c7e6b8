//! The files that manifests are read from, and whether they have changed.
//!
//! Made by `reveille local`, looked at by whoever reloads. The content is
//! compared, not the times: editors write another file and rename it, a
//! mounted ConfigMap swaps a symbolic link, and both may keep the time. It
//! must never judge what it read, nor wait on a pipe.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::load::{self, MAX_FILE};
use super::response::StaticResponse;
use super::{Manifests, Severity};

/// How often files are read again that change while they are read.
const TRIES: usize = 3;

/// Files and folders of manifests, and what they held when they were read.
#[derive(Clone, Debug)]
pub struct Files {
    paths: Vec<PathBuf>,
    /// Bodies of answers that routes name.
    bodies: BTreeSet<PathBuf>,
    seen: u64,
}

impl Files {
    /// These files and folders, not read yet.
    #[must_use]
    pub fn new(paths: Vec<PathBuf>) -> Self {
        Self {
            paths,
            bodies: BTreeSet::new(),
            seen: 0,
        }
    }

    /// As they were named by the user.
    #[must_use]
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// What can be read only once, such as a pipe: then there is nothing to
    /// look at again.
    #[must_use]
    pub fn read_once(&self) -> Option<&Path> {
        let mut paths = self.paths.iter();
        let once = paths.find(|path| {
            let kind = fs::metadata(path);
            kind.is_ok_and(|kind| !kind.is_file() && !kind.is_dir())
        });
        once.map(PathBuf::as_path)
    }

    /// Reads them, all at one state of the disk; see [`load::load`]. Blocks.
    pub fn load(&mut self) -> Manifests {
        if self.read_once().is_some() {
            return load::load(&self.paths);
        }
        for _ in 1..TRIES {
            let before = self.look();
            let manifests = load::load(&self.paths);
            self.follow_bodies(&manifests);
            self.seen = self.look();
            if self.seen == before {
                return manifests;
            }
        }
        // It goes on changing: the next look will find that out.
        self.seen = self.look();
        let manifests = load::load(&self.paths);
        self.follow_bodies(&manifests);
        manifests
    }

    /// A digest of everything as it is now. Blocks.
    #[must_use]
    pub fn look(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let manifests = self
            .paths
            .iter()
            .flat_map(|path| load::files(path, &mut Vec::new()));
        for path in manifests.chain(self.bodies.iter().cloned()) {
            path.hash(&mut hasher);
            match content(&path) {
                Ok(content) => content.hash(&mut hasher),
                Err(error) => error.to_string().hash(&mut hasher),
            }
        }
        hasher.finish()
    }

    /// Is it not what was read last?
    #[must_use]
    pub fn differs(&self, look: u64) -> bool {
        look != self.seen
    }

    fn follow_bodies(&mut self, manifests: &Manifests) {
        let mut problems = manifests.problems.iter();
        if !problems.any(|problem| problem.severity == Severity::Error) {
            self.bodies.clear();
        }
        // Else routes are missing, and the files that they named still count.
        for route in &manifests.routes {
            let folder = Path::new(&*route.source.file).parent();
            let placeholder = route.spec.cold_start.as_ref();
            let placeholder = placeholder.and_then(|cold| cold.placeholder.as_ref());
            let fixed = route.spec.static_routes.iter().map(|fixed| &fixed.response);
            let named = placeholder.into_iter().chain(fixed);
            let named =
                named.filter_map(|response: &StaticResponse| response.body_from_file.as_ref());
            let full = named.map(|file| folder.unwrap_or(Path::new("")).join(&file.path));
            self.bodies.extend(full);
        }
    }
}

fn content(path: &Path) -> io::Result<Vec<u8>> {
    // Opening a pipe would wait for somebody to write.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("is not a file"));
    }
    let mut content = Vec::new();
    File::open(path)?
        .take(MAX_FILE + 1)
        .read_to_end(&mut content)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    const WEB: &str = "\
apiVersion: http.keda.sh/v1beta1
kind: InterceptorRoute
metadata: {name: web}
spec:
  target: {service: web, port: 80}
  rules: [{hosts: [web.test]}]
  scalingMetric: {concurrency: {targetValue: 1}}
  staticRoutes:
    - rules: [{paths: [{value: /down}]}]
      response: {statusCode: 200, bodyFromFile: page.html}
---
apiVersion: local.reveille.dev/v1alpha1
kind: Backend
metadata: {name: web}
spec: {addresses: ['127.0.0.1:9']}
";

    fn folder() -> TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("web.yaml"), WEB).expect("written");
        fs::write(folder.path().join("page.html"), "asleep").expect("written");
        folder
    }

    fn loaded(path: PathBuf) -> Files {
        let mut files = Files::new(vec![path]);
        let manifests = files.load();
        assert_eq!(manifests.routes.len(), 1, "{:?}", manifests.problems);
        assert!(!files.differs(files.look()), "nothing has changed");
        files
    }

    #[test]
    fn another_content_is_a_change_and_the_same_again_is_none() {
        let folder = folder();
        let files = loaded(folder.path().to_owned());
        let file = folder.path().join("web.yaml");
        fs::write(&file, format!("{WEB}# a remark\n")).expect("written");
        assert!(files.differs(files.look()));
        fs::write(&file, WEB).expect("written");
        assert!(!files.differs(files.look()));
    }

    #[test]
    fn files_that_come_go_and_are_renamed_are_changes() {
        let folder = folder();
        let files = loaded(folder.path().to_owned());
        let [file, other] = ["web.yaml", "other.yml"].map(|name| folder.path().join(name));
        fs::write(&other, "").expect("written");
        assert!(files.differs(files.look()));
        fs::remove_file(&other).expect("removed");
        assert!(!files.differs(files.look()));
        fs::rename(&file, &other).expect("renamed");
        assert!(files.differs(files.look()));
        fs::remove_file(&other).expect("removed");
        assert!(files.differs(files.look()), "nothing is there any more");
    }

    #[test]
    fn a_swapped_symbolic_link_is_a_change() {
        let (one, two) = (folder(), folder());
        fs::write(two.path().join("web.yaml"), WEB.replace("/down", "/up")).expect("written");
        let mount = tempfile::tempdir().expect("a folder");
        let (link, next) = (mount.path().join("data"), mount.path().join("next"));
        symlink(one.path(), &link).expect("linked");
        let files = loaded(link.join("web.yaml"));
        symlink(two.path(), &next).expect("linked");
        fs::rename(&next, &link).expect("swapped");
        assert!(files.differs(files.look()));
    }

    #[test]
    fn the_body_of_an_answer_is_looked_at_as_well() {
        let folder = folder();
        let files = loaded(folder.path().join("web.yaml"));
        fs::write(folder.path().join("page.html"), "still asleep").expect("written");
        assert!(files.differs(files.look()));
    }

    #[test]
    fn a_body_that_breaks_its_route_is_still_looked_at() {
        let folder = folder();
        let mut files = loaded(folder.path().join("web.yaml"));
        let page = folder.path().join("page.html");
        fs::write(&page, "x".repeat(40_000)).expect("written");
        assert!(files.load().routes.is_empty());
        fs::write(&page, "shorter").expect("written");
        assert!(files.differs(files.look()));
    }

    #[test]
    fn what_is_neither_file_nor_folder_is_read_once() {
        let files = Files::new(vec!["nothing.yaml".into(), "/dev/null".into()]);
        assert_eq!(files.read_once(), Some(Path::new("/dev/null")));
    }
}
