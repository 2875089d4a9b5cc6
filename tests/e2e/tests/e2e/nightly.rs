//! What takes too long for every day: selected by the profile `nightly` alone.

mod matrix;
