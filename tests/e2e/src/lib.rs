//! Contains no code: the tests are in `tests/`.
