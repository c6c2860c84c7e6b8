//! The manifests of the program under the soak, written anew for each reload.
//!
//! As often as the library's, and as thoroughly: a thousand routes come with
//! each generation and go with the next, one route comes and goes, the order of
//! a Backend's addresses changes, and one Process after the other is edited,
//! so that its replicas, if there are some, are replaced.

use super::traffic::{COMES_AND_GOES, SLEEPY, STEADY, sleepy};
use crate::manifest;
use anyhow::{Context as _, Result};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// Routes that nobody asks for, others in each generation.
const OTHER_ROUTES: usize = 1_000;

/// Writes generation after generation.
pub(super) struct Rewrites {
    dir: PathBuf,
    steady: [SocketAddr; 2],
    own: String,
    generation: usize,
}

impl Rewrites {
    /// Writes the first.
    pub(super) fn start(dir: &Path, steady: [SocketAddr; 2]) -> Result<Self> {
        let own = std::env::current_exe()?;
        let own = own.to_str().context("a path that is not UTF-8")?;
        let rewrites = Self {
            dir: dir.to_owned(),
            steady,
            own: own.to_owned(),
            generation: 0,
        };
        (0..SLEEPY).try_for_each(|n| rewrites.write_sleepy(n))?;
        rewrites.write_fixed()?;
        Ok(rewrites)
    }

    /// Writes the next.
    pub(super) fn next(&mut self) -> Result<()> {
        self.generation += 1;
        self.steady.reverse();
        self.write_sleepy(self.generation % SLEEPY)?;
        self.write_fixed()
    }

    fn write_sleepy(&self, n: usize) -> Result<()> {
        let host = sleepy(n);
        let name = host.trim_end_matches(".localhost");
        let generation = self.generation.to_string();
        let command = [&*self.own, "soak-backend", "--port", "{port}"];
        let command = [&command[..], &["--generation", &generation]].concat();
        manifest::write_sleeping_for(&self.dir, name, &command, 1)
    }

    fn write_fixed(&self) -> Result<()> {
        let mut hosts = vec![STEADY];
        if self.generation.is_multiple_of(2) {
            hosts.push(COMES_AND_GOES);
        }
        let names = hosts
            .iter()
            .map(|host| host.trim_end_matches(".localhost").to_owned());
        let others = manifest::names(&format!("other-{}", self.generation), OTHER_ROUTES);
        let names: Vec<String> = names.chain(others).collect();
        manifest::write_fixed(&self.dir, &names, &self.steady)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn each_generation_differs_and_one_route_comes_and_goes() {
        let dir = tempfile::tempdir().expect("a folder");
        let addresses = [1, 2].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let mut rewrites = Rewrites::start(dir.path(), addresses).expect("written");
        let read = |name: &str| {
            let file = dir.path().join("manifests").join(name);
            fs::read_to_string(file).expect("written")
        };
        let (fixed, sleepy) = (read("fixed.yaml"), read("sleepy-1.yaml"));
        assert!(fixed.contains(COMES_AND_GOES) && fixed.contains("other-0-999.localhost"));
        rewrites.next().expect("written");
        let next = read("fixed.yaml");
        assert!(!next.contains(COMES_AND_GOES) && next.contains(STEADY));
        assert!(next.contains("other-1-0.localhost") && !next.contains("other-0-"));
        assert_ne!(read("sleepy-1.yaml"), sleepy);
        let files = fs::read_dir(dir.path().join("manifests")).expect("there");
        assert_eq!(files.count(), SLEEPY + 1, "nothing is left beside them");
    }
}
