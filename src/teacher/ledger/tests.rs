//! The ledger over settled, lost and killed requests.

use super::*;
use rand::Rng;

fn dollars(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn open(dir: &Path, cap: &str, recorded: Decimal) -> Arc<Ledger> {
    let ledger = Ledger::new(Some(dollars(cap)));
    ledger.take_up(dir, recorded).unwrap();
    ledger
}

async fn sent(ledger: &Arc<Ledger>, worst: &str) -> Reservation {
    let mut reservation = ledger.reserve(dollars(worst)).await.unwrap();
    reservation.put_on_file(Some("a"), 7).await.unwrap();
    reservation
}

#[test]
fn a_cost_by_hand() {
    let price = Price {
        input: dollars("0.15"),
        cached_input: dollars("0.075"),
        output: dollars("0.6"),
        batch_share: Decimal::ONE,
    };
    let usage = Usage { prompt_tokens: 1_000, completion_tokens: 20, cached_tokens: 400 };
    // 600 * 0.15 + 400 * 0.075 + 20 * 0.6 = 90 + 30 + 12 per million.
    assert_eq!(price.of(&usage), dollars("0.000132"));
}

#[tokio::test]
async fn the_cap_holds_with_answers_of_any_cost_and_nothing_is_left_over() {
    for seed in 0..100 {
        let ledger = Ledger::new(Some(dollars("1.00")));
        let mut rng = crate::base::random::rng(seed, "costs", &[]);
        let costs: Vec<i64> = (0..400).map(|_| rng.random_range(0..=100)).collect();
        let asked = costs.iter().map(|&cost| {
            let ledger = Arc::clone(&ledger);
            async move {
                let Ok(reservation) = ledger.reserve(dollars("0.0100")).await else { return Decimal::ZERO };
                tokio::task::yield_now().await;
                assert!(ledger.sums().total() <= dollars("1.00"));
                let cost = Decimal::new(cost, 4);
                reservation.settle(cost, None);
                cost
            }
        });
        let spent: Decimal = futures::future::join_all(asked).await.into_iter().sum();
        assert!(spent <= dollars("1.00") && spent > dollars("0.98"), "{spent}");
        assert_eq!(ledger.sums(), Sums { recorded: spent, ..Sums::default() });
    }
}

#[tokio::test]
async fn a_request_of_unknown_outcome_counts_as_spent_and_a_killed_one_no_more_than_itself() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path(), "10", Decimal::ZERO);
    drop(sent(&ledger, "0.5").await);
    sent(&ledger, "0.5").await.release();
    sent(&ledger, "0.5").await.settle(dollars("0.25"), Some(3));
    assert_eq!(ledger.sums().unknown, dollars("0.5"));
    ledger.close().unwrap();
    // Reading alone changes nothing.
    for _ in 0..2 {
        let again = open(dir.path(), "10", dollars("0.25"));
        assert_eq!(again.sums(), Sums { recorded: dollars("0.25"), unknown: dollars("0.5"), ..Sums::default() });
    }
    // Killed with a request on its way, which the store knows nothing of.
    let killed = open(dir.path(), "10", dollars("0.25"));
    let _in_flight = sent(&killed, "0.01").await;
    assert_eq!(open(dir.path(), "10", dollars("0.25")).sums().unknown, dollars("0.51"));
    // Its answer was stored, but its end is not on file: it counts once.
    let after = open(dir.path(), "10", dollars("0.26")).sums();
    assert_eq!(after, Sums { recorded: dollars("0.26"), unknown: dollars("0.5"), ..Sums::default() });
}

#[tokio::test]
async fn no_kill_forgets_what_was_spent_or_counts_more_than_the_killed_requests() {
    for seed in 0..100 {
        let mut rng = crate::base::random::rng(seed, "kills", &[]);
        let dir = tempfile::tempdir().unwrap();
        let (cap, worst) = (dollars("0.5"), dollars("0.01"));
        // What the provider charged, and what of it the store has.
        let (mut billed, mut stored, mut killed) = (Decimal::ZERO, Decimal::ZERO, 0_u32);
        for _ in 0..rng.random_range(1..4) {
            let ledger = open(dir.path(), "0.5", stored);
            let spent = ledger.sums().total();
            assert!(billed <= spent && spent <= cap, "{seed}: {billed} {spent}");
            assert!(spent <= billed + worst * Decimal::from(killed), "{seed}: {billed} {spent} {killed}");
            let mut in_flight = Vec::new();
            for _ in 0..rng.random_range(0..12) {
                let mut reservation = ledger.reserve(worst).await.unwrap();
                reservation.put_on_file(None, 1).await.unwrap();
                let cost = Decimal::new(rng.random_range(0..=100), 4);
                billed += cost;
                match rng.random_range(0..3) {
                    // Answered and stored; or answered, and killed before it was stored.
                    choice @ 0..=1 => {
                        reservation.settle(cost, None);
                        stored += if choice == 0 { cost } else { Decimal::ZERO };
                    }
                    // Killed on its way; its answer may even be stored.
                    _ => {
                        killed += 1;
                        stored += if rng.random_bool(0.3) { cost } else { Decimal::ZERO };
                        in_flight.push(reservation);
                    }
                }
            }
            ledger.close().unwrap();
            kill(dir.path(), &mut rng, &mut killed);
            in_flight.into_iter().for_each(std::mem::forget);
        }
    }
}

/// The file as a kill leaves it: lines that nobody waited for may be torn or missing.
fn kill(dir: &Path, rng: &mut impl Rng, killed: &mut u32) {
    let path = dir.join(FILE);
    let Ok(file) = std::fs::read_to_string(&path) else { return };
    let last_sent = file.rfind("\"event\":\"send\"").map_or(0, |at| at + file[at..].find('\n').unwrap() + 1);
    let cut = rng.random_range(last_sent..=file.len());
    *killed += u32::try_from(file[last_sent..].lines().count()).unwrap();
    std::fs::write(&path, &file[..cut]).unwrap();
}

#[tokio::test]
async fn what_does_not_fit_is_refused_with_the_sums() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path(), "1.00", dollars("0.995"));
    let Refused(message) = ledger.reserve(dollars("0.01")).await.unwrap_err();
    assert!(message.contains("0.995 of 1 is spent") && message.contains("Raise max_cost"), "{message}");
    assert!(!dir.path().join(FILE).exists(), "nothing was sent, so nothing is written");
}

#[tokio::test]
async fn the_file_of_an_earlier_version_is_taken_up_once() {
    let dir = tempfile::tempdir().unwrap();
    let old = dir.path().join(OLD_FILE);
    std::fs::write(&old, "{\"at_most\":\"0.75\"}").unwrap();
    let ledger = open(dir.path(), "1", dollars("0.25"));
    assert_eq!(ledger.sums().unknown, dollars("0.5"));
    assert!(old.exists());
    sent(&ledger, "0.125").await.settle(dollars("0.0625"), None);
    ledger.close().unwrap();
    assert!(!old.exists());
    assert_eq!(open(dir.path(), "1", dollars("0.3125")).sums().total(), dollars("0.8125"));
    std::fs::write(&old, "{").unwrap();
    let error = Ledger::new(None).take_up(dir.path(), Decimal::ZERO).unwrap_err().to_string();
    assert!(error.contains("spend.json") && error.contains("Do not delete"), "{error}");
}

#[tokio::test]
async fn a_balance_that_is_lost_stops_the_run_until_somebody_says_what_was_spent() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path(), "1", Decimal::ZERO);
    sent(&ledger, "0.5").await.settle(dollars("0.25"), None);
    ledger.close().unwrap();
    let path = dir.path().join(FILE);
    let damaged = std::fs::read_to_string(&path).unwrap().replace("\"balance\"", "\"balanse\"");
    std::fs::write(&path, damaged).unwrap();
    let error = Ledger::new(None).take_up(dir.path(), Decimal::ZERO).unwrap_err().to_string();
    assert!(error.contains(FILE) && error.contains("at_most"), "{error}");
    std::fs::write(dir.path().join(OLD_FILE), "{\"at_most\": \"0.3\"}").unwrap();
    assert_eq!(open(dir.path(), "1", dollars("0.25")).sums().total(), dollars("0.3"));
}

#[tokio::test]
async fn requests_of_the_last_minute_are_handed_out_once() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path(), "1", Decimal::ZERO);
    sent(&ledger, "0").await.settle(Decimal::ZERO, Some(3));
    let _in_flight = sent(&ledger, "0").await;
    ledger.close().unwrap();
    let again = open(dir.path(), "1", Decimal::ZERO);
    let tokens: Vec<u32> = again.take_last_minute("a").into_iter().map(|(_, tokens)| tokens).collect();
    assert_eq!(tokens, [3, 7]);
    assert!(again.take_last_minute("a").is_empty());
}

/// As a server does that heeds no bound on answers: what was on its way then is all that can pass the cap.
#[tokio::test]
async fn after_an_answer_above_its_bound_more_is_set_aside() {
    let ledger = Ledger::new(Some(dollars("1.00")));
    let mut spent = Decimal::ZERO;
    while let Ok(reservation) = ledger.reserve(dollars("0.01")).await {
        reservation.settle(dollars("0.07"), None);
        spent += dollars("0.07");
    }
    assert_eq!(spent, dollars("0.98"));
}
