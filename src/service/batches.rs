//! The thread that has the student: takes what waits, texts of several requests together, and labels it. It waits for more only
//! while a request is being read, and for a moment; and no request's texts fail for another's.

use std::sync::mpsc::Receiver;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::metrics::Metrics;
use super::queue::{Job, Queue};
use crate::error::{Error, Result, with_causes};
use crate::student::{Crew, Predictor, Rows};

/// Texts at which a batch is full. It has fewer than twice as many, for jobs are not cut.
pub(super) const BATCH: usize = 256;

/// Starts it. It ends when the queue is gone.
///
/// # Errors
///
/// [`Error::Threads`] where there can be no more threads.
pub(super) fn start(
    predictor: Predictor,
    queue: &Arc<Queue>,
    jobs: Receiver<Job>,
    wait: Duration,
    metrics: Arc<Metrics>,
) -> Result<JoinHandle<()>> {
    // It must not be what keeps the queue.
    let queue = Arc::downgrade(queue);
    let mut crew = Crew::of(predictor);
    let work = move || {
        let student = |texts: &[&str]| crew.probabilities(texts);
        Batches { student, queue, wait, metrics }.work(&jobs);
    };
    let thread = std::thread::Builder::new().name("candist-student".to_owned());
    thread.spawn(work).map_err(Error::no_thread)
}

/// See the module.
struct Batches<S> {
    student: S,
    queue: Weak<Queue>,
    /// How long more is waited for, at most, while a request is being read.
    wait: Duration,
    metrics: Arc<Metrics>,
}

impl<S: FnMut(&[&str]) -> Result<Rows>> Batches<S> {
    fn work(&mut self, jobs: &Receiver<Job>) {
        while let Ok(first) = jobs.recv() {
            let batch = self.gather(first, jobs);
            self.label(batch);
        }
    }

    /// What waits, up to a full batch.
    fn gather(&self, first: Job, jobs: &Receiver<Job>) -> Vec<Job> {
        let until = Instant::now() + self.wait;
        let mut texts = first.texts.len();
        let mut batch = vec![first];
        while texts < BATCH {
            let next = jobs.try_recv().ok().or_else(|| {
                let left = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
                let is_expecting = self.queue.upgrade().is_some_and(|queue| queue.is_expecting());
                is_expecting.then(|| jobs.recv_timeout(left).ok())?
            });
            let Some(next) = next else { break };
            texts += next.texts.len();
            batch.push(next);
        }
        batch
    }

    fn label(&mut self, mut batch: Vec<Job>) {
        batch.retain(|job| {
            let is_waited_for = !job.answer.is_closed();
            if !is_waited_for {
                self.metrics.drop_texts(job.texts.len());
            }
            is_waited_for
        });
        if batch.is_empty() {
            return;
        }
        let texts: Vec<&str> = batch.iter().flat_map(|job| &job.texts).map(String::as_str).collect();
        let (begin, count) = (Instant::now(), texts.len());
        let said = (self.student)(&texts);
        // Those of a batch that is tried again count then.
        if said.is_ok() || batch.len() == 1 {
            self.metrics.labelled(count, begin.elapsed());
        }
        match said {
            Ok(rows) => share(batch, &rows),
            // One text that nothing finite is made of must not take others with it.
            Err(_) if batch.len() > 1 => batch.into_iter().for_each(|job| self.label(vec![job])),
            Err(error) => batch.into_iter().for_each(|job| job.say(Err(with_causes(&error)))),
        }
    }
}

/// Gives each job its rows.
fn share(batch: Vec<Job>, rows: &Rows) {
    let mut rows = rows.iter();
    for job in batch {
        let own: Vec<&[f32]> = rows.by_ref().take(job.texts.len()).collect();
        let columns = own.first().map_or(1, |row| row.len()).max(1);
        job.say(Ok(Rows::new(columns, own.concat())));
    }
}

#[cfg(test)]
mod tests {
    use super::super::queue::Unsaid;
    use super::*;

    /// A student whose only label's probability is the text's length; of "NaN" it makes nothing.
    fn student(texts: &[&str]) -> Result<Rows> {
        if texts.contains(&"NaN") {
            return Err(Error::NotFinite { what: "the text \"NaN\"".to_owned() });
        }
        Ok(Rows::new(1, texts.iter().map(|text| text.len() as f32).collect()))
    }

    fn asked(queue: &Arc<Queue>, texts: &[&str]) -> tokio::task::JoinHandle<std::result::Result<Vec<f32>, Unsaid>> {
        let (queue, texts) = (Arc::clone(queue), texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        let room = queue.room(texts.len()).unwrap();
        tokio::spawn(async move {
            let parts = queue.ask(texts, room).await?;
            Ok(parts.iter().flat_map(|rows| rows.iter().flatten().copied().collect::<Vec<f32>>()).collect())
        })
    }

    /// One batch of what waits by now.
    async fn batch(batches: &mut Batches<impl FnMut(&[&str]) -> Result<Rows>>, jobs: &Receiver<Job>) -> usize {
        tokio::task::yield_now().await;
        let batch = batches.gather(jobs.recv().unwrap(), jobs);
        let texts = batch.iter().map(|job| job.texts.len()).sum();
        batches.label(batch);
        texts
    }

    type Student = fn(&[&str]) -> Result<Rows>;

    fn batches(queue: &Arc<Queue>) -> Batches<Student> {
        let (queue, wait) = (Arc::downgrade(queue), Duration::from_millis(200));
        Batches { student, queue, wait, metrics: Arc::default() }
    }

    #[tokio::test]
    async fn texts_of_several_requests_are_labelled_together_and_each_gets_its_own() {
        let (queue, jobs) = Queue::new(1000);
        let mut batches = batches(&queue);
        let [a, b, c] = [&["a", "bb"][..], &["ccc"], &[]].map(|texts| asked(&queue, texts));
        assert_eq!(batch(&mut batches, &jobs).await, 3);
        assert_eq!(a.await.unwrap(), Ok(vec![1.0, 2.0]));
        assert_eq!(b.await.unwrap(), Ok(vec![3.0]));
        assert_eq!(c.await.unwrap(), Ok(vec![]));
        tokio::task::yield_now().await;
        assert_eq!(queue.waiting(), 0);
    }

    #[tokio::test]
    async fn a_large_request_leaves_room_for_others_and_who_is_gone_costs_nothing() {
        let (queue, jobs) = Queue::new(3000);
        let mut batches = batches(&queue);
        let large = vec!["x"; 5 * BATCH];
        let large = asked(&queue, &large);
        tokio::task::yield_now().await;
        let small = asked(&queue, &["yy"]);
        let gone = asked(&queue, &["zz"]);
        tokio::task::yield_now().await;
        gone.abort();
        assert!(gone.await.unwrap_err().is_cancelled());
        assert_eq!(queue.waiting(), 5 * BATCH + 2);
        let mut sizes = Vec::new();
        while !small.is_finished() {
            sizes.push(batch(&mut batches, &jobs).await);
            tokio::task::yield_now().await;
        }
        assert_eq!((sizes.as_slice(), small.await.unwrap()), (&[BATCH, BATCH, 2 + BATCH][..], Ok(vec![2.0])));
        assert_eq!(batches.metrics.dropped(), 1);
        while !large.is_finished() {
            batch(&mut batches, &jobs).await;
            tokio::task::yield_now().await;
        }
        assert_eq!(large.await.unwrap(), Ok(vec![1.0; 5 * BATCH]));
    }

    #[tokio::test]
    async fn a_text_that_nothing_is_made_of_fails_its_own_request_alone() {
        let (queue, jobs) = Queue::new(10);
        let mut batches = batches(&queue);
        let [good, bad] = [&["a"][..], &["b", "NaN"]].map(|texts| asked(&queue, texts));
        assert_eq!(batch(&mut batches, &jobs).await, 3);
        assert_eq!(good.await.unwrap(), Ok(vec![1.0]));
        assert!(matches!(bad.await.unwrap(), Err(Unsaid::Failed(why)) if why.contains("NaN")));
        drop(jobs);
        assert_eq!(asked(&queue, &["a"]).await.unwrap(), Err(Unsaid::Gone));
    }

    #[tokio::test]
    async fn more_is_waited_for_only_while_somebody_is_about_to_ask() {
        let (queue, jobs) = Queue::new(10);
        let mut batches = batches(&queue);
        let wait = |expecting: bool| {
            let arriving = expecting.then(|| queue.arrive());
            drop(asked(&queue, &["a"]));
            arriving
        };
        let mut took = |arriving: Option<super::super::queue::Arriving>| {
            let begin = Instant::now();
            batches.label(batches.gather(jobs.recv().unwrap(), &jobs));
            drop(arriving);
            begin.elapsed()
        };
        let nobody = wait(false);
        tokio::task::yield_now().await;
        assert!(took(nobody) < Duration::from_millis(100));
        let somebody = wait(true);
        tokio::task::yield_now().await;
        assert!(took(somebody) >= Duration::from_millis(200));
    }

    #[test]
    fn there_is_room_for_so_many_texts() {
        let (queue, _jobs) = Queue::new(3);
        let two = queue.room(2).unwrap();
        assert!(queue.room(2).is_none() && queue.room(1).is_some() && queue.room(0).is_some());
        drop(two);
        assert!(queue.room(3).is_some() && queue.room(4).is_none());
    }
}
