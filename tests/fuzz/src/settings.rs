//! `config.yaml`: accepted settings can be used.

use provisioner::dns::Dns;
use provisioner::plan::Taken;
use provisioner::request::ClusterSpec;
use provisioner::settings::{Settings, SettingsError};

use crate::place::{Place, claimed};

/// Reads a home's settings and claims two instances with them.
///
/// # Panics
/// When an error names no problem, or accepted settings cannot be used.
pub fn settings(data: &[u8]) {
    thread_local!(static PLACE: Place = Place::new());
    PLACE.with(|place| {
        std::fs::write(place.home.settings(), data).unwrap();
        let settings = match Settings::of(&place.home) {
            Ok(settings) => settings,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                if let SettingsError::Problems { problems, .. } = error {
                    assert!(!problems.is_empty());
                }
                return;
            }
        };
        if let Dns::Dnsmasq { restart, .. } = &settings.dns {
            assert!(restart.as_ref().is_none_or(|words| !words.is_empty()), "{settings:?}");
        }
        let spec = ClusterSpec::new("acme").check().unwrap();
        let Ok(acme) = claimed(&spec, &Taken::default(), &settings.pools) else { return };
        let spec = ClusterSpec::new("globex").check().unwrap();
        let taken = Taken { instances: vec![acme.clone()], ..Taken::default() };
        let Ok(globex) = claimed(&spec, &taken, &settings.pools) else { return };
        for net in acme.networks() {
            for other in globex.networks() {
                assert!(!net.contains(&other) && !other.contains(&net), "{net} and {other} of {settings:?}");
            }
        }
    });
}
