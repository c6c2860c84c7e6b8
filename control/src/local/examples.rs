//! Manifests that the binary brings along: `reveille example NAME` prints
//! them, and `reveille local` without a file runs the first.

/// A ready manifest.
#[derive(Clone, Copy, Debug)]
pub struct Example {
    /// What `reveille example` calls it.
    pub name: &'static str,
    /// What it shows, in one line.
    pub about: &'static str,
    /// The YAML.
    pub yaml: &'static str,
}

/// All of them. The first is what runs without a file.
pub const EXAMPLES: [Example; 4] = [
    Example {
        name: "hello",
        about: "a service that sleeps at zero until somebody asks",
        yaml: include_str!("../../../deploy/examples/hello.yaml"),
    },
    Example {
        name: "python",
        about: "Python's file server, woken by the first request",
        yaml: include_str!("../../../deploy/examples/python.yaml"),
    },
    Example {
        name: "backend",
        about: "an address that is already running, routed and counted but never scaled",
        yaml: include_str!("../../../deploy/examples/backend.yaml"),
    },
    Example {
        name: "path-and-header-routing",
        about: "several services behind one host, told apart by path and header",
        yaml: include_str!("../../../deploy/examples/path-and-header-routing.yaml"),
    },
];

/// The example of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Example> {
    EXAMPLES.iter().find(|example| example.name == name)
}
