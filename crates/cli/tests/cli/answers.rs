//! How verbs end: when their result cannot be written, and when a name is unknown.

use crate::desk::Desk;

/// Every verb that prints a result and needs neither root nor a cluster.
const TOLD: [&str; 19] = [
    "--help",
    "--version",
    "help up",
    "k8s add-worker --help",
    "doctor",
    "instance list",
    "instance list --format json",
    "instance show acme",
    "instance show acme --format json",
    "k8s use-context acme",
    "k8s current",
    "k8s kubeconfig acme",
    "k8s kubeconfig acme --path",
    "events",
    "tls init --instance acme",
    "tls issue --instance acme app.acme.lab",
    "tls list --format json",
    "dns list",
    "completions bash",
];

#[tokio::test]
async fn a_result_that_cannot_be_written_is_an_error() {
    let desk = Desk::with_three();
    for line in TOLD {
        let (code, said) = desk.redirected(line, "> /dev/full").await;
        assert_eq!(code, 4, "homelab {line} > /dev/full\n{said}");
        let why = "error: write the result to the standard output\n  because: No space left on device";
        assert!(said.contains(why), "homelab {line} > /dev/full\n{said}");
    }
}

#[tokio::test]
async fn a_reader_that_closes_the_pipe_early_is_no_error() {
    // The script is larger than a pipe's buffer, so the reader has ended before all of it is written.
    let (code, said) = Desk::empty().redirected("completions bash", "| head -1 > /dev/null").await;
    assert_eq!((code, said.as_str()), (0, ""));
}

#[tokio::test]
async fn an_unknown_instance_is_a_usage_error_of_every_verb() {
    let desk = Desk::with_three();
    let lines = [
        "instance show nosuch",
        "status nosuch",
        "pause nosuch",
        "resume nosuch",
        "halt nosuch",
        "start nosuch",
        "events --instance nosuch",
        "k8s add-worker nosuch",
        "k8s remove-worker nosuch nosuch-w-1",
        "k8s use-context nosuch",
        "k8s kubeconfig nosuch",
        "k8s kubeconfig nosuch --renew",
        "k8s renew-certs nosuch",
        "kubectl nosuch -- get nodes",
        "tls init --instance nosuch",
        "tls issue --instance nosuch app.nosuch.lab",
        "tls list --instance nosuch",
        "tls trust --instance nosuch",
        "tls untrust --instance nosuch",
        "tls rotate --instance nosuch",
        "dns remove nosuch",
        "audit nosuch",
        "audit acme globex --from nosuch",
        "audit acme globex --to nosuch",
    ];
    for line in lines {
        let said = desk.homelab(line).await;
        assert!(said.ends_with("(exit 2)\n") && said.contains("nosuch'"), "{said}");
        assert!(said.contains("hint: "), "{said}");
    }
}
