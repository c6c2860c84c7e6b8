//! From an object's JSON text to what of it concerns us.
//!
//! Used for the kinds that the API server checks itself. A problem names its
//! field: it is found by reading a second time, which good objects never need.

use serde::de::DeserializeOwned;

/// What of the object concerns us; which field cannot be understood, and why.
pub(super) fn decode<T: DeserializeOwned>(json: &str) -> Result<T, String> {
    serde_json::from_str(json).or_else(|_| {
        let mut reader = serde_json::Deserializer::from_str(json);
        serde_path_to_error::deserialize(&mut reader).map_err(|error| error.to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Object {
        ports: Vec<u16>,
    }

    #[test]
    fn a_problem_names_its_field() {
        assert_eq!(decode(r#"{"ports": [1]}"#), Ok(Object { ports: vec![1] }));
        let problem = decode::<Object>(r#"{"ports": [1, "x"]}"#).expect_err("no number");
        assert!(
            problem.starts_with("ports[1]: invalid type: string"),
            "{problem}"
        );
    }
}
