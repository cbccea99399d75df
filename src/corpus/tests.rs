//! Formats against each other.
