//! `reveille top`: what targets are doing, in a terminal, as it happens.
//!
//! Asks a running Reveille once a second, as the page does. `model.rs` knows
//! what is shown, `draw.rs` how that looks in so many columns and lines,
//! `terminal.rs` writes what has changed and puts the terminal back as it was,
//! whatever happens. Without a terminal it prints one table and ends.

mod draw;
mod keys;
mod model;
mod terminal;

use crate::{
    ask::Asker,
    explain::{self, Answer},
};
use anyhow::{Context, bail};
use crossterm::event::Event;
use http::StatusCode;
use keys::Done;
use model::{Model, Shown, Target};
use std::{
    io::{self, IsTerminal},
    time::Duration,
};
use terminal::Terminal;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::MissedTickBehavior,
};

/// How it is shown.
#[derive(Clone, Debug)]
pub struct TopSettings {
    /// One table, whatever standard output is.
    pub once: bool,
    /// How often it is asked.
    pub interval: Duration,
    /// What is shown at first: targets and states with these words.
    pub filter: String,
}

/// Shows until it is told to end.
///
/// # Errors
/// At first: nobody listens there, or wants a token. A terminal that cannot be
/// used. Later a Reveille that is away is waited for.
pub async fn run(asker: &Asker, settings: &TopSettings) -> anyhow::Result<()> {
    let mut model = Model::new(asker.admin().to_string(), &settings.filter);
    model.take(targets(asker).await?);
    if settings.once || !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        for line in draw::table(&model) {
            println!("{}", line.trim_end());
        }
        return Ok(());
    }
    let (mut terminate, mut hang_up, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::hangup())?,
        signal(SignalKind::interrupt())?,
    );
    let mut terminal = Terminal::enter().context("this terminal cannot be used")?;
    let mut pressed = events();
    let mut ticks = tokio::time::interval(settings.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.reset();
    loop {
        let size = terminal.size();
        terminal.show(&draw::screen(&model, size))?;
        let done = tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = hang_up.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = ticks.tick() => Done::Ask,
            event = pressed.recv() => match event {
                // The terminal is gone.
                None => return Ok(()),
                Some(Event::Key(key)) => keys::press(&mut model, key),
                // Another size is seen before it is drawn.
                Some(_) => Done::Nothing,
            },
        };
        match done {
            Done::Quit => return Ok(()),
            Done::Nothing => {}
            Done::Ask => look(asker, &mut model).await,
        }
    }
}

/// Keys and resizes: read by a thread, as a terminal is read.
fn events() -> mpsc::UnboundedReceiver<Event> {
    let (tell, told) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        while let Ok(event) = crossterm::event::read() {
            if tell.send(event).is_err() {
                return;
            }
        }
    });
    told
}

/// Asks for everything that is shown; what is wrong is shown, too.
async fn look(asker: &Asker, model: &mut Model) {
    match targets(asker).await {
        Ok(targets) => model.take(targets),
        Err(error) => {
            model.lost(format!("{error:#}"));
            return;
        }
    }
    let Some(name) = model.explained().map(str::to_owned) else {
        return;
    };
    let text = match explain::ask(asker, &name).await {
        Ok(Answer::Explained(explanation)) => explanation.to_text(),
        Ok(Answer::Unknown(why)) => why.error,
        Err(error) => format!("{error:#}"),
    };
    model.explain(Shown { name, text });
}

async fn targets(asker: &Asker) -> anyhow::Result<Vec<Target>> {
    let (status, body) = asker.get("/api/v1/targets").await?;
    if status != StatusCode::OK {
        bail!("{} answered {status}", asker.admin());
    }
    serde_json::from_slice(&body)
        .with_context(|| format!("{} answered, but not as a reveille does", asker.admin()))
}
