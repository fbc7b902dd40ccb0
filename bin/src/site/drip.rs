//! `/drip`: a few bytes, slowly.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use tokio::time::{Instant, sleep_until};

use super::limits::{LONGEST_DRIP, SLOWEST_DRIP};
use super::query::{Query, seconds, whole};
use super::refusal::Refusal;

const BYTES: u64 = 1_000;
const SECONDS: Duration = Duration::from_secs(10);
/// Drops that are closer than this fall together.
const CLOSEST: Duration = Duration::from_millis(100);

/// Answers with `?bytes=` bytes, spread evenly over `?seconds=`.
pub(super) async fn drip(query: Query) -> Result<Response, Refusal> {
    query.only(&["bytes", "seconds"])?;
    let bytes = query.get("bytes", BYTES, whole(1, LONGEST_DRIP))?;
    let span = query.get("seconds", SECONDS, seconds(SLOWEST_DRIP))?;
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
        (CONTENT_LENGTH, HeaderValue::from(bytes)),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, Body::from_stream(drops(bytes, span))).into_response())
}

/// The pieces, each at its time; together they take the whole span, and the last byte comes at its end.
fn drops(bytes: u64, span: Duration) -> impl stream::Stream<Item = Result<Bytes, Infallible>> {
    let most = u64::try_from(span.as_millis() / CLOSEST.as_millis()).unwrap_or(u64::MAX).max(1);
    let count = bytes.min(most);
    let began = Instant::now();
    stream::unfold(0, move |done| async move {
        if done == count {
            return None;
        }
        let next = done + 1;
        let share = next as f64 / count as f64;
        sleep_until(began + span.mul_f64(share)).await;
        let length = bytes * next / count - bytes * done / count;
        Some((Ok(piece(length, next == count)), next))
    })
}

/// So many drops; the last one of all ends the line.
fn piece(length: u64, is_last: bool) -> Bytes {
    let mut drops = vec![b'.'; usize::try_from(length).unwrap_or(0)];
    if let Some(last) = drops.last_mut().filter(|_| is_last) {
        *last = b'\n';
    }
    drops.into()
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_bytes_take_their_time_and_are_all_there() {
        for (bytes, milliseconds, pieces) in
            [(1, 10_000, 1), (7, 3_000, 7), (1_000, 10_000, 100), (5, 0, 1), (LONGEST_DRIP, 120_000, 1_200)]
        {
            let span = Duration::from_millis(milliseconds);
            let began = Instant::now();
            let all: Vec<_> = drops(bytes, span).collect().await;
            let sum: u64 = all.iter().map(|piece| piece.as_ref().unwrap().len() as u64).sum();
            assert_eq!((all.len(), sum), (pieces, bytes));
            let late = began.elapsed().saturating_sub(span);
            assert!(began.elapsed() >= span && late < Duration::from_millis(5), "{bytes} in {:?}", began.elapsed());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_piece_comes_before_its_time() {
        let mut drops = Box::pin(drops(10, Duration::from_secs(10)));
        for second in 1..=10 {
            let began = Instant::now();
            assert_eq!(drops.next().await.unwrap().unwrap().len(), 1, "{second}");
            assert!(began.elapsed() >= Duration::from_millis(999), "{second}");
        }
        assert!(drops.next().await.is_none());
    }
}
