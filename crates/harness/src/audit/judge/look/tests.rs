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
    let (a, b) = (sees(&["8:1 2 rw /a /var ext4 x"]), sees(&["8:1 3 rw /b /var ext4 x"]));
    let both = sees(&["8:1 3 rw /b /b ext4 x", "8:1 2 rw /c /a ext4 x"]);
    let class = ClassId::H8;
    assert_eq!(judged(class, Some(&a), &[Some(&b)]).0, Verdict::Isolated, "the same path is no shared file");
    let (verdict, why) = judged(class, Some(&a), &[Some(&b), Some(&both)]);
    let expected = "8:1 2 rw /a /var ext4 x shows files of 8:1 2 rw /c /a ext4 x";
    assert_eq!((verdict, why.as_str()), (Verdict::Leak, expected));
    let (empty, silent) = (sees(&[]), answer(Outcome::Silent));
    let failed = answer(Outcome::NotRun { why: "no /proc".to_owned() });
    let odd = sees(&["8:1 3 rw /b /var ext4 x", "what is this"]);
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
    let other = sees(&["eth0 02:00:00:00:00:aa up"]);
    let of = |lines: &[&str]| {
        // As a node with one pod has them.
        let own = [
            "lo - up",
            "lo 127.0.0.1/8",
            "eth0 9a:dc:5b:86:76:73 up",
            "eth0 192.168.60.10/24",
            "eth0 fe80::98dc:5bff:fe86:7673/64",
            "veth6983e30a 9a:db:f7:6b:cf:5c up",
            "veth6983e30a 10.244.0.1/32",
            "veth6983e30a ends in net:[4026532345]",
        ];
        judged(ClassId::L5, Some(&sees(&[&own, lines].concat())), &[Some(&other)]).0
    };
    assert_eq!(of(&[]), Verdict::Isolated);
    assert_eq!(of(&["tunl0 - down"]), Verdict::Isolated, "the kernel's");
    assert_eq!(of(&["eth1 192.168.61.77/24"]), Verdict::Leak);
    assert_eq!(of(&["veth6983e30a 192.168.61.77/24"]), Verdict::Leak);
    assert_eq!(of(&["eth01 9a:dc:5b:86:76:75 up"]), Verdict::Inconclusive);
    assert_eq!(of(&["wg0 - up"]), Verdict::Inconclusive);
    assert_eq!(of(&["veth698 9a:dc:5b:86:76:75 up"]), Verdict::Inconclusive, "its other end is nowhere here");
    let pair = ["cilium_host 9a:dc:5b:86:76:75 up", "cilium_host ends at cilium_net"];
    assert_eq!(of(&pair), Verdict::Isolated);
}

/// What nodes of two clean instances have mounted: roots of groups as a pod with its own group namespace has them.
fn node(instance: &str, number: u32) -> Vec<String> {
    let folder = format!("/home/op/.homelab/instances/{instance}/nodes/{instance}-cp-1/var");
    vec![
        format!("0:{number}6 12862{number}0 rw / / overlay overlay"),
        format!("0:{number}9 1 rw / /run tmpfs tmpfs"),
        format!("0:{number}1 1 rw / /proc proc proc"),
        format!("0:{number}3 1 rw / /sys sysfs sysfs"),
        format!("254:0 107649{number} rw {folder} /var ext4 /dev/vda"),
        format!(
            "254:0 12862{number}6 rw /run/containers/storage/{instance}/hostname /etc/hostname ext4 /dev/vda"
        ),
        format!("0:32 3037{number} rw / /sys/fs/cgroup/memory cgroup cgroup"),
        format!("0:{number}7 1 rw / /sys/fs/bpf bpf bpf"),
        format!("0:4 40265325{number} rw net:[40265325{number}] /run/netns/cni-{number} nsfs nsfs"),
        "0:7 1 rw / /sys/kernel/tracing tracefs tracefs".to_owned(),
    ]
}

fn with(mut lines: Vec<String>, line: &str) -> Answer {
    lines.push(line.to_owned());
    sees(&lines.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn clean_nodes_share_nothing_but_the_kernel_and_a_folder_of_the_other_is_a_leak() {
    let globex = with(node("globex", 11), "254:0 77 ro /opt/tools /opt ext4 /dev/vda");
    let of = |line: &str| judged(ClassId::H8, Some(&with(node("acme", 10), line)), &[Some(&globex)]);
    let (verdict, why) = of("0:1000 1 rw / /tmp tmpfs tmpfs");
    let expected = "11 mounts on one side, 11 on the other, \
                    shared is what is the kernel's or read-only for both: / (tracefs)";
    assert_eq!((verdict, why.as_str()), (Verdict::Isolated, expected));
    let folder = "/home/op/.homelab/instances/globex/nodes/globex-cp-1/var";
    for (line, expected, why) in [
        (format!("254:0 55 rw {folder}/lib /mnt ext4 /dev/vda"), Verdict::Leak, "a folder of it"),
        (
            format!("254:0 55 ro {folder}/lib /mnt ext4 /dev/vda"),
            Verdict::Leak,
            "the other writes, one reads",
        ),
        ("254:0 2 rw / /host ext4 /dev/vda".to_owned(), Verdict::Leak, "the whole disk"),
        (
            format!("254:0 55 rw {folder}-1 /mnt ext4 /dev/vda"),
            Verdict::Isolated,
            "only a name that begins alike",
        ),
        ("0:119 9 rw /containerd /mnt tmpfs tmpfs".to_owned(), Verdict::Leak, "a folder of its /run"),
        ("0:111 1 rw / /mnt proc proc".to_owned(), Verdict::Leak, "its /proc"),
        ("0:111 7 rw /1 /mnt proc proc".to_owned(), Verdict::Leak, "a process of it"),
        ("0:117 1 rw / /mnt bpf bpf".to_owned(), Verdict::Leak, "what it pinned"),
        (
            "0:4 4026532511 rw net:[4026532511] /run/netns/x nsfs nsfs".to_owned(),
            Verdict::Leak,
            "its network",
        ),
        ("0:32 303711 rw /../other /mnt cgroup cgroup".to_owned(), Verdict::Leak, "its group"),
        ("0:32 - rw / /mnt cgroup cgroup".to_owned(), Verdict::Inconclusive, "some group"),
        ("254:0 77 ro /opt/tools /opt ext4 /dev/vda".to_owned(), Verdict::Isolated, "nobody can write"),
        (
            "254:0 77 rw /opt/tools /opt ext4 /dev/vda".to_owned(),
            Verdict::Leak,
            "one can write, the other reads",
        ),
    ] {
        assert_eq!(of(&line).0, expected, "{why}: {line}");
    }
}

#[test]
fn a_socket_is_the_others_or_everybodys_or_a_question() {
    let globex = sees(&[
        "0:119 5 /run/containerd/containerd.sock /run",
        "254:0 90 /var/lib/kubelet/device-plugins/kubelet.sock /var",
        "abstract 1234 @it",
    ]);
    let of = |line: &str| {
        let own = "0:109 5 /run/containerd/containerd.sock /run".to_owned();
        judged(ClassId::H9, Some(&with(vec![own], line)), &[Some(&globex)]).0
    };
    assert_eq!(of("254:0 80 /var/lib/kubelet/device-plugins/kubelet.sock /var"), Verdict::Isolated);
    assert_eq!(of("0:119 5 /mnt/x /mnt/x"), Verdict::Leak, "the file is mounted");
    assert_eq!(of("0:119 5 /mnt/containerd/containerd.sock /mnt"), Verdict::Leak, "a folder with it is");
    assert_eq!(of("0:24 4 /run/podman/podman.sock /run/podman"), Verdict::Leak, "of the workstation");
    assert_eq!(of("0:24 4 /mnt/some.sock /mnt/some.sock"), Verdict::Inconclusive, "nobody knows whose");
    assert_eq!(of("abstract 1234 @it"), Verdict::Leak, "they are on one network");
    assert_eq!(of("abstract 1235 @it"), Verdict::Isolated, "each on its own");
    assert_eq!(of("nothing known"), Verdict::Inconclusive);
    let two = sees(&["0:3 4 /some.sock /some.sock", "0:119 5 /b.sock /b.sock"]);
    assert_eq!(
        judged(ClassId::H9, Some(&two), &[Some(&globex)]).0,
        Verdict::Leak,
        "behind one that nobody knows"
    );
}

#[test]
fn a_process_belongs_to_one_side() {
    let (ours, theirs) = (sees(&["1 init pid:[1]", "2 x -"]), sees(&["1 init pid:[2]"]));
    assert_eq!(judged(ClassId::H10, Some(&ours), &[Some(&theirs)]).0, Verdict::Isolated);
    assert_eq!(judged(ClassId::H10, Some(&ours), &[Some(&ours)]).0, Verdict::Leak);
    let foreign = sees(&["1 init pid:[1]", "1 init pid:[2]"]);
    assert_eq!(judged(ClassId::H10, Some(&foreign), &[Some(&theirs)]).0, Verdict::Leak, "by its /proc");
    let hidden = sees(&["1 init -"]);
    assert_eq!(judged(ClassId::H10, Some(&hidden), &[Some(&theirs)]).0, Verdict::Inconclusive);
}
