//! Arithmetic on floats where the obvious way loses digits or mistreats NaN.

/// The sum, with the error of each addition carried along (Neumaier's variant
/// of Kahan's method, as Prometheus sums).
pub(super) fn sum(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut lost) = (0.0_f64, 0.0_f64);
    for value in values {
        let next = sum + value;
        if next.is_infinite() {
            lost = 0.0;
        } else if sum.abs() >= value.abs() {
            lost += (sum - next) + value;
        } else {
            lost += (value - next) + sum;
        }
        sum = next;
    }
    sum + lost
}

/// The arithmetic mean; NaN of nothing. Does not overflow where the mean
/// itself does not.
pub(super) fn mean(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let count = values.clone().count() as f64;
    let direct = sum(values.clone()) / count;
    if direct.is_infinite() && values.clone().all(f64::is_finite) {
        return sum(values.map(|value| value / count));
    }
    direct
}

/// The smallest; NaN only where there is nothing else.
pub(super) fn min(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(f64::NAN, f64::min)
}

/// The largest; NaN only where there is nothing else.
pub(super) fn max(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(f64::NAN, f64::max)
}

/// The mean of the squared distances from the mean.
pub(super) fn variance(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let mean_value = mean(values.clone());
    mean(values.map(|value| (value - mean_value).powi(2)))
}

/// PromQL's `clamp`: nothing where the bounds are the wrong way round, NaN
/// where one of the three is.
pub(super) fn clamp(value: f64, min: f64, max: f64) -> Option<f64> {
    if max < min {
        None
    } else if value.is_nan() || min.is_nan() || max.is_nan() {
        Some(f64::NAN)
    } else {
        Some(value.min(max).max(min))
    }
}

/// The quantile of these values, interpolated between the two next ones.
pub(super) fn quantile(quantile: f64, values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    if sorted.is_empty() || quantile.is_nan() {
        return f64::NAN;
    }
    if quantile < 0.0 {
        return f64::NEG_INFINITY;
    }
    if quantile > 1.0 {
        return f64::INFINITY;
    }
    // NaN counts as smaller than any number.
    sorted.sort_by(|a, b| b.is_nan().cmp(&a.is_nan()).then(a.total_cmp(b)));
    let last = sorted.len() - 1;
    let rank = quantile * last as f64;
    let below = (rank.floor() as usize).min(last);
    let above = (below + 1).min(last);
    let weight = rank - rank.floor();
    sorted[below] * (1.0 - weight) + sorted[above] * weight
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_keep_what_plain_addition_loses() {
        assert_eq!(sum([1e100, 1.0, -1e100].into_iter()), 1.0);
        assert_eq!(sum([f64::INFINITY, 1.0].into_iter()), f64::INFINITY);
        assert!(sum([f64::INFINITY, f64::NEG_INFINITY].into_iter()).is_nan());
        assert_eq!(mean([f64::MAX, f64::MAX].into_iter()), f64::MAX);
        assert!(mean([].into_iter()).is_nan());
    }

    #[test]
    fn extremes_pass_over_nan() {
        assert_eq!(min([f64::NAN, 2.0, 1.0].into_iter()), 1.0);
        assert_eq!(max([2.0, f64::NAN].into_iter()), 2.0);
        assert!(max([f64::NAN].into_iter()).is_nan());
    }
}
