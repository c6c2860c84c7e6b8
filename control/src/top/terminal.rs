//! The terminal of `reveille top`: taken over, written to as little as possible,
//! and put back as it was, also after a panic.

use super::draw::{Line, Style};
use crossterm::{
    cursor::{Hide, MoveTo, Show},
    execute, queue,
    style::{Attribute, Color, Print, SetAttribute, SetForegroundColor},
    terminal::{
        Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
        enable_raw_mode, size,
    },
};
use std::{
    io::{self, Write},
    sync::atomic::{AtomicBool, Ordering},
};

/// A terminal is taken over, and is to be put back.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// See the module. Dropping it puts the terminal back.
#[derive(Debug)]
pub(super) struct Terminal {
    size: (u16, u16),
    /// What is on it.
    shown: Vec<Line>,
    has_colours: bool,
}

impl Terminal {
    /// Takes it over.
    ///
    /// # Errors
    /// It is none, or is gone.
    pub(super) fn enter() -> io::Result<Self> {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            put_back();
            before(panic);
        }));
        enable_raw_mode()?;
        IS_TAKEN.store(true, Ordering::SeqCst);
        let terminal = Self {
            size: size()?,
            shown: Vec::new(),
            // https://no-color.org
            has_colours: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        };
        execute!(
            io::stdout(),
            EnterAlternateScreen,
            Hide,
            Clear(ClearType::All)
        )?;
        Ok(terminal)
    }

    /// Columns and lines, as they are now: after a change all is written anew.
    pub(super) fn size(&mut self) -> (u16, u16) {
        if let Ok(now) = size()
            && now != self.size
        {
            self.size = now;
            self.shown.clear();
        }
        self.size
    }

    /// Writes the lines that are others than before, in one go.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(super) fn show(&mut self, lines: &[Line]) -> io::Result<()> {
        let mut bytes = Vec::new();
        if self.shown.is_empty() {
            queue!(bytes, Clear(ClearType::All))?;
        }
        for (row, line) in (0u16..).zip(lines) {
            if self.shown.get(usize::from(row)) == Some(line) {
                continue;
            }
            queue!(bytes, MoveTo(0, row))?;
            self.write(&mut bytes, line)?;
        }
        lines.clone_into(&mut self.shown);
        if bytes.is_empty() {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        out.write_all(&bytes)?;
        out.flush()
    }

    fn write(&self, bytes: &mut Vec<u8>, line: &Line) -> io::Result<()> {
        let (colour, attribute) = match line.style {
            Style::Plain => (None, None),
            Style::Head => (None, Some(Attribute::Bold)),
            Style::Selected => (None, Some(Attribute::Reverse)),
            Style::Soft => (None, Some(Attribute::Dim)),
            Style::Waking => (Some(Color::Yellow), None),
            Style::Warm => (Some(Color::Green), None),
            Style::Failing => (Some(Color::Red), None),
        };
        let colour = colour.filter(|_| self.has_colours);
        if let Some(colour) = colour {
            queue!(bytes, SetForegroundColor(colour))?;
        }
        if let Some(attribute) = attribute {
            queue!(bytes, SetAttribute(attribute))?;
        }
        // The rest of the line is cleared, which costs less than spaces.
        let text = line.text.trim_end();
        let is_whole = line.style == Style::Selected;
        queue!(bytes, Print(if is_whole { &line.text } else { text }))?;
        if colour.is_some() || attribute.is_some() {
            queue!(bytes, SetAttribute(Attribute::Reset))?;
        }
        if !is_whole && text.len() < line.text.len() {
            queue!(bytes, Clear(ClearType::UntilNewLine))?;
        }
        Ok(())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        put_back();
    }
}

/// As it was. Whatever fails, the rest is tried.
fn put_back() {
    if IS_TAKEN.swap(false, Ordering::SeqCst) {
        let _left = execute!(
            io::stdout(),
            SetAttribute(Attribute::Reset),
            Show,
            LeaveAlternateScreen
        );
        let _cooked = disable_raw_mode();
    }
}
