//! Authorities of the source in the files of authorities that the target's API servers trust.

use provisioner::kubernetes::PKI;
use provisioner::plan::API_PORT;
use rcgen::{CertificateParams, DistinguishedName, DnType, Issuer, KeyPair};

use super::leak::{Authority, TrustFile};
use super::spot::node;
use crate::audit::inject::authority::{administrator, publish_again};
use crate::audit::inject::changes::{Changes, command};
use crate::audit::inject::control::{api_of, close_behind, planes};
use crate::audit::inject::{InjectError, Pair};

impl Authority {
    /// The path of its files without the extension.
    fn path(self) -> String {
        let name = match self {
            Self::Cluster => "ca",
            Self::FrontProxy => "front-proxy-ca",
            Self::Etcd => "etcd/ca",
        };
        format!("{PKI}/{name}")
    }
}

impl TrustFile {
    /// The file, and the name under which the API server publishes its content.
    fn file(self) -> (String, &'static str) {
        match self {
            Self::Clients => (format!("{PKI}/ca.crt"), "client-ca-file"),
            Self::FrontProxies => (format!("{PKI}/front-proxy-ca.crt"), "requestheader-client-ca-file"),
        }
    }
}

/// Adds an authority of the source to a file of authorities on each control plane of the target.
pub(super) async fn trust(
    pair: &Pair<'_>,
    changes: &mut Changes,
    ours: Authority,
    theirs: TrustFile,
) -> Result<(), InjectError> {
    let authority = node(pair.from, 0)?.read(&format!("{}.crt", ours.path())).await?;
    let (file, published) = theirs.file();
    // An API server publishes what it still has in memory, so the undo waits until it refuses the client.
    publish_again(pair, changes, published).await?;
    let (certificate, key) = client_of(pair, ours, theirs).await?;
    let access = api_of(pair, administrator(certificate, key));
    close_behind(&access, changes);
    for node in planes(pair)? {
        changes.edit_on(node, &file, |before| format!("{}\n{authority}", before.trim_end())).await?;
    }
    Ok(())
}

/// Whether the target's API server accepts a client whose certificate the source's authority has signed.
pub(super) async fn accepts(
    pair: &Pair<'_>,
    ours: Authority,
    theirs: TrustFile,
) -> Result<Option<String>, InjectError> {
    // A front proxy names the user itself (kube-apiserver, `--requestheader-username-headers`).
    const ASK: &str = "umask 077; file=$(mktemp); cat > \"$file\"; \
                       wget --quiet --output-document=- --tries=1 --timeout=5 --no-check-certificate \
                       --certificate=\"$file\" --private-key=\"$file\" --header 'X-Remote-User: drawn' \
                       --header 'X-Remote-Group: system:masters' \"$0\" > /dev/null 2>&1 && echo accepted; \
                       rm -f \"$file\"; true";
    let (certificate, key) = client_of(pair, ours, theirs).await?;
    let there = node(pair.to, 0)?;
    let server = format!("https://{}:{API_PORT}/api/v1/secrets?limit=1", pair.to.inner().plan.api_address);
    let ask = command("sh", &["-c", ASK, &server]).input(certificate + &key);
    let answer = there.run(&ask).await?.text();
    Ok((answer.trim() == "accepted").then(|| {
        let (authority, cluster) = (ours.path(), pair.from.name());
        format!(
            "{server} gives secrets to a client whose certificate {authority}.crt of {cluster} has signed"
        )
    }))
}

/// The certificate and the key of a client whom an authority of the source vouches for, in PEM.
async fn client_of(
    pair: &Pair<'_>,
    ours: Authority,
    theirs: TrustFile,
) -> Result<(String, String), InjectError> {
    let (here, path) = (node(pair.from, 0)?, ours.path());
    let certificate = here.read(&format!("{path}.crt")).await?;
    let key = here.read(&format!("{path}.key")).await?;
    let name = match theirs {
        TrustFile::Clients => "drawn",
        TrustFile::FrontProxies => "front-proxy-client",
    };
    client(&certificate, &key, name).map_err(InjectError::Sign)
}

/// The certificate and the key of an administrator whom this authority vouches for, in PEM. Pure.
fn client(authority: &str, authority_key: &str, name: &str) -> Result<(String, String), rcgen::Error> {
    let issuer = Issuer::from_ca_cert_pem(authority, KeyPair::from_pem(authority_key)?)?;
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "system:masters");
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    Ok((params.signed_by(&key, &issuer)?.pem(), key.serialize_pem()))
}
