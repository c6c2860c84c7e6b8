//! The image is built with the toolchain that everything else is.

use crate::read;

#[test]
fn the_image_is_built_with_the_pinned_toolchain() {
    let pinned = read("../rust-toolchain.toml");
    let channel = pinned
        .lines()
        .find_map(|line| line.strip_prefix("channel = "));
    let version = channel.expect("a channel").trim_matches('"');
    let dockerfile = read("Dockerfile");
    for line in [
        format!("FROM rust:{version}-slim-bookworm AS build"),
        format!("ENV RUSTUP_TOOLCHAIN={version}"),
    ] {
        assert!(dockerfile.lines().any(|other| other == line), "no {line:?}");
    }
}
