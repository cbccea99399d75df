//! How the student of a run is made: as configured, or by the program that the run is part of.

use std::path::Path;
use std::sync::Arc;

use crate::config::{DistillConfig, StudentConfig};
use crate::error::Result;
use crate::student::{self, Student};

/// Makes a student for so many labels, in so many copies. Called once a run, on the student's thread.
pub(crate) type Make = Arc<dyn Fn(usize, usize) -> Result<Box<dyn Student>> + Send + Sync>;

/// A student of a program's own.
#[derive(Clone)]
pub(crate) struct OwnStudent {
    /// Tells apart all that labels depend on in it, the seed apart, which the configuration has.
    pub(crate) identity: String,
    pub(crate) make: Make,
}

/// See the module.
#[derive(Clone)]
pub(crate) struct NewStudent {
    /// Of a student of a program's own only the seed counts.
    pub(crate) config: StudentConfig,
    pub(crate) own: Option<OwnStudent>,
}

impl NewStudent {
    /// An error if what it computes on is not there. Asked before anything is sent: a run must not pay for answers
    /// that no student takes in.
    pub(crate) fn available(&self) -> Result<()> {
        if self.own.is_some() { Ok(()) } else { student::available(&self.config) }
    }

    /// Tells apart all that labels depend on in it, the seed included.
    pub(crate) fn identity(&self) -> Result<String> {
        match &self.own {
            Some(own) => Ok(format!("{} seed {}", own.identity, self.config.seed)),
            None => student::identity(&self.config),
        }
    }

    /// The version of one that is configured, where it is not the first.
    pub(crate) fn version(&self) -> Option<&'static str> {
        if self.own.is_some() { None } else { student::version(&self.config) }
    }

    /// One for `labels` labels, as new, of the run in `dir`, where an encoder keeps its vectors.
    pub(super) fn make(&self, distill: &DistillConfig, labels: usize, dir: &Path) -> Result<Box<dyn Student>> {
        match &self.own {
            Some(own) => (own.make)(labels, distill.folds as usize),
            None => student::new(&self.config, distill, labels, Some(dir)),
        }
    }
}
