//! Whether a refusal is about one text or about the settings.
//!
//! Before a teacher has answered anything, a refusal (HTTP 400, 413, 422) may mean that the model's name is wrong as well as
//! that the text is too long. So the texts that were refused wait. One answer to any text says that the refusals are the
//! texts' own. When several different texts were refused, and nothing else, it is the settings.
//!
//! Both mistakes would be dear. Settings taken for texts: the run goes through a whole corpus, and every text is kept
//! as refused for good. Texts taken for settings: one odd text at the start, and no run ever begins.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::stop::Stop;
use crate::domain::sample::TextHash;
use crate::teacher::AskError;

/// The other thing that it may be.
const TOO_LONG: &str = "(If the first texts are too long for the model: put shorter ones before them.)";

/// Different texts whose refusal, without any answer, says that it is not the texts: unusual texts come together at the
/// start of a sorted corpus, but hardly so many; and a refusal costs nothing.
const SEVERAL: usize = 8;
/// As many, where the settings brought answers in an earlier run: a corpus that is sorted by length ends in texts that are too
/// long, and each start gets on by so many of them.
const MANY: usize = 64;
/// When nothing was asked or answered for so long, those who wait are all there is: a small corpus, or a small window.
const QUIET: Duration = Duration::from_secs(1);

/// What was seen of one teacher. Held under its lock for a few instructions, never across an await.
#[derive(Debug)]
struct State {
    /// Something was answered in this run: from then on every refusal is the text's.
    answered: bool,
    /// An earlier run was answered.
    known: bool,
    /// Different texts that were refused while nothing was answered; emptied by the first answer.
    refused: HashSet<TextHash>,
    /// Questions that are here and do not wait.
    active: usize,
    /// Requests on their way.
    flights: usize,
    /// When the number of either changed last.
    changed_at: Instant,
    /// Nothing more will be asked.
    ended: bool,
    /// Why it is the settings.
    settings: Option<String>,
}

/// What a refusal means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum About {
    /// The text: that is its answer.
    Text,
    /// The settings: nothing can be answered.
    Settings(String),
    /// It cannot be told by what was asked so far, and nothing more comes before this is decided.
    Unclear,
    /// The run stops.
    Stopped(AskError),
}

impl State {
    /// Whether so many texts were refused, and nothing answered, that it is more likely the settings.
    fn suspects_settings(&self) -> bool {
        !self.answered && self.refused.len() >= if self.known { MANY } else { SEVERAL }
    }
}

/// See the module. One for each teacher: models at one address differ in what they refuse.
#[derive(Debug)]
pub(super) struct Doubt {
    state: Mutex<State>,
    changed: Notify,
}

/// A question that is being asked, or waits.
#[derive(Debug)]
pub(super) struct Question<'a> {
    doubt: &'a Doubt,
    /// Its text was refused, and it no longer counts as active.
    waits: bool,
}

/// A request on its way. Not the same as a question: one that backs off between two tries is active and has no flight.
#[derive(Debug)]
pub(super) struct Flight<'a>(&'a Doubt);

impl Doubt {
    /// `known` says that the server answered such questions in an earlier run.
    pub(super) fn new(known: bool) -> Self {
        let state = State {
            answered: false,
            known,
            refused: HashSet::new(),
            active: 0,
            flights: 0,
            changed_at: Instant::now(),
            ended: false,
            settings: None,
        };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and lets those who wait look at it.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        // As it was before the change: the first answer must still wake those who wait for it.
        let quiet = state.answered;
        state.changed_at = Instant::now();
        let changed = change(&mut state);
        drop(state);
        // Once something was answered nobody waits.
        if !quiet {
            self.changed.notify_waiters();
        }
        changed
    }

    /// A question arrives.
    pub(super) fn arrive(&self) -> Question<'_> {
        self.change(|state| state.active += 1);
        Question { doubt: self, waits: false }
    }

    /// Something was answered.
    pub(super) fn answered(&self) {
        if !self.lock().answered {
            self.change(|state| {
                state.answered = true;
                state.refused = HashSet::new();
            });
        }
    }

    /// Nothing more will be asked.
    pub(super) fn end(&self) {
        self.change(|state| state.ended = true);
    }

    /// Lets a request go out; while it is open whether everything is refused, only after that has shown. By then enough
    /// were refused to tell, so more would cost time, and a provider's patience, for nothing.
    pub(super) async fn fly(&self) -> Flight<'_> {
        loop {
            // Before the look, so that no change between look and wait is missed.
            let changed = self.changed.notified();
            {
                let mut state = self.lock();
                if !state.suspects_settings() {
                    state.flights += 1;
                    return Flight(self);
                }
            }
            changed.await;
        }
    }
}

impl Question<'_> {
    /// This text was refused, as `message` says: waits until it shows what that means.
    pub(super) async fn refused(&mut self, text: TextHash, message: &str, stop: &Stop) -> About {
        self.doubt.change(|state| {
            state.active -= usize::from(!self.waits);
            if !state.answered {
                state.refused.insert(text);
            }
        });
        self.waits = true;
        loop {
            // As in `fly`: made before the look.
            let changed = self.doubt.changed.notified();
            let quiet_at = match self.doubt.look(message) {
                Ok(about) => return about,
                Err(quiet_at) => quiet_at,
            };
            tokio::select! {
                () = changed => {}
                () = sleep_until(quiet_at) => {}
                error = stop.stopped() => return About::Stopped(error),
            }
        }
    }
}

impl Doubt {
    /// What the refusals mean, or when to look again if nothing changes.
    ///
    /// The first that holds:
    ///
    /// - it was found to be the settings: everyone is told the same;
    /// - something was answered, or the settings are known to work and few were refused: it is the text;
    /// - others are on their way, whose outcome will say more: wait;
    /// - something happened within the last second: wait, for a question may be about to come;
    /// - few were refused and the corpus goes on: it stays open, or those who wait would keep the window full for ever;
    /// - all that there is was refused, or too many were: it is the settings.
    fn look(&self, message: &str) -> Result<About, Instant> {
        let mut state = self.lock();
        if let Some(settings) = &state.settings {
            return Ok(About::Settings(settings.clone()));
        }
        let suspects = state.suspects_settings();
        if state.answered || (state.known && !suspects) {
            return Ok(About::Text);
        }
        if state.flights > 0 || (state.active > 0 && !suspects) {
            // Others are being asked: they make themselves known.
            return Err(Instant::now() + 60 * QUIET);
        }
        // From here on nothing is on its way.
        let quiet_at = state.changed_at + QUIET;
        if !suspects && quiet_at > Instant::now() {
            return Err(quiet_at);
        }
        if !suspects && !state.ended {
            return Ok(About::Unclear);
        }
        // Whoever comes to this first decides for all, so that all say the same.
        let count = state.refused.len();
        let settings = format!("{message} {count} different text(s) were refused and none was answered. {TOO_LONG}");
        state.settings = Some(settings.clone());
        drop(state);
        self.changed.notify_waiters();
        Ok(About::Settings(settings))
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        self.doubt.change(|state| state.active -= usize::from(!self.waits));
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.0.change(|state| state.flights -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    /// Asks about text `number`, which is refused after a moment or answered.
    async fn ask(doubt: &Doubt, number: u32, refused: bool) -> About {
        let mut question = doubt.arrive();
        let flight = doubt.fly().await;
        tokio::time::sleep(Duration::from_millis(10)).await;
        drop(flight);
        if !refused {
            doubt.answered();
            return About::Text;
        }
        let text = TextHash::of(&number.to_string());
        question.refused(text, "HTTP 413.", &Stop::default()).await
    }

    #[tokio::test(start_paused = true)]
    async fn one_answer_makes_refusals_the_texts_own() {
        let doubt = Doubt::new(false);
        let asked = (0..7).map(|number| ask(&doubt, number, number != 6));
        assert!(futures::future::join_all(asked).await.iter().all(|about| *about == About::Text));
        assert_eq!(ask(&doubt, 9, true).await, About::Text);
    }

    #[tokio::test(start_paused = true)]
    async fn several_refusals_and_no_answer_are_the_settings_once_nothing_is_on_its_way() {
        let doubt = Arc::new(Doubt::new(false));
        let asked: Vec<_> = (0..20)
            .map(|number| {
                let doubt = Arc::clone(&doubt);
                tokio::spawn(async move {
                    // Four in flight.
                    tokio::time::sleep(Duration::from_millis(11 * u64::from(number / 4))).await;
                    tokio::time::timeout(Duration::from_secs(9), ask(&doubt, number, true)).await.ok()
                })
            })
            .collect();
        for (number, asked) in asked.into_iter().enumerate() {
            match asked.await.unwrap() {
                Some(About::Settings(message)) => assert!(message.contains("8 different text(s)"), "{message}"),
                // Not sent any more.
                None => assert!(number >= 8),
                other => panic!("{number}: {other:?}"),
            }
        }
        // The same text again and again is one text.
        let doubt = Doubt::new(false);
        for _ in 0..2 * SEVERAL {
            assert_eq!(ask(&doubt, 1, true).await, About::Unclear);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_do_not_wait_for_nobody() {
        for (ended, known, expected) in [
            (false, false, About::Unclear),
            (false, true, About::Text),
            (true, true, About::Text),
            (
                true,
                false,
                About::Settings(format!(
                    "HTTP 413. 2 different text(s) were refused and none was answered. {TOO_LONG}"
                )),
            ),
        ] {
            let doubt = Doubt::new(known);
            if ended {
                doubt.end();
            }
            let (first, second) = tokio::join!(ask(&doubt, 1, true), ask(&doubt, 2, true));
            assert_eq!((&first, &second), (&expected, &expected));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_question_is_waited_for() {
        let doubt = Doubt::new(false);
        let slow = async {
            let _question = doubt.arrive();
            let _flight = doubt.fly().await;
            tokio::time::sleep(Duration::from_secs(300)).await;
            doubt.answered();
        };
        assert_eq!(tokio::join!(ask(&doubt, 1, true), slow).0, About::Text);
    }

    #[tokio::test(start_paused = true)]
    async fn settings_that_brought_answers_before_are_not_blamed_for_a_few() {
        let doubt = Doubt::new(true);
        for number in 1..64 {
            assert_eq!(ask(&doubt, number, true).await, About::Text, "{number}");
        }
        assert!(matches!(ask(&doubt, 64, true).await, About::Settings(_)));
    }
}
