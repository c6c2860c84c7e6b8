//! `reveille`: the program. Reads the command line and hands over.

use anyhow::Context;
use control::{
    app::{Addresses, App},
    ask::Asker,
    cli::{
        AskArgs, CheckArgs, Cli, Command, ExampleArgs, ExplainArgs, HelloArgs, KubernetesArgs,
        LocalArgs, Notes, OutputArg, QueryArgs, RunArgs, TopArgs,
    },
    crd, explain,
    local::{examples, hello, log_problems},
    manifest::{self, Files, Manifests, Severity},
    memory,
    query::{self, Outcome},
    telemetry::{self, LogFormat},
    top,
};
use std::{fs, io::Write, path::Path, process::ExitCode};
use tokio::signal::unix::{Signal, SignalKind, signal};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Threads for everything but the proxy's workers: admin, KEDA, autoscaler,
/// child processes.
const CONTROL_THREADS: usize = 2;

fn main() -> ExitCode {
    let mut format = LogFormat::Text;
    let done = match Cli::read() {
        Err(problems) => Err(cannot_start(&problems)),
        Ok((cli, notes)) => match cli.command {
            Some(Command::Local(args)) => {
                format = args.run.log_format;
                local(&args, &notes)
            }
            Some(Command::Kubernetes(args)) => {
                format = args.run.log_format;
                kubernetes(&args, &notes)
            }
            Some(Command::Check(args)) => return check(&args),
            Some(Command::Query(args)) => return ask(&args),
            Some(Command::Explain(args)) => return explain(&args),
            Some(Command::Top(args)) => return watch(&args),
            Some(Command::Example(args)) => example(&args),
            Some(Command::Crds) => {
                print!("{}", crd::YAML.concat());
                Ok(())
            }
            Some(Command::Hello(args)) => hello(&args),
            None => unreachable!("without a command, it is local"),
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            telemetry::last_words(format, &error);
            ExitCode::FAILURE
        }
    }
}

fn cannot_start(problems: &[String]) -> anyhow::Error {
    anyhow::anyhow!("cannot start:\n  {}", problems.join("\n  "))
}

fn local(args: &LocalArgs, notes: &Notes) -> anyhow::Result<()> {
    begin(&args.run, &args.problems(), notes)?;
    let mut files = (!args.file.is_empty()).then(|| Files::new(args.file.clone()));
    let manifests = manifests(files.as_mut())?;
    control_runtime()?.block_on(async {
        let signals = Signals::new()?;
        let mut app = App::local(args.run.settings(), args.hpa_sync_period, manifests)?;
        if let Some(files) = files {
            app.follow(files, args.reload.interval());
        }
        let addresses = app.addresses();
        let greeting = || {
            if args.file.is_empty() {
                greet(addresses);
            }
        };
        run(&args.run, signals, app, "ready", greeting).await
    })
}

fn kubernetes(args: &KubernetesArgs, notes: &Notes) -> anyhow::Result<()> {
    begin(&args.run, &args.problems(), notes)?;
    control_runtime()?.block_on(async {
        let signals = Signals::new()?;
        let app = App::kubernetes(args.run.settings(), &args.cluster()).await?;
        run(&args.run, signals, app, "listening", || {}).await
    })
}

/// Refuses flags that cannot be; starts to log.
fn begin(args: &RunArgs, problems: &[String], notes: &Notes) -> anyhow::Result<()> {
    if !problems.is_empty() {
        return Err(cannot_start(problems));
    }
    telemetry::init(args.log_format, &args.log_level)?;
    notes.log();
    Ok(())
}

fn control_runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all()
        .build()
        .context("the control runtime cannot be started")?;
    runtime.spawn(memory::give_back());
    Ok(runtime)
}

/// The manifests of the command line, or the built-in example. Problems are
/// logged; what is sound is served.
fn manifests(files: Option<&mut Files>) -> anyhow::Result<Manifests> {
    let mut manifests = if let Some(files) = files {
        files.load()
    } else {
        let example = &examples::EXAMPLES[0];
        let name = format!("(built-in example {})", example.name);
        manifest::parse(&name, Path::new("."), example.yaml)
    };
    let problems = std::mem::take(&mut manifests.problems);
    log_problems(&problems);
    if manifests.do_nothing() {
        let errors = problems
            .iter()
            .filter(|problem| problem.severity == Severity::Error);
        anyhow::bail!(
            "there is nothing to serve or to scale: no usable InterceptorRoute or ScaledObject \
             ({} errors, see above)",
            errors.count()
        );
    }
    Ok(manifests)
}

/// Runs `app` until a signal, or until it fails. `state` is what it is now, for
/// the log; `greeting` follows that.
async fn run(
    args: &RunArgs,
    mut signals: Signals,
    mut app: App,
    state: &str,
    greeting: impl FnOnce(),
) -> anyhow::Result<()> {
    // Logs were rotated, or manifests edited.
    let mut hang_up = signal(SignalKind::hangup())?;
    let addresses = app.addresses();
    if let Some(path) = &args.addresses_file
        && let Err(error) = write_addresses(path, addresses)
    {
        app.stop().await;
        return Err(error);
    }
    tracing::info!(
        proxy = %addresses.proxy,
        proxy_tls = addresses.proxy_tls.map(tracing::field::display), grpc = %addresses.grpc, admin = %addresses.admin, "{state}"
    );
    greeting();

    let failure = loop {
        tokio::select! {
            name = signals.next() => {
                tracing::info!(signal = name, "stopping; a second signal exits at once");
                break None;
            }
            _ = hang_up.recv() => {
                app.reopen_logs();
                app.reload();
            }
            error = app.failed() => {
                tracing::error!(error = %format!("{error:#}"), "stopping");
                break Some(error);
            }
        }
    };
    tokio::select! {
        () = app.stop() => {}
        name = signals.next() => {
            // `stop` was dropped, and with it every child process.
            anyhow::bail!("{name} during shutdown: exiting at once");
        }
    }
    failure.map_or(Ok(()), Err)
}

fn greet(addresses: Addresses) {
    let port = addresses.proxy.port();
    // Standard output is for this; a closed one is nobody's loss.
    let _shown = writeln!(
        std::io::stdout(),
        "\nThe service `hello` sleeps at zero replicas. Wake it:\n\n  \
         curl -i http://localhost:{port}/\n\n\
         What it is doing: http://{}/\n",
        addresses.admin
    );
}

/// Whole or not at all: whoever waits for the file never reads half of it.
fn write_addresses(path: &Path, addresses: Addresses) -> anyhow::Result<()> {
    let json = serde_json::to_string(&addresses)?;
    let partial = path.with_extension("partial");
    fs::write(&partial, json)
        .and_then(|()| fs::rename(&partial, path))
        .with_context(|| format!("--addresses-file {}", path.display()))
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

fn check(args: &CheckArgs) -> ExitCode {
    let manifests = manifest::load(&args.file);
    for problem in &manifests.problems {
        println!("{problem}");
    }
    let errors = manifests
        .problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error)
        .count();
    let warnings = manifests.problems.len() - errors;
    for object in &manifests.http_scaled_objects {
        let (namespace, name) = (&object.meta.namespace, &object.meta.name);
        println!(
            "# instead of HTTPScaledObject {namespace}/{name}:\n{}",
            object.equivalent(None)
        );
    }
    println!(
        "{} routes, {} ScaledObjects, {} processes, {} backends, {} metric sources usable; {errors} errors, {warnings} warnings",
        manifests.routes.len() + manifests.http_scaled_objects.len(),
        manifests.scaled_objects.len(),
        manifests.processes.len(),
        manifests.backends.len(),
        manifests.metric_sources.len(),
    );
    if errors == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Exit code of a query that finds no data, and of a target that is not known:
/// not an error, and not a value.
const NO_DATA: u8 = 3;

fn ask(args: &QueryArgs) -> ExitCode {
    let asked = asking(&args.ask, |asker| async move {
        query::ask(&asker, &args.question()).await
    });
    match asked {
        Ok(Outcome::Value(text)) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Ok(Outcome::NoData(text)) => {
            println!("{text}");
            ExitCode::from(NO_DATA)
        }
        Ok(Outcome::Refused(said)) => {
            eprintln!("reveille: {said}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("reveille: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs what `ask` makes of whom to ask.
fn asking<T, F: Future<Output = anyhow::Result<T>>>(
    args: &AskArgs,
    ask: impl FnOnce(Asker) -> F,
) -> anyhow::Result<T> {
    let asker = args.asker()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(ask(asker))
}

fn explain(args: &ExplainArgs) -> ExitCode {
    let asked = asking(&args.ask, |asker| async move {
        explain::ask(&asker, &args.target).await
    });
    match asked {
        Ok(explain::Answer::Explained(explanation)) => {
            match args.output {
                OutputArg::Text => println!("{}", explanation.to_text()),
                OutputArg::Json => println!("{}", json(&explanation)),
            }
            ExitCode::SUCCESS
        }
        Ok(explain::Answer::Unknown(why)) => {
            match args.output {
                OutputArg::Text => eprintln!("reveille: {}", why.error),
                OutputArg::Json => println!("{}", json(&why)),
            }
            ExitCode::from(NO_DATA)
        }
        Err(error) => {
            eprintln!("reveille: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn watch(args: &TopArgs) -> ExitCode {
    let shown = asking(&args.ask, |asker| async move {
        top::run(&asker, &args.settings()).await
    });
    match shown {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("reveille: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).expect("texts and numbers are JSON")
}

fn example(args: &ExampleArgs) -> anyhow::Result<()> {
    let list = || {
        let line = |example: &examples::Example| format!("  {:<26}{}", example.name, example.about);
        examples::EXAMPLES
            .iter()
            .map(line)
            .collect::<Vec<_>>()
            .join("\n")
    };
    match &args.name {
        None => println!("{}", list()),
        Some(name) => match examples::find(name) {
            Some(example) => print!("{}", example.yaml),
            None => anyhow::bail!("there is no example {name:?}; there are:\n{}", list()),
        },
    }
    Ok(())
}

fn hello(args: &HelloArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime
        .block_on(hello::serve(args.addr))
        .with_context(|| format!("cannot serve on {}", args.addr))
}
