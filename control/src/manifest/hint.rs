//! What an unknown field was probably meant to be.
//!
//! Called by `decode` for its warnings.

/// The name that was probably meant, or all that are known.
pub(super) fn of(key: &str, known: &[&'static str]) -> String {
    let near = known
        .iter()
        .map(|name| (distance(key, name), name))
        .filter(|(distance, name)| *distance <= (name.len() / 3).max(2) && *distance < name.len())
        .min();
    match near {
        Some((_, name)) => format!("did you mean {name:?}?"),
        None => format!("known here: {}", known.join(", ")),
    }
}

/// Edits between two names, ignoring case; very long names are far from everything.
fn distance(a: &str, b: &str) -> usize {
    if a.len() > 64 {
        return usize::MAX;
    }
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.to_lowercase().chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let cost = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_name_the_closest_or_all() {
        let known = ["target", "rules", "scalingMetric"];
        for (key, meant) in [
            ("tagret", "target"),
            ("scalingmetric", "scalingMetric"),
            ("scalingMetrics", "scalingMetric"),
        ] {
            assert_eq!(of(key, &known), format!("did you mean {meant:?}?"));
        }
        let all = "known here: target, rules, scalingMetric";
        assert_eq!(of("hosts", &known), all);
        let counts = ["minReplicaCount", "maxReplicaCount"];
        assert_eq!(
            of("maxReplicas", &counts),
            "did you mean \"maxReplicaCount\"?"
        );
    }
}
