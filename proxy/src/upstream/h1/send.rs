//! Finding a connection for a request, and giving it back.

use super::{
    Connection,
    exchange::{Failure, Next, exchange},
};
use crate::{
    endpoint::Endpoint,
    http::UploadBody,
    journal::Journal,
    upstream::{Answer, Asker, IdlePool, SendError, UpstreamError, Use, dial, stream::Stream},
};
use http::Request;
use std::{io, sync::Arc, time::Duration};

/// Sends `request` on an idle connection of `worker`, or on a new one. An
/// idle connection that turns out to be dead before anything went out costs
/// nothing: the next one gets the request.
///
/// With an answer, the request is used up. Without one it is as it was, but
/// for what was taken of its body.
///
/// Cancel safe: dropping it closes the connection that was in use.
pub(in crate::upstream) async fn send(
    (endpoint, pool, worker): (&Arc<Endpoint>, &IdlePool, usize),
    connection: Use,
    connect_limit: Duration,
    asker: Asker<'_>,
    request: &mut Request<UploadBody>,
    journal: &mut Journal,
) -> Result<Answer, SendError> {
    loop {
        let idle = match connection {
            Use::Any => pool.take(worker),
            Use::New => None,
        };
        let (connection, fresh) = match idle {
            Some(connection) => (connection, false),
            None => {
                journal.connect_began(endpoint);
                let dialled = Box::pin(dial::open(endpoint.addr(), connect_limit)).await;
                journal.connect_ended(dialled.as_ref().err());
                match dialled {
                    Ok(stream) => {
                        endpoint.readmit();
                        (Connection::new(Stream::Clear(stream)), true)
                    }
                    Err(error) => return Err(SendError::Connect(error)),
                }
            }
        };
        match send_once(endpoint, worker, connection, asker, request).await {
            Ok(answer) => return Ok(answer),
            // It never left: the next connection, for any method.
            Err(Once::Unsent(_)) if !fresh => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Why a request got no answer on one connection.
pub(in crate::upstream) enum Once {
    /// It never left, and is as it was.
    Unsent(UpstreamError),
    Failed(SendError),
}

impl From<Once> for SendError {
    /// A fresh connection that took nothing counts as none.
    fn from(once: Once) -> Self {
        match once {
            Once::Unsent(error) => Self::Connect(io::Error::other(error)),
            Once::Failed(error) => error,
        }
    }
}

/// Sends `request` on one connection of `worker`'s.
///
/// Cancel safe: dropping it closes the connection.
pub(in crate::upstream) async fn send_once(
    endpoint: &Arc<Endpoint>,
    worker: usize,
    connection: Connection,
    asker: Asker<'_>,
    request: &mut Request<UploadBody>,
) -> Result<Answer, Once> {
    let (answer, next) = match exchange(connection, request, asker).await {
        Ok(answered) => answered,
        Err(Failure::Unsent(error)) => return Err(Once::Unsent(error)),
        Err(Failure::NoAnswer(error)) => {
            return Err(Once::Failed(SendError::NoAnswer {
                error,
                is_unharmed: false,
            }));
        }
        Err(Failure::BadAnswer(error)) => return Err(Once::Failed(SendError::BadAnswer(error))),
    };
    match next {
        Next::Free(connection) => endpoint.give_back(worker, connection),
        Next::FinishRequest(unfinished) => {
            let endpoint = endpoint.clone();
            tokio::spawn(async move {
                if let Some(connection) = unfinished.finish().await {
                    endpoint.give_back(worker, connection);
                }
            });
        }
        Next::Nothing => {}
    }
    Ok(answer)
}
