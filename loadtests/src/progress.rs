//! What a long measurement says about itself, on standard error: a bar on a
//! terminal, plain lines anywhere else.

use std::{
    io::{IsTerminal as _, Write as _},
    time::Duration,
};
use tokio::time::Instant;

const WIDTH: usize = 30;
const REDRAWN_EACH: Duration = Duration::from_millis(500);
/// To the beginning of the line, and nothing behind it.
const CLEAR: &str = "\r\x1b[K";

/// A line that does not mix with a bar.
pub(crate) fn say(line: &str) {
    let clear = if on_terminal() { CLEAR } else { "" };
    eprintln!("{clear}{line}");
}

fn on_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// Several parts, one after the other, each with the time that it takes, about.
pub(crate) struct Progress {
    parts: Vec<(&'static str, Duration)>,
    /// How many have begun.
    begun: usize,
}

impl Progress {
    pub(crate) fn new(parts: Vec<(&'static str, Duration)>) -> Self {
        Self { parts, begun: 0 }
    }

    /// Runs the next part, and shows that it does. Cancel safe if it is.
    pub(crate) async fn next<T>(&mut self, part: impl Future<Output = T>) -> T {
        self.begun += 1;
        let begun = Instant::now();
        if !on_terminal() {
            say(&self.line(Duration::ZERO));
            return part.await;
        }
        tokio::pin!(part);
        let mut ticks = tokio::time::interval(REDRAWN_EACH);
        loop {
            tokio::select! {
                done = &mut part => {
                    eprint!("{CLEAR}");
                    return done;
                }
                _ = ticks.tick() => {
                    let line = self.line(begun.elapsed());
                    eprint!("{CLEAR}{}", line);
                    // What cannot be shown is not worth a failure.
                    std::io::stderr().flush().ok();
                }
            }
        }
    }

    /// What is shown after some time of the present part.
    fn line(&self, passed: Duration) -> String {
        let time = |parts: &[(&str, Duration)]| -> Duration {
            parts.iter().map(|(_, takes)| *takes).sum()
        };
        let (before, rest) = self.parts.split_at(self.begun.saturating_sub(1));
        let Some((name, takes)) = rest.first() else {
            return String::new();
        };
        let all = time(&self.parts).as_secs_f64().max(1.0);
        // One that takes longer than it was thought to does not run ahead.
        let done = (time(before) + passed.min(*takes)).as_secs_f64();
        let share = (done / all).clamp(0.0, 1.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share of a small number"
        )]
        let filled = (share * WIDTH as f64) as usize;
        let bar = "#".repeat(filled) + &"-".repeat(WIDTH - filled);
        let left = all - done;
        format!(
            "[{bar}] {}/{} {name}, about {left:.0} s left",
            self.begun,
            self.parts.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Progress;
    use std::time::Duration;

    #[tokio::test]
    async fn parts_that_take_too_long_do_not_run_ahead() {
        let seconds = Duration::from_secs;
        let mut progress = Progress::new(vec![("one", seconds(10)), ("two", seconds(30))]);
        assert_eq!(progress.next(async { 7 }).await, 7);
        let line = progress.line(seconds(0));
        let none = "-".repeat(30);
        assert_eq!(line, format!("[{none}] 1/2 one, about 40 s left"));
        assert_eq!(progress.line(seconds(99)), progress.line(seconds(10)));
        progress.next(async {}).await;
        let line = progress.line(seconds(30));
        let all = "#".repeat(30);
        assert_eq!(line, format!("[{all}] 2/2 two, about 0 s left"));
    }
}
