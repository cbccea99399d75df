//! A request's body, read up to a bound, within a time, and only where there is memory for it: all bodies of the moment together
//! have a bound too.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use futures::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of a body, at most: as a line of texts that `candist predict` reads.
pub(super) const MOST: usize = 16 << 20;
/// Bytes of all bodies together.
const ALL: usize = 128 << 20;
/// What the semaphore counts in.
const UNIT: usize = 4 << 10;
/// How long a body may take.
const TIME: Duration = Duration::from_secs(60);
/// How much of a body that is not wanted is passed over, for so long: who is still sending would not read the answer.
const PASSED_OVER: usize = 2 * MOST;
const PASSING: Duration = Duration::from_secs(2);

/// Why there is no body.
#[derive(Debug, PartialEq)]
pub(super) enum Unread {
    /// It is longer than [`MOST`].
    TooLong,
    /// All bodies together are.
    NoRoom,
    /// It took longer than [`TIME`].
    Late,
    /// The client broke it off, or it is no body.
    Broken(String),
}

/// A body, and its part of what all may have.
#[derive(Debug)]
pub(super) struct Bytes {
    pub(super) bytes: Vec<u8>,
    pub(super) room: Vec<OwnedSemaphorePermit>,
}

/// What all bodies together may have.
#[derive(Debug)]
pub(super) struct Bodies(Arc<Semaphore>);

impl Default for Bodies {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ALL / UNIT)))
    }
}

impl Bodies {
    /// Reads `body`.
    ///
    /// # Errors
    ///
    /// See [`Unread`].
    pub(super) async fn read(&self, headers: &HeaderMap, body: Body) -> Result<Bytes, Unread> {
        let said = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        let mut stream = body.into_data_stream();
        let read = async {
            if said.is_some_and(|said| said > MOST as u64) {
                return Err(Unread::TooLong);
            }
            let mut read = Bytes { bytes: Vec::new(), room: Vec::new() };
            let mut reserved = 0;
            while let Some(part) = stream.next().await {
                let part = part.map_err(|error| Unread::Broken(error.to_string()))?;
                if read.bytes.len() + part.len() > MOST {
                    return Err(Unread::TooLong);
                }
                read.bytes.extend_from_slice(&part);
                while reserved < read.bytes.len() {
                    // More than is there, so that few permits are kept.
                    let units = reserved.div_ceil(UNIT).max(1);
                    let permits = u32::try_from(units).unwrap_or(u32::MAX);
                    let taken = Arc::clone(&self.0).try_acquire_many_owned(permits).map_err(|_| Unread::NoRoom)?;
                    read.room.push(taken);
                    reserved += units * UNIT;
                }
            }
            Ok(read)
        };
        let read = tokio::time::timeout(TIME, read).await.unwrap_or(Err(Unread::Late));
        if matches!(read, Err(Unread::TooLong | Unread::NoRoom)) {
            let mut passed = 0;
            let pass = async {
                while let Some(Ok(part)) = stream.next().await {
                    passed += part.len();
                    if passed > PASSED_OVER {
                        break;
                    }
                }
            };
            let _ = tokio::time::timeout(PASSING, pass).await;
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bodies: &Bodies, body: Body) -> Result<usize, Unread> {
        bodies.read(&HeaderMap::new(), body).await.map(|read| read.bytes.len())
    }

    #[tokio::test]
    async fn a_body_has_a_bound_and_all_of_them_have() {
        let bodies = Bodies::default();
        assert_eq!(read(&bodies, Body::empty()).await, Ok(0));
        assert_eq!(read(&bodies, Body::from(vec![0; MOST])).await, Ok(MOST));
        assert_eq!(read(&bodies, Body::from(vec![0; MOST + 1])).await, Err(Unread::TooLong));
        let mut long = HeaderMap::new();
        long.insert(CONTENT_LENGTH, (MOST + 1).into());
        assert_eq!(bodies.read(&long, Body::empty()).await.unwrap_err(), Unread::TooLong);
        let mut held = Vec::new();
        while held.len() * MOST < ALL {
            match bodies.read(&HeaderMap::new(), Body::from(vec![0; MOST])).await {
                Ok(bytes) => held.push(bytes),
                Err(error) => {
                    assert_eq!(error, Unread::NoRoom);
                    break;
                }
            }
        }
        assert!(held.len() * MOST >= ALL / 2, "{}", held.len());
        assert_eq!(read(&bodies, Body::from(vec![0; MOST])).await, Err(Unread::NoRoom));
        held.clear();
        assert_eq!(read(&bodies, Body::from(vec![0; MOST])).await, Ok(MOST));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let never = Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
        assert_eq!(read(&Bodies::default(), never).await, Err(Unread::Late));
        let broken = futures::stream::iter([Ok(vec![1]), Err(std::io::Error::other("gone"))]);
        assert!(matches!(read(&Bodies::default(), Body::from_stream(broken)).await, Err(Unread::Broken(_))));
    }
}
