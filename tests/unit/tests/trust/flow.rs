//! Certificates in the flow: each new instance has an authority, and the host's trust in it is removed with the
//! instance.

use std::sync::Arc;

use provisioner::engine::SimulatedEngine;
use provisioner::events::Event;
use provisioner::registry::{Keeper, RegistryError};
use provisioner::request::{ClusterSpec, EngineKind};
use provisioner::tls::TlsError;
use provisioner::{CertificatesError, Provisioner};

use super::*;

impl Host {
    /// A provisioner on this host. It runs real programs: `true` is the update program.
    fn provisioner(&self) -> Provisioner {
        let engine = SimulatedEngine::new(self.house.home.id());
        let provisioner = Provisioner::with_engine(self.house.home.clone(), Arc::new(engine));
        provisioner.with_trust_store(Store::at(family(&self.anchors, &["true"], &["true"])))
    }
}

async fn up(provisioner: &Provisioner, name: &str) {
    let spec = ClusterSpec::new(name).workers(0).engine(EngineKind::Simulated).check().unwrap();
    provisioner.create(&spec, Keeper::Operator).await.unwrap();
}

fn trust_events(events: &mut tokio::sync::broadcast::Receiver<Event>) -> Vec<Event> {
    let all = std::iter::from_fn(|| events.try_recv().ok());
    all.filter(|event| matches!(event, Event::CaTrusted { .. } | Event::CaRevoked { .. })).collect()
}

#[tokio::test]
async fn a_new_instance_has_its_authority_and_the_hosts_trust_is_removed_with_it() {
    let host = Host::new();
    let provisioner = host.provisioner();
    let mut events = provisioner.events().subscribe();
    up(&provisioner, "acme").await;
    up(&provisioner, "globex").await;
    let init = provisioner.tls_init("acme").unwrap();
    assert!(!init.made, "`up` has not made the authority");
    assert_eq!(init.authority.about.subject, "HomeLab CA - acme");
    let acme = provisioner.trust("acme").await.unwrap();
    provisioner.trust("globex").await.unwrap();
    assert!(provisioner.certificates("acme").unwrap().trusted);
    assert!(provisioner.destroy("acme").await.unwrap().contains(&provisioner::Removed::Trust));
    assert_eq!(host.files().len(), 1, "only the file of globex must be left");
    assert!(provisioner.certificates("globex").unwrap().trusted);
    let fingerprint = acme.about.fingerprint;
    let expected = Event::CaRevoked { instance: "acme".to_owned(), fingerprint };
    assert_eq!(trust_events(&mut events).last(), Some(&expected));
}

#[tokio::test]
async fn a_rotation_takes_the_hosts_trust_along_and_says_so() {
    let host = Host::new();
    let provisioner = host.provisioner();
    up(&provisioner, "acme").await;
    provisioner.tls_issue("acme", &["app.acme.lab".to_owned()], 30).unwrap();
    let mut events = provisioner.events().subscribe();
    provisioner.rotate("acme").await.unwrap();
    assert_eq!(host.files(), [], "a rotation has made the host trust the authority");
    let old = provisioner.trust("acme").await.unwrap().about.fingerprint;
    let rotated = provisioner.rotate("acme").await.unwrap();
    let new = rotated.authority.about.fingerprint.clone();
    assert_eq!(rotated.old.as_ref(), Some(&old));
    assert_eq!(host.files(), [file("homelab-[home].acme.crt", &rotated.authority.certificate)]);
    let certificates = provisioner.certificates("acme").unwrap();
    assert!(certificates.trusted && certificates.authority.about.fingerprint == new);
    assert!(provisioner.untrust("acme").await.unwrap());
    assert!(!provisioner.untrust("acme").await.unwrap(), "the trust was still there");
    let acme = || "acme".to_owned();
    let expected = [
        Event::CaTrusted { instance: acme(), fingerprint: old.clone() },
        Event::CaRevoked { instance: acme(), fingerprint: old },
        Event::CaTrusted { instance: acme(), fingerprint: new.clone() },
        Event::CaRevoked { instance: acme(), fingerprint: new },
    ];
    assert_eq!(trust_events(&mut events), expected);
}

#[tokio::test]
async fn an_anchor_without_an_instance_is_reaped() {
    let host = Host::new();
    let provisioner = host.provisioner();
    up(&provisioner, "acme").await;
    provisioner.trust("acme").await.unwrap();
    let left = host.anchors.join(format!("{}.crt", host.id("gone").scope()));
    std::fs::write(left, "damaged").unwrap();
    let reaped = provisioner.reap().await.unwrap().reaped;
    let said: Vec<String> =
        reaped.iter().map(|one| format!("{}: {} {:?}", one.instance, one.why, one.outcome)).collect();
    assert_eq!(said, ["gone: no instance explains trust in its authority Ok(())"]);
    assert_eq!(host.files().len(), 1, "only the file of acme must be left");
}

#[tokio::test]
async fn a_destroy_that_cannot_remove_the_trust_keeps_the_instance() {
    let host = Host::new();
    let provisioner = host.provisioner();
    up(&provisioner, "acme").await;
    provisioner.trust("acme").await.unwrap();
    let broken = provisioner.clone().with_trust_store(Store::at(family(&host.anchors, &[], &["false"])));
    let error = broken.destroy("acme").await.unwrap_err().to_string();
    assert!(error.contains("`false`"), "{error}");
    assert!(provisioner.registry().find("acme").unwrap().is_some());
    assert!(provisioner.destroy("acme").await.unwrap().contains(&provisioner::Removed::Trust));
    assert_eq!(host.files(), []);
    assert_eq!(provisioner.registry().list().unwrap(), []);
}

#[tokio::test]
async fn nothing_is_done_for_an_unknown_instance() {
    let host = Host::new();
    let provisioner = host.provisioner();
    let unknown = |error: CertificatesError| {
        assert!(matches!(error, CertificatesError::Registry(RegistryError::Unknown { .. })), "{error}");
    };
    unknown(provisioner.tls_init("acme").unwrap_err());
    unknown(provisioner.tls_issue("acme", &["acme.lab".to_owned()], 1).unwrap_err());
    unknown(provisioner.certificates("acme").unwrap_err());
    unknown(provisioner.trust("acme").await.unwrap_err());
    unknown(provisioner.untrust("acme").await.unwrap_err());
    unknown(provisioner.rotate("acme").await.unwrap_err());
    assert!(!host.house.home.instance("acme").exists());
}

#[tokio::test]
async fn an_authority_is_not_trusted_before_it_exists() {
    let host = Host::new();
    let provisioner = host.provisioner();
    up(&provisioner, "acme").await;
    std::fs::remove_dir_all(host.house.home.tls("acme")).unwrap();
    for error in [provisioner.trust("acme").await.unwrap_err(), provisioner.rotate("acme").await.unwrap_err()]
    {
        assert!(matches!(error, CertificatesError::Tls(TlsError::NoAuthority { .. })), "{error}");
    }
    assert_eq!(host.files(), []);
    assert!(provisioner.tls_init("acme").unwrap().made);
    provisioner.trust("acme").await.unwrap();
}
