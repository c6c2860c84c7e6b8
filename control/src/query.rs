//! `reveille query`: asks the admin address of a running Reveille and prints
//! what it answers. Knows HTTP and the shape of the answer, not PromQL.

pub mod wire;

use crate::ask::Asker;
use anyhow::Context;
use serde::Serialize;
use std::fmt::Write;
use wire::{Data, Element, Reply};

/// What is asked, as `/api/v1/query` reads it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Question {
    /// The query.
    pub query: String,
    /// Read it as a trigger would, with this operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation_over_time: Option<String>,
    /// The window of that operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<String>,
}

/// What a query came to, in text and for the exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is a value: the text for standard output.
    Value(String),
    /// No series: the same.
    NoData(String),
    /// It was refused: the text for standard error.
    Refused(String),
}

/// Asks.
///
/// # Errors
/// Nobody listens there, who does is no Reveille, or wants a token.
pub async fn ask(asker: &Asker, question: &Question) -> anyhow::Result<Outcome> {
    let question_json = serde_json::to_vec(question)?;
    let (_, body) = asker.post("/api/v1/query", question_json).await?;
    let reply: Reply = serde_json::from_slice(&body)
        .with_context(|| format!("{} answered, but not as a reveille does", asker.admin()))?;
    Ok(outcome(&question.query, &reply))
}

fn outcome(query: &str, reply: &Reply) -> Outcome {
    match reply {
        Reply::Error {
            error, position, ..
        } => {
            let mut said = error.clone();
            let line = position.and_then(|at| Some((at, query.lines().nth(at.line - 1)?)));
            if let Some((at, line)) = line {
                let indent = " ".repeat(at.column - 1);
                // Writing to a String does not fail.
                let _written = write!(said, "\n  {line}\n  {indent}^");
            }
            Outcome::Refused(said)
        }
        Reply::Success {
            data,
            matched_series,
            newest_age_seconds,
            reading,
        } => {
            let age = match newest_age_seconds {
                Some(age) => format!("newest point {age:.1} s old"),
                None => "no points".to_owned(),
            };
            let about = format!("# {matched_series} series matched, {age}, read as {reading}");
            match data {
                Data::Scalar(value) => Outcome::Value(format!("{}\n{about}", value.1)),
                Data::Vector(elements) if elements.is_empty() => {
                    Outcome::NoData(format!("# no data\n{about}"))
                }
                Data::Vector(elements) => {
                    let lines: Vec<String> = elements.iter().map(line).collect();
                    Outcome::Value(format!("{}\n{about}", lines.join("\n")))
                }
            }
        }
    }
}

/// `name{label="value"} 3`; just the value where there are no labels.
fn line(element: &Element) -> String {
    let pairs = element.metric.iter();
    let labels = scaler::series::Labels::new(pairs.map(|(name, value)| (&**name, &**value)));
    match labels {
        Ok(labels) if !labels.is_empty() => format!("{labels} {}", element.value.1),
        _ => element.value.1.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(query: &str, reply: serde_json::Value) -> Outcome {
        outcome(query, &serde_json::from_value(reply).expect("a reply"))
    }

    #[test]
    fn values_are_shown_with_what_they_stand_on() {
        let vector = json!({
            "status": "success", "matchedSeries": 2, "newestAgeSeconds": 1.25, "reading": "promql",
            "data": {"resultType": "vector", "result": [
                {"metric": {"__name__": "m", "a": "1"}, "value": [1.5, "3"]},
                {"metric": {}, "value": [1.5, "NaN"]},
            ]},
        });
        let text = "m{a=\"1\"} 3\nNaN\n# 2 series matched, newest point 1.2 s old, read as promql";
        assert_eq!(shown("m", vector), Outcome::Value(text.to_owned()));
        let none = json!({
            "status": "success", "matchedSeries": 0, "reading": "simple",
            "data": {"resultType": "vector", "result": []},
        });
        let text = "# no data\n# 0 series matched, no points, read as simple";
        assert_eq!(shown("m", none), Outcome::NoData(text.to_owned()));
    }

    #[test]
    fn an_error_points_into_the_query() {
        let error = json!({
            "status": "error", "errorType": "bad_data", "error": "line 2, column 3: bad",
            "position": {"offset": 6, "line": 2, "column": 3},
        });
        let text = "line 2, column 3: bad\n  + ?\n    ^";
        assert_eq!(shown("foo\n+ ?", error), Outcome::Refused(text.to_owned()));
    }
}
