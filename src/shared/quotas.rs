//! Limits per minute that several processes keep together: each takes what it needs for the next second, and the database counts
//! what all took in the last minute, by its own clock.
//!
//! What is taken counts from that moment on, and is used within a second of it or given back. So a window of 60 seconds, as the
//! provider counts, sees no more than what was taken in 60 seconds and that one.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::database::{PgError, Session, in_time, with_client};
use crate::error::Result;
use crate::teacher::Addresses;
use crate::teacher::peers::{Peers, PerMinute, Ticket};

/// How long what was taken may be used.
const LEASE: Duration = Duration::from_secs(1);
/// What a minute is to the database: with the lease's second, and two for requests that are on their way for different times.
const WINDOW: &str = "63 seconds";
/// Between two looks at what others found: pauses of addresses.
const LOOK: Duration = Duration::from_millis(200);
/// When a request that found nothing left looks again.
const AGAIN: Duration = Duration::from_millis(20);

/// A piece of the limits of one place.
#[derive(Debug, Clone, Copy)]
struct Lease {
    id: i64,
    until: Instant,
    requests: u32,
    tokens: u32,
}

/// What is known of one place.
#[derive(Debug)]
struct Place {
    limits: PerMinute,
    lease: Option<Lease>,
    /// Tokens of the largest request that found no room since the last look; none where none did.
    wanted: Option<u32>,
}

#[derive(Debug, Default)]
struct State {
    places: HashMap<String, Place>,
    /// What leases were counted with too much: requests, tokens.
    unused: HashMap<i64, (u32, u32)>,
    /// Pauses that were found here, and until when.
    pauses: HashMap<String, Instant>,
    /// When pauses were looked for last.
    looked: Option<Instant>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Quotas {
    state: Mutex<State>,
    /// Told when something is wanted.
    wanted: Notify,
}

impl Quotas {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when something is wanted, or a look is due.
    pub(super) async fn wanted(&self) {
        tokio::select! {
            () = self.wanted.notified() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }

    /// Fetches what is wanted, gives back what is not, and hands pauses on.
    pub(super) async fn keep(&self, session: &mut Session, addresses: &Addresses) -> Result<()> {
        self.give_back(session).await?;
        self.fetch(session).await?;
        let is_due = {
            let mut state = self.lock();
            let is_due = state.looked.is_none_or(|looked| looked.elapsed() >= LOOK);
            if is_due {
                state.looked = Some(Instant::now());
            }
            is_due
        };
        if is_due { self.hand_on_pauses(session, addresses).await } else { Ok(()) }
    }

    /// Gives back all that was taken, at the end.
    pub(super) async fn end(&self, session: &mut Session) -> Result<()> {
        {
            let mut state = self.lock();
            let State { places, unused, .. } = &mut *state;
            for lease in places.values_mut().filter_map(|place| place.lease.take()) {
                add(unused, lease);
            }
        }
        self.give_back(session).await
    }

    async fn fetch(&self, session: &mut Session) -> Result<()> {
        let wanted: Vec<(String, PerMinute, u32)> = {
            let mut state = self.lock();
            let wants = |(name, place): (&String, &mut Place)| Some((name.clone(), place.limits, place.wanted.take()?));
            state.places.iter_mut().filter_map(wants).collect()
        };
        for (name, limits, tokens) in wanted {
            // Before the database counts it: what is used is never older than it thinks.
            let until = Instant::now() + LEASE;
            let taken = with_client!(session, |client| take(client, &name, limits, tokens));
            let mut state = self.lock();
            let State { places, unused, .. } = &mut *state;
            if let (Some((id, requests, tokens)), Some(place)) = (taken, places.get_mut(&name))
                && let Some(before) = place.lease.replace(Lease { id, until, requests, tokens })
            {
                add(unused, before);
            }
        }
        Ok(())
    }

    async fn give_back(&self, session: &mut Session) -> Result<()> {
        let unused: Vec<(i64, (u32, u32))> = {
            let mut state = self.lock();
            let State { places, unused, .. } = &mut *state;
            let now = Instant::now();
            for place in places.values_mut() {
                if let Some(lease) = place.lease.take_if(|lease| lease.until <= now) {
                    add(unused, lease);
                }
            }
            unused.drain().filter(|(_, (requests, tokens))| *requests > 0 || *tokens > 0).collect()
        };
        if !unused.is_empty() {
            // Sent again after a loss it would give back twice, and others send too much: once, and what is lost is lost.
            let client = session.client().await?;
            match in_time(give_back(client, &unused)).await {
                Ok(()) => session.worked(),
                Err(error) => session.lost(error)?,
            }
        }
        Ok(())
    }

    async fn hand_on_pauses(&self, session: &mut Session, addresses: &Addresses) -> Result<()> {
        let found: Vec<(String, f64)> = {
            let mut state = self.lock();
            let now = Instant::now();
            let left = |(name, until): (String, Instant)| (name, (until.saturating_duration_since(now)).as_secs_f64());
            state.pauses.drain().map(left).filter(|(_, left)| *left > 0.0).collect()
        };
        for (name, seconds) in found {
            with_client!(session, |client| pause(client, &name, seconds));
        }
        let names = addresses.names();
        for (name, seconds) in with_client!(session, |client| pauses(client, &names)) {
            addresses.rest(&name, Duration::from_secs_f64(seconds.max(0.0)));
        }
        Ok(())
    }
}

fn add(unused: &mut HashMap<i64, (u32, u32)>, lease: Lease) {
    let (requests, tokens) = unused.entry(lease.id).or_default();
    *requests += lease.requests;
    *tokens = tokens.saturating_add(lease.tokens);
}

impl Peers for Quotas {
    fn take(&self, place: &str, limits: PerMinute, tokens: u32) -> Result<Ticket, Instant> {
        let mut state = self.lock();
        let now = Instant::now();
        let new = || Place { limits, lease: None, wanted: None };
        let place = state.places.entry(place.to_owned()).or_insert_with(new);
        place.limits = limits;
        let enough = |lease: &&mut Lease| {
            let fits = limits.tokens.is_none() || lease.tokens >= tokens;
            now < lease.until && fits && (limits.requests.is_none() || lease.requests >= 1)
        };
        let Some(lease) = place.lease.as_mut().filter(enough) else {
            place.wanted = Some(place.wanted.unwrap_or_default().max(tokens));
            drop(state);
            self.wanted.notify_one();
            return Err(now + AGAIN);
        };
        lease.requests = lease.requests.saturating_sub(1);
        lease.tokens = lease.tokens.saturating_sub(tokens);
        Ok(Ticket(lease.id))
    }

    fn correct(&self, Ticket(id): Ticket, fewer: u32) {
        let mut state = self.lock();
        let (_, tokens) = state.unused.entry(id).or_default();
        *tokens = tokens.saturating_add(fewer);
    }

    fn pause(&self, address: &str, length: Duration) {
        let until = Instant::now() + length;
        let mut state = self.lock();
        let longest = state.pauses.entry(address.to_owned()).or_insert(until);
        *longest = (*longest).max(until);
        drop(state);
        self.wanted.notify_one();
    }
}

/// What may be taken now, of a minute's `limit`, of which `used` were taken in the last minute and `recent` in the last second:
/// about what is sent in a second, `least` at least; none where that is not left.
fn share(limit: Option<u32>, used: i64, recent: i64, least: i64) -> Option<i64> {
    let Some(limit) = limit.map(i64::from) else { return Some(least) };
    let second = (limit / 60).max(1);
    // What is larger than a minute's share goes alone.
    if used == 0 {
        return Some(least.max(second.min(limit)));
    }
    let left = (limit - used).min(2 * second - recent);
    (limit - used >= least && left > 0).then(|| least.max(second.min(left)))
}

/// Takes a second's part of what a place may be sent in a minute: its number, requests and tokens. None where nothing is left.
async fn take(
    client: &mut Client,
    place: &str,
    limits: PerMinute,
    tokens: u32,
) -> Result<Option<(i64, u32, u32)>, PgError> {
    client
        .execute_typed("INSERT INTO places (place) VALUES ($1) ON CONFLICT DO NOTHING", &[(&place, Type::TEXT)])
        .await?;
    let transaction = client.transaction().await?;
    transaction.query_typed("SELECT FROM places WHERE place = $1 FOR NO KEY UPDATE", &[(&place, Type::TEXT)]).await?;
    transaction
        .execute_typed(
            &format!("DELETE FROM quotas WHERE place = $1 AND at < clock_timestamp() - interval '{WINDOW}'"),
            &[(&place, Type::TEXT)],
        )
        .await?;
    let row = transaction
        .query_typed_one(
            "SELECT coalesce(sum(requests), 0)::int8, coalesce(sum(tokens), 0)::int8,
                 coalesce(sum(requests) FILTER (WHERE recent), 0)::int8, coalesce(sum(tokens) FILTER (WHERE recent), 0)::int8
             FROM (SELECT requests, tokens, at > clock_timestamp() - interval '1 second' AS recent FROM quotas WHERE place = $1) q",
            &[(&place, Type::TEXT)],
        )
        .await?;
    let requests = share(limits.requests, row.get(0), row.get(2), 1);
    let tokens = share(limits.tokens, row.get(1), row.get(3), i64::from(tokens));
    let (Some(requests), Some(tokens)) = (requests, tokens) else {
        transaction.commit().await?;
        return Ok(None);
    };
    let id: i64 = transaction
        .query_typed_one(
            "INSERT INTO quotas (place, at, requests, tokens) VALUES ($1, clock_timestamp(), $2, $3) RETURNING id",
            &[(&place, Type::TEXT), (&requests, Type::INT8), (&tokens, Type::INT8)],
        )
        .await?
        .get(0);
    transaction.commit().await?;
    let number = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
    Ok(Some((id, number(requests), number(tokens))))
}

/// Counts leases with so much less.
async fn give_back(client: &mut Client, unused: &[(i64, (u32, u32))]) -> Result<(), PgError> {
    let ids: Vec<i64> = unused.iter().map(|(id, _)| *id).collect();
    let requests: Vec<i64> = unused.iter().map(|(_, (requests, _))| i64::from(*requests)).collect();
    let tokens: Vec<i64> = unused.iter().map(|(_, (_, tokens))| i64::from(*tokens)).collect();
    client
        .execute_typed(
            "UPDATE quotas q SET requests = greatest(q.requests - n.r, 0), tokens = greatest(q.tokens - n.t, 0)
             FROM unnest($1, $2, $3) AS n (id, r, t) WHERE q.id = n.id",
            &[(&ids, Type::INT8_ARRAY), (&requests, Type::INT8_ARRAY), (&tokens, Type::INT8_ARRAY)],
        )
        .await?;
    Ok(())
}

async fn pause(client: &mut Client, address: &str, seconds: f64) -> Result<(), PgError> {
    client
        .execute_typed(
            "INSERT INTO places (place, paused_until) VALUES ($1, clock_timestamp() + make_interval(secs => $2))
             ON CONFLICT (place) DO UPDATE SET paused_until = greatest(places.paused_until, excluded.paused_until)",
            &[(&address, Type::TEXT), (&seconds, Type::FLOAT8)],
        )
        .await?;
    Ok(())
}

/// The pauses of these addresses, in seconds from now.
async fn pauses(client: &mut Client, names: &[String]) -> Result<Vec<(String, f64)>, PgError> {
    let rows = client
        .query_typed(
            "SELECT place, extract(epoch FROM paused_until - clock_timestamp())::float8 FROM places
             WHERE place = ANY ($1) AND paused_until > clock_timestamp()",
            &[(&names, Type::TEXT_ARRAY)],
        )
        .await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_takes_its_part_of_a_minute_and_never_more_than_is_left() {
        // limit, used in the minute, in the last second, least
        assert_eq!(share(Some(600), 0, 0, 1), Some(10));
        assert_eq!(share(Some(600), 595, 0, 1), Some(5));
        assert_eq!(share(Some(600), 600, 0, 1), None);
        assert_eq!(share(Some(600), 300, 20, 1), None);
        assert_eq!(share(Some(6), 3, 0, 1), Some(1));
        assert_eq!(share(None, 1 << 40, 0, 7), Some(7));
        // A request that is larger than a second's part waits for room, and one that is larger than a minute's goes alone.
        assert_eq!(share(Some(600), 500, 0, 80), Some(80));
        assert_eq!(share(Some(600), 550, 0, 80), None);
        assert_eq!(share(Some(600), 0, 0, 1000), Some(1000));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_taken_beyond_a_lease_or_after_its_time() {
        let quotas = Quotas::default();
        let limits = PerMinute { requests: Some(600), tokens: Some(6000) };
        assert!(quotas.take("a", limits, 40).is_err());
        let until = Instant::now() + LEASE;
        quotas.lock().places.get_mut("a").unwrap().lease = Some(Lease { id: 7, until, requests: 3, tokens: 100 });
        assert_eq!(quotas.take("a", limits, 40), Ok(Ticket(7)));
        assert_eq!(quotas.take("a", limits, 40), Ok(Ticket(7)));
        assert!(quotas.take("a", limits, 40).is_err(), "20 tokens are left");
        assert!(quotas.take("b", limits, 1).is_err());
        tokio::time::advance(LEASE).await;
        assert!(quotas.take("a", limits, 1).is_err());
        quotas.correct(Ticket(7), 30);
        assert_eq!(quotas.lock().unused, HashMap::from([(7, (0, 30))]));
    }
}
