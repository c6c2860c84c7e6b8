//! Many clients at once, over few connections.

use super::{H2Client, Upload, complete, h2_request, within};
use std::{net::SocketAddr, time::Duration};
use tokio::task::JoinSet;

/// Requests per connection: below what servers allow at once.
const PER_CONNECTION: usize = 100;

/// Requests that were sent at the same time.
pub(crate) struct Crowd {
    answers: JoinSet<(u16, Option<String>)>,
    _connections: Vec<H2Client>,
}

impl Crowd {
    /// Sends `count` GET requests.
    pub(crate) async fn of(count: usize, addr: SocketAddr) -> Self {
        let mut connections = Vec::new();
        let mut answers = JoinSet::new();
        for number in 0..count {
            if number % PER_CONNECTION == 0 {
                connections.push(H2Client::connect(addr).await);
            }
            let client = connections.last_mut().expect("made above");
            let path = format!("/{number}");
            let answer = client.send(h2_request("GET", &path, Upload::none()));
            answers.spawn(async move {
                let answer = answer.await.expect("an answer");
                let (status, cold_start, _) = complete(answer).await;
                (status, cold_start)
            });
        }
        Self {
            answers,
            _connections: connections,
        }
    }

    /// Waits for all answers: each with its status and its cold-start header.
    pub(crate) async fn answers(self) -> Vec<(u16, Option<String>)> {
        let all = tokio::time::timeout(Duration::from_secs(60), self.answers.join_all());
        within("all answers", all).await.expect("in a minute")
    }

    /// Waits until all are answered 200 with this cold-start header.
    pub(crate) async fn all_served(self, cold_start: &str) {
        for (status, cold) in self.answers().await {
            assert_eq!((status, cold.as_deref()), (200, Some(cold_start)));
        }
    }
}
