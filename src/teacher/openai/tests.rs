//! Teachers of several runs at one address, on a held clock. Nothing is sent: what lets requests go is what is tested.

use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::Config;
use crate::config::TeacherConfig;
use crate::teacher::{Addresses, open_all};

fn config(more: &str) -> Config {
    let toml = "[task]\nname = \"t\"\nlabels = [\"a\", \"b\"]\n[corpus]\npath = \"c\"\n\
        [[teachers]]\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:1/v1\"\nmodel = \"m\"\n";
    Config::parse(&format!("{toml}{more}"), "".as_ref(), None).unwrap()
}

/// The teacher of a run of its own.
fn open(addresses: &Addresses, more: &str) -> OpenAi {
    let config = config(more);
    let TeacherConfig::OpenAi(openai) = &config.teachers[0] else { panic!("an openai teacher") };
    let mut set = Set::new("nowhere".as_ref());
    OpenAi::open(openai, &config.task, &Ledger::new(None), &mut addresses.lock(), &mut set).unwrap()
}

/// Lets `count` requests go, one after the other; when each went.
async fn send(teacher: &OpenAi, count: usize, start: Instant) -> Vec<Duration> {
    let messages = teacher.prompter.messages("text").unwrap();
    let mut times = Vec::new();
    for _ in 0..count {
        let Ok(admitted) = teacher.admit(&messages).await else { break };
        times.push(start.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
        drop(admitted);
    }
    times
}

fn fullest_minute(times: &[Duration]) -> usize {
    let minute = Duration::from_secs(60);
    let from = |&first: &Duration| times.iter().filter(|&&at| first <= at && at < first + minute).count();
    times.iter().map(from).max().unwrap_or(0)
}

#[tokio::test(start_paused = true)]
async fn two_runs_at_one_address_keep_its_limit_together_and_stop_apart() {
    let addresses = Addresses::default();
    let limit = "requests_per_minute = 60";
    let (first, second) = (open(&addresses, limit), open(&addresses, limit));
    let start = Instant::now();
    let stopping = async {
        tokio::time::sleep(Duration::from_secs(90)).await;
        first.stop.because("HTTP 401");
    };
    let (of_first, of_second, ()) = tokio::join!(send(&first, 1_000, start), send(&second, 200, start), stopping);
    assert!(of_first.len() > 10 && of_first.last().unwrap().as_secs() <= 90, "{of_first:?}");
    assert_eq!(of_second.len(), 200, "the other run goes on");
    let mut times = [of_first, of_second].concat();
    times.sort_unstable();
    assert!(fullest_minute(&times) <= 60);
    // Without sharing they would have had two limits.
    let apart = (open(&Addresses::default(), limit), open(&Addresses::default(), limit));
    let start = Instant::now();
    let (a, b) = tokio::join!(send(&apart.0, 60, start), send(&apart.1, 60, start));
    assert!(fullest_minute(&[a, b].concat()) > 60);
}

#[tokio::test(start_paused = true)]
async fn a_pause_of_the_address_holds_all_runs_and_rooms_add_up() {
    let addresses = Addresses::default();
    let (first, second) = (open(&addresses, "max_in_flight = 3"), open(&addresses, "max_in_flight = 2"));
    let messages = first.prompter.messages("text").unwrap();
    let start = Instant::now();
    first.admit(&messages).await.unwrap().pass.overloaded(Duration::from_secs(8));
    let _probe = second.admit(&messages).await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 8);
    // Another key is another account.
    let other = open(&addresses, "api_key_env = \"PATH\"");
    assert!(!Arc::ptr_eq(&other.address, &first.address) && Arc::ptr_eq(&second.address, &first.address));
}

#[tokio::test]
async fn whoever_stops_says_why_to_all_of_its_run_at_that_address() {
    let two = "[[teachers]]\nkind = \"openai\"\nname = \"n\"\nbase_url = \"http://127.0.0.1:1/v1\"\nmodel = \"n\"\n";
    let teachers = open_all(&config(two), &Ledger::new(None), &Addresses::default()).unwrap();
    let sample = Sample { id: crate::domain::sample::SampleId("1".into()), text: "t".into() };
    teachers[0].stop();
    for teacher in &teachers {
        assert_eq!(teacher.ask(&sample, 0).await.unwrap_err(), AskError::Cancelled);
    }
}
