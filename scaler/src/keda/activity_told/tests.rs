//! Triggers that are told, with paused time.

use super::*;

#[derive(Debug, Default)]
struct Heard(Mutex<Vec<String>>);

impl MetricWakes for Heard {
    fn rose(&self, namespace: &str, scaled_object: &str, metric: &str) {
        let line = format!("{namespace}/{scaled_object} {metric}");
        self.0.lock().push(line);
    }
}

fn reference(name: &str) -> ScaledObjectRef {
    ScaledObjectRef {
        name: name.to_owned(),
        namespace: "ns".to_owned(),
        scaler_metadata: [("interceptorRoute".to_owned(), "web".to_owned())].into(),
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_said_last_counts_and_since_when() {
    let all = Activities::default();
    let trigger = all.of(&reference("web"), None).expect("room");
    let stream = trigger.clone();
    assert_eq!(all.read("ns", "web")[0].said, None, "nothing was said yet");
    drop(stream);
    let start = Instant::now();
    all.told(&trigger, Ok(false), ToldBy::Poll, false);
    tokio::time::advance(Duration::from_secs(5)).await;
    all.told(&trigger, Ok(false), ToldBy::Stream, false);
    drop(trigger);
    let told = all.read("ns", "web");
    let [told] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!(
        (&*told.source, told.has_stream),
        ("interceptorRoute=web", false)
    );
    let said = Said {
        what: Ok(false),
        by: ToldBy::Stream,
        at: start + Duration::from_secs(5),
        since: start,
    };
    assert_eq!(told.said, Some(said));
    tokio::time::advance(KEPT_FOR).await;
    assert!(all.read("ns", "web").is_empty(), "nobody asks any more");
}

#[test]
fn names_stay_apart_and_are_cut() {
    let mut reference = reference("wéb");
    let names = Names::of(&reference);
    assert_eq!(names.each(), ["ns", "wéb", "interceptorRoute=web"]);
    // The same letters with another border between them are others.
    (reference.namespace, reference.name) = ("nsw".to_owned(), "éb".to_owned());
    assert_ne!(Names::of(&reference), names);
    (reference.namespace, reference.name) = (String::new(), "𝄞".repeat(1_000));
    let names = Names::of(&reference);
    let cut = "𝄞".repeat(LONGEST);
    assert_eq!(names.each(), ["", &cut, "interceptorRoute=web"]);
}

#[tokio::test(start_paused = true)]
async fn a_metric_that_rises_is_heard_once() {
    let all = Activities::default();
    let heard = Arc::new(Heard::default());
    all.follow(heard.clone());
    let trigger = all.of(&reference("web"), None).expect("room");
    for active in [true, true, false, true] {
        all.told(&trigger, Ok(active), ToldBy::Poll, active);
    }
    all.told(&trigger, Ok(false), ToldBy::Poll, false);
    all.told(&trigger, Ok(true), ToldBy::Poll, false);
    let line = "ns/web interceptorRoute=web".to_owned();
    assert_eq!(*heard.0.lock(), [line.clone(), line]);
}

#[tokio::test(start_paused = true)]
async fn it_is_bounded_and_the_forgotten_make_room() {
    let all = Activities::default();
    for number in 0..MOST {
        let trigger = all.of(&reference(&number.to_string()), None);
        all.told(&trigger.expect("room"), Ok(false), ToldBy::Poll, false);
    }
    assert!(all.of(&reference("one more"), None).is_none());
    tokio::time::advance(KEPT_FOR).await;
    assert!(all.of(&reference("one more"), None).is_some());
    assert_eq!(all.known.lock().triggers.len(), 1);
}
