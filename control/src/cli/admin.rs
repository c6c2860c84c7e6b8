//! Flags about the admin port: who may look, and how those who look ask.

use crate::{admin::AccessSettings, ask::Asker};
use anyhow::Context;
use clap::Args;
use std::{fs, net::SocketAddr, path::PathBuf};

/// Who may look.
#[derive(Clone, Debug, Args)]
pub struct AdminArgs {
    /// Each line is a token, of at least 16 bytes; /api needs one of them
    /// (Authorization: Bearer TOKEN), and the page asks for it. /livez, /readyz
    /// and /metrics stay open. The file is read again as it changes
    #[arg(long, env = "REVEILLE_ADMIN_TOKEN_FILE", value_name = "FILE")]
    pub admin_token_file: Option<PathBuf>,
    /// Without a token: a public name under which the admin port is reached,
    /// beside addresses, localhost and names of the cluster; again for more
    #[arg(
        long,
        env = "REVEILLE_ADMIN_HOST",
        value_name = "NAME",
        value_delimiter = ','
    )]
    pub admin_host: Vec<String>,
}

impl AdminArgs {
    /// What was said.
    #[must_use]
    pub fn settings(&self) -> AccessSettings {
        AccessSettings {
            token_file: self.admin_token_file.clone(),
            hosts: self.admin_host.clone(),
        }
    }
}

/// Whom to ask.
#[derive(Clone, Debug, Args)]
pub struct AskArgs {
    /// Admin address of the Reveille to ask
    #[arg(
        long,
        env = "REVEILLE_ADMIN",
        value_name = "ADDR",
        default_value = "127.0.0.1:9901"
    )]
    pub admin: SocketAddr,
    /// File whose first line is the token that it wants, if it wants one
    #[arg(long, env = "REVEILLE_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

impl AskArgs {
    /// Who asks there.
    ///
    /// # Errors
    /// The file cannot be read, or its first line is no token.
    pub fn asker(&self) -> anyhow::Result<Asker> {
        let read = |path: &PathBuf| {
            let text = fs::read_to_string(path)
                .with_context(|| format!("--token-file {}", path.display()))?;
            let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            let token = lines
                .next()
                .filter(|token| token.bytes().all(|b| b.is_ascii_graphic()));
            let token = token.with_context(|| {
                format!(
                    "--token-file {}: its first line is no token",
                    path.display()
                )
            })?;
            anyhow::Ok(token.to_owned())
        };
        let token = self.token_file.as_ref().map(read).transpose()?;
        Ok(Asker::new(self.admin, token))
    }
}
