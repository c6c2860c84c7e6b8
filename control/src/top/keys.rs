//! What keys do in `reveille top`.

use super::model::{Model, SortBy};
use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// What is to be done about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    Quit,
    /// Ask anew, now.
    Ask,
    Nothing,
}

/// A page of rows.
const PAGE: isize = 10;
const ALL: isize = isize::MAX;

/// In characters.
const LONGEST_FILTER: usize = 64;

pub(super) fn press(model: &mut Model, key: KeyEvent) -> Done {
    if key.kind == KeyEventKind::Release {
        return Done::Nothing;
    }
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    if is_control && matches!(key.code, KeyCode::Char('c' | 'd')) {
        return Done::Quit;
    }
    if model.is_filtering {
        filter(model, key.code);
        return Done::Nothing;
    }
    match key.code {
        KeyCode::Char('q') => return Done::Quit,
        KeyCode::Char('/') => model.is_filtering = true,
        KeyCode::Char('?') => model.helps = !model.helps,
        KeyCode::Char('n') => model.sort_by(SortBy::Name),
        KeyCode::Char('s') => model.sort_by(SortBy::State),
        KeyCode::Char('i') => model.sort_by(SortBy::InFlight),
        KeyCode::Char('h') => model.sort_by(SortBy::Held),
        KeyCode::Char('r') => model.sort_by(SortBy::Rate),
        KeyCode::Up | KeyCode::Char('k') => return select(model, -1),
        KeyCode::Down | KeyCode::Char('j') => return select(model, 1),
        KeyCode::PageUp => return select(model, -PAGE),
        KeyCode::PageDown => return select(model, PAGE),
        KeyCode::Home => return select(model, -ALL),
        KeyCode::End => return select(model, ALL),
        KeyCode::Enter => {
            if model.selected(&model.rows()).is_none() {
                model.step(1);
            }
            model.explains = !model.explains;
            return Done::Ask;
        }
        KeyCode::Esc if model.helps => model.helps = false,
        KeyCode::Esc if model.explains => model.explains = false,
        KeyCode::Esc => model.filter.clear(),
        _ => {}
    }
    Done::Nothing
}

fn select(model: &mut Model, by: isize) -> Done {
    model.step(by);
    match model.explains {
        true => Done::Ask,
        false => Done::Nothing,
    }
}

fn filter(model: &mut Model, code: KeyCode) {
    match code {
        KeyCode::Enter => model.is_filtering = false,
        KeyCode::Esc => {
            model.is_filtering = false;
            model.filter.clear();
        }
        KeyCode::Backspace => {
            model.filter.pop();
        }
        KeyCode::Char(char) if model.filter.len() < LONGEST_FILTER => model.filter.push(char),
        _ => {}
    }
}
