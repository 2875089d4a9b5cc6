//! Whether this host's processor can run machines by itself.
pub fn usable() -> Result<(), String> { Err("to be written".to_owned()) }
