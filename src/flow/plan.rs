//! What a run is made of: a configuration, and the user's own parts in place of what it names.
//!
//! Parts are kept as functions that make them, for a run may begin once more (a damaged cache is made anew), and then
//! needs a corpus from its start. Teachers are the exception: they are shared, and have no place where they are.

use std::sync::Arc;

use super::run::{self, RunHandle};
use crate::base::panic::in_stage;
use crate::config::Config;
use crate::corpus::{self, Corpus};
use crate::distill::{NewRefinery, NewStudent, OwnStudent, Refinery, new_refinery, staged};
use crate::error::{Error, Result};
use crate::store::Sink;
use crate::student::Student;
use crate::teacher::ledger::Ledger;
use crate::teacher::{self, Addresses, Teacher};

/// Opens a corpus from its start.
type NewCorpus = Arc<dyn Fn() -> Result<Box<dyn Corpus>> + Send + Sync>;
/// Makes a sink; called once more if a damaged cache makes the run begin again.
type NewSink = Box<dyn Fn() -> Box<dyn Sink> + Send + Sync>;

/// See the module.
pub(crate) struct Plan {
    pub(crate) config: Config,
    pub(crate) retry_failures: bool,
    /// Texts of the corpus that are read, at most.
    pub(crate) limit: Option<u64>,
    /// Of a run that is shared: whether asking is left to others.
    #[cfg(feature = "shared")]
    pub(crate) train_only: bool,
    corpus: Option<NewCorpus>,
    teachers: Option<Vec<Arc<dyn Teacher>>>,
    student: Option<OwnStudent>,
    refinery: Option<NewRefinery>,
    sinks: Vec<NewSink>,
    /// Of this run alone, unless it was given some.
    addresses: Addresses,
}

impl Plan {
    /// As configured, with no part of the user's own.
    pub(crate) fn of(config: Config) -> Self {
        Self {
            config,
            retry_failures: false,
            limit: None,
            #[cfg(feature = "shared")]
            train_only: false,
            corpus: None,
            teachers: None,
            student: None,
            refinery: None,
            sinks: Vec::new(),
            addresses: Addresses::default(),
        }
    }

    /// The corpus, from its start. An error where there is neither one of the program's own nor a configured one.
    pub(crate) fn corpus(&self) -> Result<Box<dyn Corpus>> {
        match &self.corpus {
            Some(open) => in_stage("corpus", || open()),
            None if self.config.corpus.paths.is_empty() => Err(Error::Lacks { part: "corpus" }),
            None => corpus::open_for_run(&self.config.corpus, &self.config.run.dir),
        }
    }

    /// Whether it is the program's own: then nobody knows how many rows it has.
    pub(crate) fn has_own_corpus(&self) -> bool {
        self.corpus.is_some()
    }

    /// The teachers, at least one. What the configured ones spend goes through `ledger`; those of the program's own
    /// keep their own accounts, and say in their answers what these cost.
    pub(crate) fn teachers(&self, ledger: &Arc<Ledger>) -> Result<Vec<Arc<dyn Teacher>>> {
        let teachers = match &self.teachers {
            Some(teachers) => teachers.clone(),
            // Workers ask, and have the keys; whoever trains knows the questions by what they are made of.
            None if self.config.run.shared.is_some() => teacher::open_without_keys(&self.config, ledger)?,
            None => teacher::open_all(&self.config, ledger, &self.addresses)?,
        };
        if teachers.is_empty() { Err(Error::Lacks { part: "teachers" }) } else { Ok(teachers) }
    }

    /// What makes the student, on the thread that trains it.
    pub(crate) fn student(&self) -> NewStudent {
        NewStudent { config: self.config.student.clone(), own: self.student.clone() }
    }

    /// What makes the refinery for so many labels.
    pub(crate) fn refinery(&self) -> NewRefinery {
        let kind = self.config.distill.refinery;
        self.refinery.clone().unwrap_or_else(|| Arc::new(move |labels| new_refinery(kind, labels)))
    }

    /// Whether it is the program's own: then its identity is part of what labels depend on.
    pub(crate) fn has_own_refinery(&self) -> bool {
        self.refinery.is_some()
    }

    /// New sinks, in the order in which they were given; each is asked where it goes on.
    pub(crate) fn sinks(&self) -> Vec<Box<dyn Sink>> {
        self.sinks.iter().map(|new| in_stage("sink", new)).collect()
    }
}

/// Where a run that is part of a program begins: see [`Run::builder`].
#[derive(Debug)]
pub struct Run;

/// Builds a run; made by [`Run::builder`]. What it is not given is as the configuration says.
#[must_use]
pub struct RunBuilder(Plan);

impl Run {
    /// A run as `config` says, to be given parts of the program's own and started.
    ///
    /// ```
    /// use candist::{Config, Run, Sample, Samples};
    /// # use candist::{Answer, AnswerKey, AskError, Asked, BoxFuture, LabelId, Teacher};
    /// # struct Marks;
    /// # impl Teacher for Marks {
    /// #     fn name(&self) -> &str { "marks" }
    /// #     fn identity(&self) -> String { "marks 1".to_owned() }
    /// #     fn key(&self, sample: &Sample, _draw: u32) -> AnswerKey { AnswerKey::of(&["marks 1", &sample.text]) }
    /// #     fn ask<'a>(&'a self, sample: &'a Sample, _draw: u32) -> BoxFuture<'a, Result<Asked, AskError>> {
    /// #         let label = LabelId(u16::from(!sample.text.contains('!')));
    /// #         Box::pin(async move { Ok(Asked::free(Answer::naming([label]))) })
    /// #     }
    /// # }
    ///
    /// # #[tokio::main]
    /// # async fn main() -> candist::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let dir = folder.path().join("run");
    /// let texts = ["Thanks!", "It came late.", "Great!"].map(Sample::unnamed);
    /// let config = Config::new("reviews", ["praise", "complaint"], dir)?;
    /// // `Marks` is a Teacher; see there.
    /// let run = Run::builder(config).corpus(move || Ok(Samples::new(texts.clone()))).teacher(Marks).start();
    /// let outcome = run.join().await?;
    /// assert!(outcome.new_events >= 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder(config: Config) -> RunBuilder {
        RunBuilder(Plan::of(config))
    }
}

impl RunBuilder {
    /// Reads the texts from what `open` gives, from its start each time it is called.
    pub fn corpus<C: Corpus + 'static>(mut self, open: impl Fn() -> Result<C> + Send + Sync + 'static) -> Self {
        self.0.corpus = Some(Arc::new(move || Ok(Box::new(open()?))));
        self
    }

    /// Asks `teacher`, after those that were given before, instead of the configured ones. The order is that in which their
    /// labels rank.
    ///
    /// Of the samples that wait for answers, `config.run.window` are on their way at a time, at most; what else limits a
    /// teacher's requests is its own.
    pub fn teacher(mut self, teacher: impl Teacher + 'static) -> Self {
        self.0.teachers.get_or_insert_default().push(Arc::new(teacher));
        self
    }

    /// Trains what `new` makes, for so many labels in so many copies, instead of the configured student. `identity` tells apart
    /// all that labels depend on in it: its name, its version, its settings. Where it differs from that of an earlier run in
    /// the directory, labels are written anew.
    ///
    /// Its checkpoints are its own ([`Student::save`]): [`evaluate`](crate::evaluate) does not judge it on held-out texts, and
    /// [`export_student`](crate::export_student) does not export it.
    pub fn student<S: Student + 'static>(
        mut self,
        identity: &str,
        new: impl Fn(usize, usize) -> Result<S> + Send + Sync + 'static,
    ) -> Self {
        let make = Arc::new(move |labels, copies| -> Result<Box<dyn Student>> { Ok(Box::new(new(labels, copies)?)) });
        self.0.student = Some(OwnStudent { identity: identity.to_owned(), make });
        self
    }

    /// Refines with what `new` makes for so many labels. Its [`Refinery::identity`] goes into what tells labels apart: where it
    /// differs from that of an earlier run in the directory, labels are written anew.
    pub fn refinery<R: Refinery + 'static>(mut self, new: impl Fn(usize) -> R + Send + Sync + 'static) -> Self {
        self.0.refinery = Some(staged(new));
        self
    }

    /// Hands every label event to what `new` makes, too. May be called several times, for several sinks.
    pub fn sink<S: Sink + 'static>(mut self, new: impl Fn() -> S + Send + Sync + 'static) -> Self {
        self.0.sinks.push(Box::new(move || Box::new(new())));
        self
    }

    /// Shares limits, pauses and connections with all other runs that are given a clone of `addresses`: together they keep to
    /// what one may ask of a provider.
    pub fn addresses(mut self, addresses: &Addresses) -> Self {
        self.0.addresses = addresses.clone();
        self
    }

    /// Asks again about the texts whose answers name no label.
    pub fn retry_failures(mut self, retry: bool) -> Self {
        self.0.retry_failures = retry;
        self
    }

    /// Reads no more than the first `texts` texts of the corpus: a pilot. They are asked about and labelled to the end, and
    /// their labels are final as at a corpus' end. A run without a limit, or with a larger one, goes on from there and asks
    /// about none of them again.
    ///
    /// Texts that are known count, rows that cannot be used or that repeat an id do not; so a limit means the same texts
    /// whenever it is given.
    pub fn limit(mut self, texts: u64) -> Self {
        self.0.limit = Some(texts);
        self
    }

    /// Leaves the asking of a run that is shared (`config.run.shared`) to [`work`](crate::work) elsewhere.
    #[cfg(feature = "shared")]
    pub fn train_only(mut self, train_only: bool) -> Self {
        self.0.train_only = train_only;
        self
    }

    /// Starts the run on the current tokio runtime.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, or on one without its clock.
    #[must_use]
    pub fn start(self) -> RunHandle {
        run::start(self.0)
    }
}
