use probe::Nonce;

use super::*;
use crate::audit::verdict::Verdict;

fn answer(outcome: Outcome) -> Answer {
    Answer { nonce: Nonce::new(1, 1), sent: 0, at_us: 1, outcome }
}

fn sees(lines: &[&str]) -> Answer {
    answer(Outcome::Seen { lines: lines.iter().map(|line| (*line).to_owned()).collect() })
}

fn judged(class: ClassId, here: Option<&Answer>, there: &[Option<&Answer>]) -> (Verdict, String) {
    let networks = vec!["192.168.61.0/24".parse().expect("a network")];
    let judgement = judge(&Looks { class, here, there: there.to_vec(), networks });
    (judgement.verdict, judgement.why)
}

#[test]
fn what_both_see_is_a_leak_and_what_nobody_looked_at_is_none() {
    let (a, b) = (sees(&["8:1 2 /a /var ext4 x"]), sees(&["8:1 3 /b /var ext4 x"]));
    let both = sees(&["8:1 3 /b /b ext4 x", "8:1 2 /c /a ext4 x"]);
    let class = ClassId::H8;
    assert_eq!(judged(class, Some(&a), &[Some(&b)]).0, Verdict::Isolated, "the same path is no shared file");
    let (verdict, why) = judged(class, Some(&a), &[Some(&b), Some(&both)]);
    let expected = "8:1 2 /a /var ext4 x shows files of 8:1 2 /c /a ext4 x";
    assert_eq!((verdict, why.as_str()), (Verdict::Leak, expected));
    let (empty, silent) = (sees(&[]), answer(Outcome::Silent));
    let (failed, odd) = (answer(Outcome::NotRun { why: "no /proc".to_owned() }), sees(&["what is this"]));
    for bad in [None, Some(&empty), Some(&silent), Some(&failed), Some(&odd)] {
        assert_eq!(judged(class, bad, &[Some(&b)]).0, Verdict::Inconclusive);
        assert_eq!(judged(class, Some(&a), &[bad]).0, Verdict::Inconclusive);
    }
    assert_eq!(
        judged(class, Some(&a), &[Some(&b), None]).0,
        Verdict::Inconclusive,
        "one of several is missing"
    );
    assert_eq!(judged(class, Some(&a), &[]).0, Verdict::Inconclusive);
}

#[test]
fn a_mac_address_counts_wherever_it_stands_but_loopback_has_none() {
    let a = sees(&["lo 00:00:00:00:00:00", "eth0 02:00:00:00:00:aA 192.168.60.10/24"]);
    let b = sees(&["lo 00:00:00:00:00:00", "eth0 02:00:00:00:00:bb"]);
    let c = sees(&["eth0 mtu 1500 02:00:00:00:00:aa"]);
    assert_eq!(judged(ClassId::L7, Some(&a), &[Some(&b)]).0, Verdict::Isolated);
    assert_eq!(judged(ClassId::L7, Some(&a), &[Some(&c)]).0, Verdict::Leak);
}

#[test]
fn a_link_with_a_foot_in_the_other_network_is_a_leak_and_an_unknown_link_a_question() {
    let other = sees(&["eth0"]);
    let of = |lines: &[&str]| judged(ClassId::L5, Some(&sees(lines)), &[Some(&other)]);
    assert_eq!(of(&["lo", "eth0 192.168.60.10/24", "vethab"]).0, Verdict::Isolated);
    assert_eq!(of(&["eth0 192.168.60.10/24", "eth1 192.168.61.77/24"]).0, Verdict::Leak);
    assert_eq!(of(&["eth0 192.168.60.10/24", "wg0"]).0, Verdict::Inconclusive);
}

#[test]
fn a_folder_within_the_others_is_shared_and_a_file_system_of_the_kernel_is_not() {
    let mine = "0:1 1 /mine /mine ext4 x";
    let of = |one: &str, other: &str| {
        let (here, there) = (sees(&[one, mine]), sees(&[other, "0:2 1 / / ext4 x"]));
        judged(ClassId::H8, Some(&here), &[Some(&there)]).0
    };
    assert_eq!(of("8:1 7 /b/var/log /x ext4 x", "8:1 3 /b/var /var ext4 x"), Verdict::Leak);
    assert_eq!(of("8:1 7 / /x ext4 x", "8:1 3 /b/var /var ext4 x"), Verdict::Leak, "the whole disk");
    assert_eq!(of("8:1 7 /b/var-1 /x ext4 x", "8:1 3 /b/var /var ext4 x"), Verdict::Isolated, "only alike");
    assert_eq!(of("0:7 1 / /d debugfs x", "0:7 1 / /d debugfs x"), Verdict::Isolated);
    assert_eq!(of("0:8 5 / /c cgroup2 x", "0:8 6 / /c cgroup2 x"), Verdict::Isolated, "each its own group");
    assert_eq!(of("0:8 5 / /c cgroup2 x", "0:8 5 / /c cgroup2 x"), Verdict::Leak);
}

#[test]
fn a_mounted_socket_is_the_others_or_everybodys_or_a_question() {
    let other = sees(&["0:9 1 / /run tmpfs tmpfs", "8:1 9 /b /var ext4 x"]);
    let of = |line: &str| judged(ClassId::H9, Some(&sees(&[line])), &[Some(&other)]).0;
    assert_eq!(of("8:1 2 /a /var ext4 x"), Verdict::Isolated);
    assert_eq!(of("0:9 4 /containerd/containerd.sock /x tmpfs tmpfs"), Verdict::Leak, "of its /run");
    assert_eq!(of("0:3 4 /podman/podman.sock /x tmpfs tmpfs"), Verdict::Leak, "of the workstation");
    assert_eq!(of("0:3 4 /some.sock /x tmpfs tmpfs"), Verdict::Inconclusive);
    assert_eq!(of("nothing known"), Verdict::Inconclusive);
    let two = sees(&["0:3 4 /some.sock /x tmpfs tmpfs", "0:9 4 /b.sock /y tmpfs tmpfs"]);
    assert_eq!(
        judged(ClassId::H9, Some(&two), &[Some(&other)]).0,
        Verdict::Leak,
        "behind one that nobody knows"
    );
}

#[test]
fn a_process_belongs_to_one_side() {
    let (ours, theirs) = (sees(&["1 init pid:[1]", "2 x -"]), sees(&["1 init pid:[2]"]));
    assert_eq!(judged(ClassId::H10, Some(&ours), &[Some(&theirs)]).0, Verdict::Isolated);
    assert_eq!(judged(ClassId::H10, Some(&ours), &[Some(&ours)]).0, Verdict::Leak);
}
