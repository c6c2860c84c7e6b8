//! What an unknown name was probably meant to be.
//!
//! Called by `decode` for its warnings, and by whoever asks for a target.

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

/// At most `most` of `known` (`namespace/name`) that were probably meant by `asked`,
/// which may be without a namespace; the nearest first.
#[must_use]
pub fn nearest(asked: &str, known: &[String], most: usize) -> Vec<String> {
    let bare = asked.rsplit('/').next().unwrap_or(asked);
    let far = |full: &String| {
        let name = full.rsplit('/').next().unwrap_or(full);
        if bare.len().abs_diff(name.len()) > (name.len() / 3).max(2) {
            return None;
        }
        let by_name = distance(bare, name);
        let far = distance(asked, full).min(by_name);
        let is_near = far <= (name.len() / 3).max(2) && far < name.len();
        is_near.then(|| (far, full.clone()))
    };
    let mut near: Vec<(usize, String)> = known.iter().filter_map(far).collect();
    near.sort();
    near.into_iter().take(most).map(|(_, name)| name).collect()
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
