//! The Terraform module is formatted, where the program is there to say so.

use crate::deploy;
use std::process::Command;

#[test]
fn the_terraform_module_is_formatted() {
    let checked = Command::new("terraform")
        .args(["fmt", "-check", "-diff", "-recursive"])
        .arg(deploy("terraform"))
        .output();
    let Ok(output) = checked else {
        eprintln!("SKIPPED: there is no terraform to check the format of deploy/terraform");
        return;
    };
    let said = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&said)
    );
}
