//! Whole-instance tests.
