//! Work on several threads whose results are taken in the order in which it was given.
//!
//! Work is handed round: the third of three workers has the third, sixth, ninth piece. So what is taken from them in the same
//! turns is in order without anything that sorts, and no more is held than a piece or two a worker.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Builder;

use crate::error::{Error, Result};

/// Pieces that wait for a worker, and results that wait to be taken, for each worker.
const WAITING: usize = 1;

/// Gives what `next` gives to `workers`, each on a thread of its own, and what `work` makes of it to `take`, in order. With one
/// worker all of it happens on the calling thread; else `next` does, and `take` has a thread of its own, so what is done is
/// taken while the next is waited for.
///
/// # Errors
///
/// The first one, in the order of what was given: whatever came before it was taken. What `next` fails with comes after all it gave.
pub(crate) fn in_order<W: Send, T: Send, R: Send>(
    workers: &mut [W],
    mut next: impl FnMut() -> Result<Option<T>>,
    work: impl Fn(&mut W, T) -> Result<R> + Sync,
    mut take: impl FnMut(R) -> Result<()> + Send,
) -> Result<()> {
    if let [alone] = workers {
        while let Some(piece) = next()? {
            take(work(alone, piece)?)?;
        }
        return Ok(());
    }
    let work = &work;
    std::thread::scope(|scope| {
        let (mut to, mut from): (Vec<SyncSender<T>>, Vec<Receiver<Result<R>>>) = (Vec::new(), Vec::new());
        for worker in workers {
            let (give, given) = sync_channel::<T>(WAITING);
            let (done, taken) = sync_channel(WAITING);
            let working = move || {
                for piece in given {
                    // Nobody takes it where something failed before.
                    if done.send(work(worker, piece)).is_err() {
                        break;
                    }
                }
            };
            Builder::new().spawn_scoped(scope, working).map_err(Error::no_thread)?;
            to.push(give);
            from.push(taken);
        }
        let taking = move || {
            // A worker that has nothing more ends it: those after it have not either.
            from.iter().cycle().map_while(|from| from.recv().ok()).try_for_each(|result| take(result?))
        };
        let taking = Builder::new().spawn_scoped(scope, taking).map_err(Error::no_thread)?;
        let mut failed = Ok(());
        for to in to.iter().cycle() {
            let sent = match next() {
                Ok(Some(piece)) => to.send(piece).is_ok(),
                Ok(None) => false,
                Err(error) => {
                    failed = Err(error);
                    false
                }
            };
            if !sent {
                break;
            }
        }
        drop(to);
        taking.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).and(failed)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn failed() -> Error {
        Error::Interrupted
    }

    /// What was taken, and how many pieces were asked for, of pieces 0, 1, .. of which the one `bad` fails where it says.
    fn taken(workers: usize, pieces: usize, bad: Option<(usize, &str)>) -> (Vec<usize>, usize, bool) {
        let (mut given, mut all) = (0, Vec::new());
        let at = |place: &str, piece: usize| bad == Some((piece, place));
        let done = in_order(
            &mut vec![(); workers],
            || {
                given += 1;
                if at("next", given - 1) { Err(failed()) } else { Ok((given <= pieces).then_some(given - 1)) }
            },
            |(), piece| {
                // The first of them last.
                std::thread::sleep(std::time::Duration::from_millis(3 - piece as u64 % 4));
                if at("work", piece) { Err(failed()) } else { Ok(piece) }
            },
            |piece| {
                all.push(piece);
                if at("take", piece) { Err(failed()) } else { Ok(()) }
            },
        );
        (all, given, done.is_err())
    }

    #[test]
    fn results_are_in_order_whoever_is_ready_first() {
        for workers in 1..6 {
            for pieces in [0, 1, 2, 3, 20] {
                assert_eq!(taken(workers, pieces, None), ((0..pieces).collect(), pieces + 1, false), "{workers}");
            }
        }
    }

    #[test]
    fn what_comes_before_an_error_is_taken_and_no_more() {
        for workers in 1..4 {
            for place in ["next", "work"] {
                assert_eq!(taken(workers, 20, Some((7, place))).0, (0..7).collect::<Vec<_>>(), "{workers} {place}");
            }
            let (all, given, is_failed) = taken(workers, 1000, Some((7, "take")));
            assert_eq!((all, is_failed), ((0..8).collect(), true));
            assert!(given < 30, "{given} pieces were read for nobody");
        }
    }

    #[test]
    fn workers_work_at_once() {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let mut pieces = 0..40;
        let work = |(): &mut (), _| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(std::time::Duration::from_millis(1));
            now.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        };
        in_order(&mut [(); 3], || Ok(pieces.next()), work, |()| Ok(())).unwrap();
        assert_eq!(most.load(Ordering::SeqCst), 3);
    }
}
