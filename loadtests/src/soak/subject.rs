//! What is soaked: started, asked about itself, stopped.

use super::{Args, host::Status, report::Sample, rewrites::Rewrites, scrape};
use crate::{
    proc,
    program::{self, Program},
    reveille::Reveille,
};
use anyhow::{Context as _, Result, ensure};
use std::{net::SocketAddr, path::Path, time::Duration};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{ChildStdin, ChildStdout},
    time::Instant,
};

/// Which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Kind {
    /// The proxy library, reloaded all the time
    Library,
    /// `reveille local`
    Program,
}

impl Kind {
    /// After the last request, before what is left is counted: until idle
    /// upstream connections have closed. The program keeps them for 90 s.
    pub(super) fn settle(self) -> Duration {
        Duration::from_secs(match self {
            Self::Library => 12,
            Self::Program => 100,
        })
    }
}

/// A running one.
pub(super) struct Subject {
    program: Program,
    address: SocketAddr,
    tells: Tells,
}

/// How it is told to reload, and tells about itself.
enum Tells {
    /// The library reloads by itself.
    Library(Talk),
    Program {
        rewrites: Rewrites,
        admin: SocketAddr,
    },
}

/// With `soak-host`.
struct Talk {
    ask: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Subject {
    /// Starts it. `backends`: two that are always up, one of the targets that
    /// fall asleep.
    pub(super) async fn start(args: &Args, dir: &Path, backends: &[SocketAddr; 3]) -> Result<Self> {
        match args.subject {
            Kind::Library => Self::start_library(args, dir, backends).await,
            Kind::Program => Self::start_program(args, dir, backends).await,
        }
    }

    async fn start_library(args: &Args, dir: &Path, backends: &[SocketAddr; 3]) -> Result<Self> {
        let [first, second, third] = backends;
        let file = dir.join("address.json");
        let every = Duration::from_secs_f64(args.minutes * 60.0) / (args.reloads + 1);
        let mut command = program::command(std::env::current_exe()?, None);
        command.args(["soak-host", "--steady", &format!("{first},{second}")]);
        command.args(["--sleepy", &third.to_string()]);
        command.args(["--reload-every-ms", &every.as_millis().to_string()]);
        command.arg("--addresses-file").arg(&file);
        let (mut program, ask, answers) = Program::talk(&mut command, &dir.join("host.log"))?;
        let deadline = Instant::now() + Duration::from_secs(10);
        let address = loop {
            let text = std::fs::read(&file).unwrap_or_default();
            if let Ok(address) = serde_json::from_slice(&text) {
                break address;
            }
            program.check_alive()?;
            ensure!(Instant::now() < deadline, "soak-host is not ready in time");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let answers = BufReader::new(answers).lines();
        Ok(Self {
            program,
            address,
            tells: Tells::Library(Talk { ask, answers }),
        })
    }

    async fn start_program(args: &Args, dir: &Path, backends: &[SocketAddr; 3]) -> Result<Self> {
        let [first, second, _] = backends;
        let rewrites = Rewrites::start(dir, [*first, *second])?;
        let reveille = Reveille::start(&args.reveille, dir, None).await?;
        Ok(Self {
            program: reveille.program,
            address: reveille.addresses.proxy,
            tells: Tells::Program {
                rewrites,
                admin: reveille.addresses.admin,
            },
        })
    }

    pub(super) fn name(&self) -> &'static str {
        match self.tells {
            Tells::Library(_) => "the proxy library",
            Tells::Program { .. } => "reveille local",
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it uses now.
    pub(super) async fn sample(&mut self) -> Result<Sample> {
        self.program.check_alive()?;
        let pid = self.program.pid();
        let status = match &mut self.tells {
            // A page of a thousand routes each second would be a load of its
            // own.
            Tells::Program { .. } => None,
            Tells::Library(talk) => Some(talk.status().await?),
        };
        Ok(Sample {
            pss_kib: proc::pss_kib(pid)?,
            descriptors: proc::count(pid, "fd")?,
            threads: proc::count(pid, "task")?,
            status,
        })
    }

    /// The same with its own figures.
    pub(super) async fn whole_sample(&mut self) -> Result<Sample> {
        let mut sample = self.sample().await?;
        if let Tells::Program { admin, .. } = self.tells {
            sample.status = Some(scrape::status(admin).await?);
        }
        Ok(sample)
    }

    /// Replaces the configuration of the program.
    pub(super) fn reload(&mut self) -> Result<()> {
        match &mut self.tells {
            Tells::Library(_) => Ok(()),
            Tells::Program { rewrites, .. } => {
                rewrites.next()?;
                // It looks once a second, which is too seldom for a short run.
                self.program.hang_up()
            }
        }
    }

    pub(super) async fn stop_reloading(&mut self) -> Result<()> {
        match &mut self.tells {
            Tells::Program { .. } => Ok(()),
            Tells::Library(talk) => Ok(talk.ask.write_all(b"stop reloading\n").await?),
        }
    }

    pub(super) fn log_end(&self) -> String {
        self.program.log_end()
    }

    pub(super) async fn stop(self) -> Result<()> {
        drop(self.tells);
        self.program.stop().await.context("the subject of the soak")
    }
}

impl Talk {
    async fn status(&mut self) -> Result<Status> {
        self.ask.write_all(b"status\n").await?;
        let line = self.answers.next_line().await?;
        let line = line.context("soak-host says nothing")?;
        serde_json::from_str(&line).with_context(|| format!("soak-host said {line:?}"))
    }
}
