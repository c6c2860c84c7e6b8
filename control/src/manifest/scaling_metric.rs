//! What the demand for a route is measured by: concurrency, request rate or both.
//!
//! Decoded for `interceptor_route` and `http_scaled_object`.

use std::time::Duration;

use super::decode::{Field, Fields};

/// Longest averaging window: beyond it the rate says nothing about the present load, and its
/// buckets would cost memory for every route.
const MAX_WINDOW: Duration = Duration::from_secs(3600);

/// The target of an HTTPScaledObject that names none.
const DEFAULT_TARGET: u32 = 100;

const ONE_METRIC: &str = "at least one of 'concurrency' or 'requestRate' must be set";

/// What demand is measured by; at least one is set.
#[derive(Clone, Debug, PartialEq)]
pub struct ScalingMetric {
    /// Concurrent requests per replica, at least 1 (`targetValue`).
    pub concurrency: Option<u32>,
    /// Requests per second per replica.
    pub request_rate: Option<RequestRate>,
}

/// Scaling by request rate.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestRate {
    /// Requests per second per replica, at least 1.
    pub target_value: u32,
    /// Time the rate is averaged over; default 1 minute, at most 1 hour.
    pub window: Duration,
    /// Size of its buckets: whole seconds, not more than the window; default 1 second.
    pub granularity: Duration,
}

impl ScalingMetric {
    /// Decodes `scalingMetric`.
    pub fn decode(metric: &Field<'_>) -> Option<Self> {
        let fields = metric.map()?;
        let concurrency_field = fields.optional("concurrency");
        let rate_field = fields.optional("requestRate");
        if concurrency_field.is_none() && rate_field.is_none() {
            metric.error(ONE_METRIC);
        }
        let concurrency = concurrency_field.and_then(|field| {
            let fields = field.map()?;
            let value = target_value(&fields, None);
            fields.finish();
            value
        });
        let request_rate = rate_field.and_then(|field| RequestRate::decode(&field, None));
        fields.finish();
        Some(Self {
            concurrency,
            request_rate,
        })
    }

    /// Decodes that of an HTTPScaledObject: at most one metric, whose target may be left out.
    /// `pending` is its `targetPendingRequests`, which counts without a metric.
    pub(super) fn decode_http_scaled_object(
        metric: &Field<'_>,
        pending: Option<u32>,
    ) -> Option<Self> {
        let fields = metric.map()?;
        let (concurrency, rate) = (
            fields.optional("concurrency"),
            fields.optional("requestRate"),
        );
        fields.finish();
        match (concurrency, rate) {
            (None, None) => Some(Self::of_pending_requests(pending)),
            (Some(_), Some(_)) => {
                metric.error("at most one of 'concurrency' or 'requestRate' may be set");
                None
            }
            (Some(field), None) => {
                let fields = field.map()?;
                let target = target_value(&fields, Some(DEFAULT_TARGET));
                fields.finish();
                Some(Self::of_pending_requests(Some(target?)))
            }
            (None, Some(field)) => Some(Self {
                concurrency: None,
                request_rate: Some(RequestRate::decode(&field, Some(DEFAULT_TARGET))?),
            }),
        }
    }

    /// Concurrency with this target, by default 100.
    pub(super) fn of_pending_requests(target: Option<u32>) -> Self {
        Self {
            concurrency: Some(target.unwrap_or(DEFAULT_TARGET)),
            request_rate: None,
        }
    }
}

impl RequestRate {
    fn decode(rate: &Field<'_>, default_target: Option<u32>) -> Option<Self> {
        let fields = rate.map()?;
        let target_value = target_value(&fields, default_target);
        let window_field = fields.optional("window");
        let window = match &window_field {
            Some(field) => field.duration(),
            None => Some(Duration::from_secs(60)),
        };
        let granularity_field = fields.optional("granularity");
        let granularity = match &granularity_field {
            Some(field) => field.duration(),
            None => Some(Duration::from_secs(1)),
        };
        fields.finish();
        if let (Some(field), Some(granularity)) = (&granularity_field, granularity)
            && (granularity.is_zero() || granularity.subsec_nanos() != 0)
        {
            field.error("must be a whole number of seconds, at least 1s");
        }
        if let (Some(field), Some(window)) = (&window_field, window)
            && window > MAX_WINDOW
        {
            field.error("must be at most 1h");
        }
        let (window, granularity) = (window?, granularity?);
        if window < granularity {
            // One of the two was written, or the defaults would apply, which fit.
            let field = window_field.as_ref().or(granularity_field.as_ref());
            field.unwrap_or(rate).error(format!(
                "the window ({window:?}) must not be shorter than the granularity ({granularity:?})"
            ));
        }
        Some(Self {
            target_value: target_value?,
            window,
            granularity,
        })
    }
}

/// `targetValue`: an int32 of at least 1, required unless there is a default.
fn target_value(fields: &Fields<'_>, default: Option<u32>) -> Option<u32> {
    let field = match default {
        Some(default) => match fields.optional("targetValue") {
            Some(field) => field,
            None => return Some(default),
        },
        None => fields.required("targetValue")?,
    };
    field.int(1..=i64::from(i32::MAX))
}
