//! What one part found: tables of percentiles, and single figures.

use super::facts::Facts;
use crate::report::Table;
use serde::Serialize;
use std::fmt;

/// In the order in which it is shown.
#[derive(Default, Serialize)]
pub(super) struct Page {
    tables: Vec<Table>,
    facts: Vec<Facts>,
}

impl Page {
    /// With one table.
    pub(super) fn of(table: Table) -> Self {
        Self {
            tables: vec![table],
            facts: Vec::new(),
        }
    }

    pub(super) fn table(mut self, table: Table) -> Self {
        self.tables.push(table);
        self
    }

    pub(super) fn facts(mut self, facts: Facts) -> Self {
        self.facts.push(facts);
        self
    }

    pub(super) fn all_met(&self) -> bool {
        self.tables.iter().all(Table::all_met) && self.facts.iter().all(Facts::all_met)
    }
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for table in &self.tables {
            writeln!(f, "{table}")?;
        }
        for facts in &self.facts {
            writeln!(f, "{facts}")?;
        }
        Ok(())
    }
}
