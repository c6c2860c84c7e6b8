//! The checked-in protobuf code is what the `.proto` files give.
//!
//! No `protoc`, no build script: this test compiles `scaler/proto` with
//! `protox`, generates the Rust code and compares. When it differs, run
//! `REVEILLE_REGENERATE=1 cargo test -p scaler --test generated` and commit.

use prost::Message;
use std::{fs, path::Path};

const FILES: [&str; 2] = ["externalscaler.rs", "reveille.peers.v1.rs"];

#[test]
fn generated_code_matches_the_proto_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let descriptors = protox::compile(
        ["externalscaler.proto", "reveille/peers.proto"],
        [root.join("proto")],
    )
    .expect("the proto files are valid");
    let mut bare = descriptors.clone();
    for file in &mut bare.file {
        // Comments and places are not for reflection.
        file.source_code_info = None;
    }
    same(&root.join("src/gen/descriptors.bin"), &bare.encode_to_vec());
    let out = tempfile::tempdir().expect("a temporary directory");
    tonic_prost_build::configure()
        .build_client(true)
        .build_server(true)
        .codec_path("crate::codec::SmallBuffers")
        .out_dir(out.path())
        .compile_fds(descriptors)
        .expect("code generation");

    for file in FILES {
        let fresh = fs::read(out.path().join(file)).expect("generated file");
        same(&root.join("src/gen").join(file), &fresh);
    }
}

/// The file that is checked in has this content.
fn same(kept: &Path, fresh: &[u8]) {
    if std::env::var_os("REVEILLE_REGENERATE").is_some() {
        fs::write(kept, fresh).expect("write the generated file");
    }
    let current = fs::read(kept).unwrap_or_default();
    assert!(
        current == fresh,
        "{} is stale: see the top of this test",
        kept.display()
    );
}
