//! `homelab assets probe-image`: where the image of the audit's witnesses and probers is, for a registry.

use clap::Args;
use provisioner::assets::TOOLBOX_IMAGE;
use provisioner::request::KUBERNETES_VERSION;

use crate::app::App;
use crate::exit::{CliError, Exit, Refusal};

/// Print the path of the archive with the image of the audit's witnesses and probers
///
/// `homelab audit --context CONTEXT` runs witnesses and probers in a cluster that homelab did not make. Its nodes must have their
/// image or be able to pull it. Push the archive (`docker save` format) to a registry that the nodes use, and name it with
/// --probe-image.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  podman load --input $(homelab assets probe-image)
  skopeo copy docker-archive:$(homelab assets probe-image) docker://registry.example.com/toolbox:1
  sudo homelab audit --context prod --context dev --probe-image registry.example.com/toolbox:1")]
pub(crate) struct ProbeImage {}

impl ProbeImage {
    pub(super) fn run(self, app: &App) -> Result<Exit, CliError> {
        let archive = app.provisioner.assets().find_toolbox(KUBERNETES_VERSION);
        let archive = archive.ok_or(Refusal::NotBuilt { image: TOOLBOX_IMAGE })?;
        app.printer.result(archive.as_str());
        Ok(Exit::Ok)
    }
}
