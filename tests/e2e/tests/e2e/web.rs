//! A web server that says hello, for tests of pods, services and names.

use harness::PodRun;
use provisioner::assets::TOOLBOX_IMAGE;
use serde_json::{Value, json};

/// The server's answer.
pub(crate) const HELLO: &str = "hello from web";
/// The port on which the pod's own node answers (`hostPort`).
pub(crate) const HOST_PORT: u16 = 8088;
/// The port on which every node answers (NodePort).
pub(crate) const NODE_PORT: u16 = 30080;

/// Manifests of one pod on this node (by its real name), behind the service `web`.
pub(crate) fn on_node(node: &str) -> String {
    let mut spec = spec();
    spec["nodeName"] = node.into();
    spec["containers"][0]["ports"] = json!([{ "containerPort": 80, "hostPort": HOST_PORT }]);
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": "web", "labels": { "app": "web" } },
        "spec": spec,
    });
    behind_service(&pod)
}

/// Manifests of a deployment of one pod on any node, behind the service `web`.
pub(crate) fn anywhere() -> String {
    let deployment = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": "web" },
        "spec": {
            "selector": { "matchLabels": { "app": "web" } },
            "template": { "metadata": { "labels": { "app": "web" } }, "spec": spec() },
        },
    });
    behind_service(&deployment)
}

/// Fetches the page by the service's name.
pub(crate) fn fetch() -> PodRun {
    PodRun::shell(
        "wget -q -O - -T 5 --tries 20 --retry-connrefused --waitretry 1 http://web.default.svc.cluster.local",
    )
}

fn spec() -> Value {
    let serve = format!("mkdir -p /www && echo {HELLO} > /www/index.html && exec httpd -f -h /www -p 80");
    json!({
        "terminationGracePeriodSeconds": 0,
        "containers": [{
            "name": "main",
            "image": TOOLBOX_IMAGE,
            "command": ["sh", "-c", serve],
            "readinessProbe": { "tcpSocket": { "port": 80 }, "periodSeconds": 1 },
        }],
    })
}

fn behind_service(server: &Value) -> String {
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": "web" },
        "spec": {
            "type": "NodePort",
            "selector": { "app": "web" },
            "ports": [{ "port": 80, "nodePort": NODE_PORT }],
        },
    });
    format!("{server}\n---\n{service}\n")
}
