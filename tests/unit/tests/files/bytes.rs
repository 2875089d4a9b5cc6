//! Text that is not ours stays byte for byte, in any style.

use rstest::rstest;

use super::*;

/// A kubeconfig with comments in all places.
const COMMENTED: &str = "# mine
apiVersion: v1
kind: Config
clusters: # all of them
- cluster:
    server: https://10.0.0.1:6443
  name: work # at work
# between
contexts:
- context: {cluster: work, user: ada}
  name: work
current-context: work   # for now
users: []
";

fn crlf(text: &str) -> String {
    text.replace('\n', "\r\n")
}

#[rstest]
#[case::with_comments(COMMENTED.to_owned())]
#[case::of_windows(crlf(COMMENTED))]
#[case::without_a_last_line_end(COMMENTED.trim_end().to_owned())]
#[case::of_windows_without_a_last_line_end(crlf(COMMENTED).trim_end().to_owned())]
#[case::with_a_byte_order_mark(format!("\u{feff}{COMMENTED}"))]
#[case::with_a_mark_and_of_windows(format!("\u{feff}{}", crlf(COMMENTED)))]
#[case::with_blank_lines_at_the_end(format!("{COMMENTED}\n\n# the end\n"))]
#[case::without_most_keys("contexts:\n- name: work\n  context: {cluster: work}\n".to_owned())]
#[case::as_kubectl_writes_it("apiVersion: v1\nclusters: []\ncontexts: []\ncurrent-context: \"\"\nkind: Config\nusers: []\n".to_owned())]
#[tokio::test]
async fn a_kubeconfig_is_the_same_before_up_and_after_down(#[case] text: String) {
    let desk = Desk::new();
    std::fs::write(desk.kubeconfig(), &text).unwrap();
    for name in ["acme", "globex"] {
        assert!(desk.up(name).await.unwrap().unmerged.is_none());
    }
    let merged = std::fs::read_to_string(desk.kubeconfig()).unwrap();
    let config = kube::config::Kubeconfig::from_yaml(merged.trim_start_matches('\u{feff}')).unwrap();
    assert!(config.contexts.iter().any(|context| context.name == "globex"), "{merged}");
    let ours = merged.matches('\n').count();
    let ends = if text.contains("\r\n") { merged.matches("\r\n").count() } else { ours };
    assert_eq!(ends, ours, "the text has two kinds of line endings: {merged:?}");
    for name in ["acme", "globex"] {
        desk.provisioner.destroy(name).await.unwrap();
    }
    assert_eq!(std::fs::read_to_string(desk.kubeconfig()).unwrap(), text);
}

#[rstest]
#[case::with_comments(COMMENTED.to_owned())]
#[case::of_windows(crlf(COMMENTED))]
#[tokio::test]
async fn choosing_a_context_changes_the_one_word(#[case] text: String) {
    let desk = Desk::new();
    std::fs::write(desk.kubeconfig(), &text).unwrap();
    desk.up("acme").await.unwrap();
    let merged = std::fs::read_to_string(desk.kubeconfig()).unwrap();
    kubeconfig::use_context(&desk.house.home, "acme").unwrap();
    let expected = merged.replace("current-context: work   # for now", "current-context: acme   # for now");
    assert_eq!(std::fs::read_to_string(desk.kubeconfig()).unwrap(), expected);
}

#[tokio::test]
async fn a_current_context_that_looks_as_if_it_had_a_comment_can_be_replaced() {
    let desk = Desk::new();
    desk.up("acme").await.unwrap();
    for (before, after) in
        [("'a #b'", ""), ("'it''s #1' # mine", " # mine"), (r#""\" #2""#, ""), ("a#b  # a'b", "  # a'b")]
    {
        let text = std::fs::read_to_string(desk.kubeconfig()).unwrap();
        let rest: String = text
            .lines()
            .filter(|line| !line.starts_with("current-"))
            .map(|line| format!("{line}\n"))
            .collect();
        std::fs::write(desk.kubeconfig(), format!("current-context: {before}\n{rest}")).unwrap();
        kubeconfig::use_context(&desk.house.home, "acme").unwrap();
        let text = std::fs::read_to_string(desk.kubeconfig()).unwrap();
        assert_eq!(text, format!("current-context: acme{after}\n{rest}"));
    }
}

#[tokio::test]
async fn a_kubeconfig_of_nothing_but_comments_keeps_them() {
    let desk = Desk::new();
    let text = "# no clusters yet\n#  - so far\n";
    std::fs::write(desk.kubeconfig(), text).unwrap();
    desk.up("acme").await.unwrap();
    let merged = std::fs::read_to_string(desk.kubeconfig()).unwrap();
    assert!(merged.starts_with(text) && merged.contains("name: acme"), "{merged}");
    desk.provisioner.destroy("acme").await.unwrap();
    assert_eq!(std::fs::read_to_string(desk.kubeconfig()).unwrap(), text);
}

#[rstest]
#[case::of_windows(b"127.0.0.1 localhost\r\n10.0.0.1 nas\r\n".to_vec())]
#[case::without_a_last_line_end(b"127.0.0.1 localhost\n10.0.0.1 nas".to_vec())]
#[case::with_a_byte_order_mark(b"\xef\xbb\xbf127.0.0.1 localhost\n".to_vec())]
#[case::that_is_no_text(b"127.0.0.1 localhost # \xe4\xf6\xfc \x00\n".to_vec())]
#[case::that_is_empty(Vec::new())]
#[tokio::test]
async fn a_hosts_file_is_the_same_before_up_and_after_down(#[case] bytes: Vec<u8>) {
    let desk = Desk::new();
    std::fs::write(desk.hosts(), &bytes).unwrap();
    for name in ["acme", "globex"] {
        desk.up(name).await.unwrap();
    }
    assert!(String::from_utf8_lossy(&std::fs::read(desk.hosts()).unwrap()).contains("api.globex.lab"));
    for name in ["acme", "globex"] {
        desk.provisioner.destroy(name).await.unwrap();
    }
    assert_eq!(std::fs::read(desk.hosts()).unwrap(), bytes);
}
