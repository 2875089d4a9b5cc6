//! Clusters that homelab did not make, by their kubeconfigs only. The clusters here are real ones of homelab, of which the
//! audit is told nothing but the kubeconfig.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use harness::audit::{
    Acceptance, AuditError, AuditOutcome, AuditProgress, Audited, ClassId, ProbesError, Report, Selection,
    Verdict, audit,
};
use harness::wait::{self, Wait};
use harness::{AttachContextError, AttachedCluster, ContextSpec, MultiClusterFixture, TestCluster};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use kube::Api;
use kube::api::{ListParams, PostParams};
use provisioner::exec::{Command, Local, Runner};
use provisioner::fabric::namespace_path;
use provisioner::request::{ClusterSpec, CniKind, Topology};
use provisioner::slowdown::Slowdown;
use serde_json::json;

/// What cannot be asked where only the kubeconfig is known: it needs the host, files of nodes, credentials of etcd, or a
/// record of how the cluster was made.
const NOT_COVERED: &str = "L5 N16 H1 H2 H3 H4 H5 H12 H13 C5 C6 C7 C8 C9 C10 T1 S1 S2 S3 S4 S5 S6 S7 S8 S9 S10 S11 \
                           S12 S13 S14 S15";

#[tokio::test]
async fn clusters_that_homelab_did_not_make_are_audited_by_their_kubeconfigs() -> anyhow::Result<()> {
    let spec = |name: &str, cni| ClusterSpec::new(name).topology(Topology::Multi).workers(1).cni(cni);
    MultiClusterFixture::builder()
        .cluster(spec("acme", CniKind::Routed))
        .cluster(spec("globex", CniKind::Cilium))
        .run(async |fx| {
            let (acme, globex) = (fx.cluster("acme"), fx.cluster("globex"));
            let before = (namespaces(acme).await?, namespaces(globex).await?);
            let both = || MultiClusterFixture::attached([context(acme), context(globex)]);
            both().run(async |attached| clean(&attached.audit().await?)).await?;
            let cabled = Cable::between(acme, globex).await?;
            let found = both().run(async |attached| leaks(attached).await).await;
            cabled.remove().await?;
            found?;
            mixed(fx, acme, globex).await?;
            without_rights(fx, globex).await?;
            without_image(fx, globex).await?;
            without_privileged_pods(fx, globex).await?;
            let after = (namespaces(acme).await?, namespaces(globex).await?);
            ensure!(before == after, "namespaces before and after: {before:?}, {after:?}");
            Ok(())
        })
        .await
}

/// The context of a cluster in its own kubeconfig.
fn context(cluster: &TestCluster) -> ContextSpec {
    ContextSpec::new(&cluster.inner().instance.k8s.kubeconfig_context).kubeconfig(cluster.kubeconfig())
}

async fn attach(fx: &MultiClusterFixture, spec: ContextSpec) -> Result<AttachedCluster, AttachContextError> {
    AttachedCluster::attach(fx.provisioner().home(), &spec).await
}

fn clean(report: &Report) -> anyhow::Result<()> {
    ensure!(report.outcome == AuditOutcome::Inconclusive, "nothing is accepted yet: {}", report.outcome);
    let missing: BTreeSet<ClassId> = report.not_covered().into_iter().map(|(class, ..)| class).collect();
    let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
    ensure!(missing.join(" ") == NOT_COVERED, "not covered: {missing:?}");
    let accepted = missing.iter().map(|class| Acceptance {
        class: class.parse().expect("the id of a class"),
        reason: "only the kubeconfigs are known".to_owned(),
        by: "the test".to_owned(),
    });
    report.clone().accepting(&accepted.collect::<Vec<_>>()).assert_isolated();
    Ok(())
}

/// With a cable between both bridges, the classes of links find it, and those of routed packets do not.
async fn leaks(fx: &MultiClusterFixture) -> anyhow::Result<()> {
    let classes = ["L1", "L3", "N3"].map(str::to_owned).to_vec();
    let report = fx.audit_only(&Selection { classes, ..Selection::default() }).await?;
    let verdicts = |class| {
        let cells = report.cells.iter().filter(move |cell| cell.class == class);
        cells.map(|cell| (cell.source.as_str(), cell.verdict)).collect::<BTreeSet<_>>()
    };
    let sources: Vec<&str> = fx.attached_clusters().iter().map(AttachedCluster::name).collect();
    for class in [ClassId::L1, ClassId::L3] {
        for source in &sources {
            ensure!(verdicts(class).contains(&(source, Verdict::Leak)), "{class}: {:?}", verdicts(class));
        }
    }
    let routed = verdicts(ClassId::N3);
    ensure!(routed.iter().all(|(_, verdict)| *verdict == Verdict::Isolated), "N3: {routed:?}");
    Ok(())
}

/// An instance of this host and an attached cluster; and two names of one cluster.
async fn mixed(fx: &MultiClusterFixture, acme: &TestCluster, globex: &TestCluster) -> anyhow::Result<()> {
    let selection = Selection {
        classes: ["N3", "C1", "C2", "C3", "C4", "S4"].map(str::to_owned).to_vec(),
        ..Selection::default()
    };
    let instances = [acme.clone()];
    let attached = [attach(fx, context(globex)).await?];
    let audited = Audited { instances: &instances, attached: &attached };
    let report = audit(fx.provisioner(), audited, &selection, &AuditProgress::default()).await?;
    for cell in &report.cells {
        let to_host = cell.target == "host";
        let expected = match (cell.class, to_host) {
            (ClassId::S4, true) if cell.source == "acme" => Verdict::Isolated,
            (ClassId::S4, _) => Verdict::NotCovered,
            _ => Verdict::Isolated,
        };
        ensure!(cell.verdict == expected, "{} from {}: {}", cell.class, cell.viewpoint, cell.why);
    }
    let twice = [attach(fx, context(acme)).await?];
    let audited = Audited { instances: &instances, attached: &twice };
    match audit(fx.provisioner(), audited, &selection, &AuditProgress::default()).await {
        Err(AuditError::SameCluster { one, .. }) => ensure!(one == "acme", "{one}"),
        other => bail!("a cluster was audited against itself: {other:?}"),
    }
    Ok(())
}

/// The error of an audit of one attached cluster.
async fn refused(fx: &MultiClusterFixture, spec: ContextSpec) -> anyhow::Result<ProbesError> {
    let attached = [attach(fx, spec).await?];
    let audited = Audited { instances: &[], attached: &attached };
    match audit(fx.provisioner(), audited, &Selection::default(), &AuditProgress::default()).await {
        Err(AuditError::InstanceProbes(error)) => Ok(error),
        other => bail!("the audit should have been refused: {other:?}"),
    }
}

async fn without_rights(fx: &MultiClusterFixture, globex: &TestCluster) -> anyhow::Result<()> {
    let viewer = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: viewer, namespace: default}\n---\n\
                  apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: viewer}\n\
                  roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}\n\
                  subjects: [{kind: ServiceAccount, name: viewer, namespace: default}]\n";
    globex.apply(viewer).await?;
    let accounts: Api<ServiceAccount> = Api::namespaced(globex.client(), "default");
    let options = PostParams::default();
    let given = accounts.create_token_request("viewer", &options, &TokenRequest::default()).await?;
    let token = given.status.context("a token")?.token;
    let plan = &globex.inner().plan;
    let file = json!({
        "apiVersion": "v1", "kind": "Config",
        "clusters": [{ "name": "c", "cluster": {
            "server": format!("https://{}:6443", plan.api_address), "insecure-skip-tls-verify": true,
        }}],
        "users": [{ "name": "viewer", "user": { "token": token } }],
        "contexts": [{ "name": "viewer", "context": { "cluster": "c", "user": "viewer" } }],
    });
    let folder = tempfile::tempdir()?;
    let path = camino::Utf8PathBuf::try_from(folder.path().join("config"))?;
    std::fs::write(&path, file.to_string())?;
    match attach(fx, ContextSpec::new("viewer").kubeconfig(path)).await {
        Err(AttachContextError::Denied { missing, .. }) => {
            let expected = ["create namespaces", "list nodes", "create pods/exec"];
            ensure!(expected.iter().all(|right| missing.iter().any(|it| it == right)), "{missing:?}");
            ensure!(!missing.iter().any(|right| right == "get pods"), "a viewer may get pods: {missing:?}");
            Ok(())
        }
        other => bail!("a viewer attached: {other:?}"),
    }
}

async fn without_image(fx: &MultiClusterFixture, globex: &TestCluster) -> anyhow::Result<()> {
    match refused(fx, context(globex).probe_image("registry.invalid/none:1")).await? {
        ProbesError::Image { image, .. } => ensure!(image == "registry.invalid/none:1", "{image}"),
        other => bail!("{other:?}"),
    }
    Ok(())
}

async fn without_privileged_pods(fx: &MultiClusterFixture, globex: &TestCluster) -> anyhow::Result<()> {
    const POLICY: &str = "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\n\
        metadata: {name: no-privileged}\nspec:\n  failurePolicy: Fail\n  matchConstraints: {resourceRules: \
        [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}]}\n  validations: \
        [{expression: 'object.spec.containers.all(c, !c.?securityContext.privileged.orValue(false))', \
        message: no privileged pods here}]\n---\napiVersion: admissionregistration.k8s.io/v1\n\
        kind: ValidatingAdmissionPolicyBinding\nmetadata: {name: no-privileged}\nspec: {policyName: no-privileged, \
        validationActions: [Deny]}\n";
    globex.apply(POLICY).await?;
    let pods: Api<Pod> = Api::default_namespaced(globex.client());
    let privileged = json!({ "metadata": { "name": "privileged" }, "spec": { "containers": [
        { "name": "c", "image": "i", "securityContext": { "privileged": true } },
    ]}});
    let (privileged, dry) =
        (serde_json::from_value(privileged)?, PostParams { dry_run: true, ..PostParams::default() });
    let within = Slowdown::of_host().stretch(Duration::from_secs(30));
    wait::until("the policy to be enforced".to_owned(), within, async || {
        Ok::<_, kube::Error>(match pods.create(&dry, &privileged).await {
            Err(kube::Error::Api(status)) if status.message.contains("no privileged pods here") => {
                Wait::Done(())
            }
            other => Wait::NotYet(format!("{other:?}")),
        })
    })
    .await?;
    match refused(fx, context(globex)).await? {
        ProbesError::Refused { why, .. } => ensure!(why.contains("no privileged pods here"), "{why}"),
        other => bail!("{other:?}"),
    }
    Ok(())
}

async fn namespaces(cluster: &TestCluster) -> anyhow::Result<Vec<String>> {
    let all = Api::<Namespace>::all(cluster.client()).list(&ListParams::default()).await?;
    Ok(all.into_iter().filter_map(|namespace| namespace.metadata.name).collect())
}

/// A cable between the bridges of two clusters.
struct Cable {
    namespace: String,
}

impl Cable {
    async fn between(one: &TestCluster, other: &TestCluster) -> anyhow::Result<Self> {
        let path = |of: &TestCluster| namespace_path(&of.inner().plan.id.scope()).to_string();
        let cable = Self { namespace: path(one) };
        cable.ip("link add cable0 type veth peer name cable1").await?;
        let there = Self { namespace: path(other) };
        let plugged = async {
            cable.ip(&format!("link set cable1 netns {}", there.namespace)).await?;
            cable.ip("link set cable0 master br0 up").await?;
            there.ip("link set cable1 master br0 up").await
        };
        if let Err(error) = plugged.await {
            cable.remove().await?;
            return Err(error);
        }
        Ok(cable)
    }

    async fn remove(self) -> anyhow::Result<()> {
        self.ip("link del cable0").await
    }

    async fn ip(&self, words: &str) -> anyhow::Result<()> {
        let enter = format!("--net={}", self.namespace);
        let command = Command::within(Duration::from_secs(10), "nsenter").args([enter.as_str(), "ip"]);
        Local.run(&command.args(words.split(' '))).await?;
        Ok(())
    }
}
