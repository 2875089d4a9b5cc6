use probe::Nonce;

use super::*;
use crate::audit::verdict::Verdict;

fn answer(outcome: ProbeOutcome) -> Answer {
    Answer { nonce: Nonce::new(1, 1), sent: 0, at_us: 1, outcome }
}

fn sees(lines: &[&str]) -> Answer {
    sees_on("one", lines)
}

/// The same on a kernel with this boot id.
fn sees_on(boot: &str, lines: &[&str]) -> Answer {
    let lines = lines.iter().map(|line| (*line).to_owned()).collect();
    answer(ProbeOutcome::Seen { boot: Some(boot.to_owned()), lines })
}

fn judged(class: ClassId, here: Option<&Answer>, there: &[Option<&Answer>]) -> (Verdict, String) {
    judged_of(class, true, here, there)
}

/// The same for containers (`one_kernel`) or for VMs.
fn judged_of(
    class: ClassId,
    one_kernel: bool,
    here: Option<&Answer>,
    there: &[Option<&Answer>],
) -> (Verdict, String) {
    let net = |text: &str| text.parse().expect("a network");
    let networks = vec![net("192.168.61.0/24"), net("10.232.61.0/24")];
    let eth0 = Adapter { link: "eth0", net: Some(net("192.168.60.0/24")) };
    let eth1 = Adapter { link: "eth1", ..eth0 };
    let managed = Adapter { link: "eth0", net: Some(net("10.232.60.0/24")) };
    let adapters = if one_kernel { vec![eth0] } else { vec![eth1, managed] };
    let looks = Looks { class, here, there: there.to_vec(), one_kernel, adapters, networks };
    let judgement = judge(&looks);
    (judgement.verdict, judgement.why)
}

/// The same for VMs: each has its own kernel unless both report the same boot id.
fn of_vms(class: ClassId, here: (&str, &[&str]), there: (&str, &[&str])) -> Verdict {
    let (here, there) = (sees_on(here.0, here.1), sees_on(there.0, there.1));
    judged_of(class, false, Some(&here), &[Some(&there)]).0
}

#[test]
fn files_that_both_sides_see_are_a_leak_and_a_missing_answer_is_inconclusive() {
    let (a, b) = (sees(&["8:1 2 rw /a /var ext4 x"]), sees(&["8:1 3 rw /b /var ext4 x"]));
    let both = sees(&["8:1 3 rw /b /b ext4 x", "8:1 2 rw /c /a ext4 x"]);
    let class = ClassId::H8;
    assert_eq!(judged(class, Some(&a), &[Some(&b)]).0, Verdict::Isolated, "the same path is no shared file");
    let (verdict, why) = judged(class, Some(&a), &[Some(&b), Some(&both)]);
    let expected = "8:1 2 rw /a /var ext4 x shows files of 8:1 2 rw /c /a ext4 x";
    assert_eq!((verdict, why.as_str()), (Verdict::Leak, expected));
    let (empty, silent) = (sees(&[]), answer(ProbeOutcome::Silent));
    let failed = answer(ProbeOutcome::NotRun { why: "no /proc".to_owned() });
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
fn a_mac_address_is_compared_at_any_place_of_a_line_and_loopback_has_none() {
    let a = sees(&["lo 00:00:00:00:00:00", "eth0 02:00:00:00:00:aA 192.168.60.10/24"]);
    let b = sees(&["lo 00:00:00:00:00:00", "eth0 02:00:00:00:00:bb"]);
    let c = sees(&["eth0 mtu 1500 02:00:00:00:00:aa"]);
    assert_eq!(judged(ClassId::L7, Some(&a), &[Some(&b)]).0, Verdict::Isolated);
    assert_eq!(judged(ClassId::L7, Some(&a), &[Some(&c)]).0, Verdict::Leak);
}

#[test]
fn a_link_with_an_address_of_the_other_network_is_a_leak_and_an_unknown_link_is_inconclusive() {
    let other = sees(&["eth0 02:00:00:00:00:aa up"]);
    let of = |lines: &[&str]| {
        // The links of a node with one pod.
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

/// The mounts of a clean node. Cgroup roots are shown as in a pod with its own cgroup namespace.
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
fn clean_nodes_share_only_mounts_of_the_kernel_and_a_folder_of_the_other_node_is_a_leak() {
    let globex = with(node("globex", 11), "254:0 77 ro /opt/tools /opt ext4 /dev/vda");
    let of = |line: &str| judged(ClassId::H8, Some(&with(node("acme", 10), line)), &[Some(&globex)]);
    let (verdict, why) = of("0:1000 1 rw / /tmp tmpfs tmpfs");
    let expected = "11 mounts at the source, 11 at the target, \
                    shared only what belongs to the kernel or is read-only on both sides: / (tracefs)";
    assert_eq!((verdict, why.as_str()), (Verdict::Isolated, expected));
    let folder = "/home/op/.homelab/instances/globex/nodes/globex-cp-1/var";
    for (line, expected, why) in [
        (format!("254:0 55 rw {folder}/lib /mnt ext4 /dev/vda"), Verdict::Leak, "a folder of it"),
        (
            format!("254:0 55 ro {folder}/lib /mnt ext4 /dev/vda"),
            Verdict::Leak,
            "the target writes, the source reads",
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
        ("254:0 77 ro /opt/tools /opt ext4 /dev/vda".to_owned(), Verdict::Isolated, "neither side can write"),
        (
            "254:0 77 rw /opt/tools /opt ext4 /dev/vda".to_owned(),
            Verdict::Leak,
            "one side can write, the other reads",
        ),
    ] {
        assert_eq!(of(&line).0, expected, "{why}: {line}");
    }
}

#[test]
fn a_socket_of_the_other_node_or_the_host_is_a_leak_and_an_unknown_one_is_inconclusive() {
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
    assert_eq!(of("0:24 4 /run/podman/podman.sock /run/podman"), Verdict::Leak, "of the host");
    assert_eq!(of("0:24 4 /mnt/some.sock /mnt/some.sock"), Verdict::Inconclusive, "its owner is unknown");
    assert_eq!(of("abstract 1234 @it"), Verdict::Leak, "they are on one network");
    assert_eq!(of("abstract 1235 @it"), Verdict::Isolated, "each on its own");
    assert_eq!(of("nothing known"), Verdict::Inconclusive);
    let two = sees(&["0:3 4 /some.sock /some.sock", "0:119 5 /b.sock /b.sock"]);
    assert_eq!(
        judged(ClassId::H9, Some(&two), &[Some(&globex)]).0,
        Verdict::Leak,
        "behind one of unknown owner"
    );
}

#[test]
fn a_process_that_both_sides_see_is_a_leak_and_a_hidden_one_is_inconclusive() {
    let (ours, theirs) = (sees(&["1 init pid:[1]", "2 x -"]), sees(&["1 init pid:[2]"]));
    assert_eq!(judged(ClassId::H10, Some(&ours), &[Some(&theirs)]).0, Verdict::Isolated);
    assert_eq!(judged(ClassId::H10, Some(&ours), &[Some(&ours)]).0, Verdict::Leak);
    let foreign = sees(&["1 init pid:[1]", "1 init pid:[2]"]);
    assert_eq!(judged(ClassId::H10, Some(&foreign), &[Some(&theirs)]).0, Verdict::Leak, "by its /proc");
    let hidden = sees(&["1 init -"]);
    assert_eq!(judged(ClassId::H10, Some(&hidden), &[Some(&theirs)]).0, Verdict::Inconclusive);
}

#[test]
fn a_vm_has_two_known_adapters_and_a_third_one_is_a_leak() {
    let other = sees(&["eth1 52:54:00:00:00:bb up"]);
    let own = [
        "lo - up",
        "eth0 52:54:00:00:00:01 up",
        "eth0 10.232.60.10/24",
        "eth0 on virtio0",
        "eth1 52:54:00:00:00:02 up",
        "eth1 192.168.60.10/24",
        "eth1 on virtio1",
        "veth1 9a:db:f7:6b:cf:5c up",
        "veth1 ends in net:[4026532345]",
    ];
    let of = |lines: &[&str]| {
        let here = sees(&[&own, lines].concat());
        judged_of(ClassId::L5, false, Some(&here), &[Some(&other)]).0
    };
    assert_eq!(of(&[]), Verdict::Isolated);
    assert_eq!(
        of(&["eth2 52:54:00:00:00:03 down", "eth2 on virtio2"]),
        Verdict::Leak,
        "without an address, too"
    );
    assert_eq!(of(&["eth1 192.168.61.254/24"]), Verdict::Leak, "of the other");
    assert_eq!(of(&["eth0 10.232.61.10/24"]), Verdict::Leak, "the other's management network");
    assert_eq!(of(&["eth0 172.16.0.1/24"]), Verdict::Leak, "an address of an unknown network");
    assert_eq!(of(&["wg0 - up"]), Verdict::Inconclusive);
    assert_eq!(
        of(&["veth2 9a:db:f7:6b:cf:5d up"]),
        Verdict::Inconclusive,
        "no device, and its end is nowhere"
    );
    let bare = sees(&["eth0 on virtio0", "eth1 52:54:00:00:00:02 up", "eth1 on virtio1"]);
    let bare = judged_of(ClassId::L5, false, Some(&bare), &[Some(&other)]).0;
    assert_eq!(bare, Verdict::Inconclusive, "an adapter without a MAC address");
    let moved = sees(&["eth0 52:54:00:00:00:01 up", "eth1 52:54:00:00:00:02 up", "eth1 on 0000:00:19.0"]);
    let moved = judged_of(ClassId::L5, true, Some(&moved), &[Some(&other)]).0;
    assert_eq!(moved, Verdict::Leak, "an adapter of the host in a container");
}

#[test]
fn numbers_of_a_kernel_are_compared_only_between_nodes_with_equal_boot_ids() {
    use Verdict::{Inconclusive, Isolated, Leak};
    let mount: &[&str] = &["8:1 2 rw / / ext4 /dev/vda1"];
    let socket: &[&str] = &["0:20 5 /run/containerd/containerd.sock /run"];
    let process: &[&str] = &["1 systemd pid:[4026531836]"];
    let abstracts: &[&str] = &["abstract 41 @a"];
    for (class, lines) in
        [(ClassId::H8, mount), (ClassId::H9, socket), (ClassId::H9, abstracts), (ClassId::H10, process)]
    {
        assert_eq!(of_vms(class, ("a", lines), ("b", lines)), Isolated, "{class}: two kernels");
        assert_eq!(of_vms(class, ("a", lines), ("a", lines)), Leak, "{class}: one kernel");
        // With several target nodes, the node on the same kernel counts.
        let (here, apart, same) = (sees_on("a", lines), sees_on("b", lines), sees_on("a", lines));
        let both = judged_of(class, false, Some(&here), &[Some(&apart), Some(&same)]).0;
        assert_eq!(both, Leak, "{class}");
        let silent = answer(ProbeOutcome::Seen { boot: None, lines: vec![lines[0].to_owned()] });
        for (one, other) in [(&here, &silent), (&silent, &here)] {
            assert_eq!(judged_of(class, false, Some(one), &[Some(other)]).0, Inconclusive, "{class}");
        }
        let containers = judged_of(class, true, Some(&here), &[Some(&apart)]).0;
        assert_eq!(containers, Inconclusive, "{class}: containers on one host have one kernel");
        assert_eq!(of_vms(class, ("a", lines), ("b", &["odd"])), Inconclusive, "{class}");
    }
}

#[test]
fn mounts_that_lead_out_of_a_vm_are_compared_by_tag_or_export() {
    use Verdict::{Inconclusive, Isolated, Leak};
    let of = |here: &str, there: &str| {
        let disk = "254:1 2 rw / / ext4 /dev/vda1";
        of_vms(ClassId::H8, ("a", &[disk, here]), ("b", &[disk, there]))
    };
    let nothing = "0:5 1 rw / /run tmpfs tmpfs";
    for (here, there, expected, why) in [
        (nothing, nothing, Isolated, "each its own"),
        ("0:40 1 rw / /vagrant 9p vagrant", "0:41 1 rw / /vagrant 9p vagrant", Leak, "one tag"),
        (
            "0:40 1 rw / /vagrant 9p a",
            "0:41 1 rw / /vagrant 9p b",
            Inconclusive,
            "two tags, maybe of one folder",
        ),
        ("0:40 1 rw / /vagrant vboxsf a", nothing, Inconclusive, "a folder of the host"),
        (
            nothing,
            "0:40 1 rw / /vagrant vboxsf a",
            Isolated,
            "the target's own: judged in the other direction",
        ),
        ("0:40 1 ro / /x virtiofs a", "0:41 1 ro / /x virtiofs a", Isolated, "neither writes"),
        ("0:40 1 ro / /x virtiofs a", "0:41 1 rw / /x virtiofs a", Leak, "one side writes, the other reads"),
        ("0:40 1 rw / /x 9p a", "0:41 1 rw / /x virtiofs a", Leak, "one tag, whatever carries it"),
        ("0:40 1 rw / /x nfs4 nas:/a", "0:41 1 rw / /x nfs4 nas:/a", Leak, "one export"),
        ("0:40 1 rw / /x nfs nas:/a", "0:41 1 rw /b /x nfs nas:/a", Leak, "a folder of it"),
        ("0:40 1 rw / /x nfs nas:/a/b", "0:41 1 rw / /x nfs nas:/a", Leak, "a folder above it"),
        ("0:40 1 rw / /x nfs nas:/a", "0:41 1 rw / /x nfs nas:/ab", Isolated, "begins alike"),
        ("0:40 1 rw / /x nfs nas:/a", "0:41 1 rw / /x nfs other:/a", Isolated, "another server"),
        ("0:40 1 rw / /x cifs //nas/a", "0:41 1 rw / /x cifs //nas/a", Leak, "a share"),
        ("0:40 - rw / /x fuse.sshfs b:/srv", "0:41 - rw / /x fuse.sshfs b:/srv", Leak, "by a program"),
        ("0:40 1 rw / /x fusectl fusectl", "0:41 1 rw / /x fusectl fusectl", Isolated, "the kernel's"),
        ("0:40 1 rw / /x nfsd nfsd", "0:41 1 rw / /x nfsd nfsd", Isolated, "the kernel's"),
    ] {
        assert_eq!(of(here, there), expected, "{why}: {here} and {there}");
    }
}

#[test]
fn a_virtio_port_of_one_name_in_two_vms_is_a_leak_and_an_unknown_one_is_inconclusive() {
    use Verdict::{Inconclusive, Isolated, Leak};
    let of = |here: &str, there: &str| of_vms(ClassId::H9, ("a", &[here]), ("b", &[there]));
    let own = "0:20 5 /run/dbus/system_bus_socket /run";
    for (here, there, expected, why) in [
        (own, own, Isolated, "each VM's own"),
        ("0:20 9 /mnt/x.sock /mnt/x.sock", own, Isolated, "a file leads to no other kernel"),
        ("port org.qemu.guest_agent.0", "port org.qemu.guest_agent.0", Isolated, "the hypervisor's own"),
        ("port shared", "port shared", Leak, "one name"),
        ("port shared", own, Inconclusive, "its other end is unknown"),
        (own, "port shared", Isolated, "the target's own: judged in the other direction"),
        ("vsock virtio4", "vsock virtio4", Inconclusive, "each has one, which may lead anywhere"),
    ] {
        assert_eq!(of(here, there), expected, "{why}");
    }
    let port: &[&str] = &["port shared", "abstract 1 @a"];
    let other: &[&str] = &["port shared", "abstract 2 @a"];
    let (here, there) = (sees_on("one", port), sees_on("one", other));
    let containers = judged(ClassId::H9, Some(&here), &[Some(&there)]).0;
    assert_eq!(containers, Isolated, "on one kernel a port is the host's");
}
