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
    let (a, b, both) = (sees(&["8:1:2 /var"]), sees(&["8:1:3 /var"]), sees(&["8:1:3 /b", "8:1:2 /a"]));
    let class = ClassId::H8;
    assert_eq!(judged(class, Some(&a), &[Some(&b)]).0, Verdict::Isolated, "the same path is no shared file");
    assert_eq!(judged(class, Some(&a), &[Some(&b), Some(&both)]).1, "both see 8:1:2 /var (1 in common)");
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
