//! What the parts of a student that are never trained make of a text: computed once, and kept with the text as long as it is remembered
//! and there is room.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// See the module. A clone takes no room of its own.
#[derive(Debug, Default)]
pub struct Frozen {
    values: Vec<f32>,
    room: Option<Room>,
}

/// Room for values that are kept, shared by all who keep some: what is not there any more gives its own back.
#[derive(Debug, Clone)]
pub(crate) struct Room(Arc<AtomicUsize>);

impl Room {
    /// For so many values.
    #[cfg(feature = "encoder")]
    pub(crate) fn new(values: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(values)))
    }

    /// Whether there is any left.
    #[cfg(feature = "encoder")]
    pub(crate) fn is_left(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    #[cfg(feature = "encoder")]
    fn take(&self, count: usize) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(count)).is_ok()
    }
}

impl Frozen {
    /// Kept whatever room there is.
    #[cfg(feature = "encoder")]
    pub(crate) fn new(values: Vec<f32>) -> Self {
        Self { values, room: None }
    }

    /// Kept in `room`; the values again where there is too little.
    #[cfg(feature = "encoder")]
    pub(crate) fn within(room: &Room, values: Vec<f32>) -> Result<Self, Vec<f32>> {
        if room.take(values.len()) { Ok(Self { values, room: Some(room.clone()) }) } else { Err(values) }
    }

    /// Row after row.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        if let Some(Room(left)) = &self.room {
            left.fetch_add(self.values.len(), Ordering::Relaxed);
        }
    }
}

impl Clone for Frozen {
    fn clone(&self) -> Self {
        Self { values: self.values.clone(), room: None }
    }
}

impl PartialEq for Frozen {
    fn eq(&self, other: &Self) -> bool {
        self.values == other.values
    }
}

#[cfg(all(test, feature = "encoder"))]
mod tests {
    use super::*;

    #[test]
    fn room_is_taken_and_given_back() {
        let room = Room::new(5);
        let kept = Frozen::within(&room, vec![1.0; 3]).unwrap();
        assert_eq!(Frozen::within(&room, vec![2.0; 3]), Err(vec![2.0; 3]));
        let other = kept.clone();
        assert_eq!(other, kept);
        let rest = Frozen::within(&room, vec![2.0; 2]).unwrap();
        assert!(!room.is_left());
        drop((kept, other, rest));
        assert!(Frozen::within(&room, vec![0.0; 5]).is_ok());
    }
}
