//! A process is distinguished from all other processes with the same pid.

use std::time::Duration;

use provisioner::exec::{Background, Command};
use provisioner::registry::{Liveness, Owner, OwnerLock, UnknownLiveness};

use crate::given::{House, until};

#[test]
fn this_process_is_alive() {
    let owner = Owner::current("run-1").unwrap();
    assert_eq!((owner.pid, owner.run_id.as_str()), (std::process::id(), "run-1"));
    assert_eq!(owner.liveness(&House::new().home), Liveness::Alive);
    assert!(owner.is_this_process());
    assert_eq!(Owner::current("run-1").unwrap(), owner);
}

#[test]
fn another_process_with_the_same_pid_is_not_the_owner() {
    let owner = Owner::current("run-1").unwrap();
    let other = Owner { start_time: owner.start_time + 1, ..owner };
    assert_eq!(other.liveness(&House::new().home), Liveness::Dead);
    assert!(!other.is_this_process());
}

#[test]
fn an_owner_of_an_earlier_boot_is_dead() {
    let owner = Owner::current("run-1").unwrap();
    let earlier = Owner { boot_id: "00000000-0000-0000-0000-000000000000".to_owned(), ..owner };
    assert_eq!(earlier.liveness(&House::new().home), Liveness::Dead);
}

#[test]
fn an_owner_whose_pid_does_not_exist_is_dead() {
    let owner = Owner::current("run-1").unwrap();
    // Above the highest possible pid, 2^22 (proc_sys_kernel(5)).
    assert_eq!(Owner { pid: 1 << 23, ..owner }.liveness(&House::new().home), Liveness::Dead);
}

#[tokio::test]
async fn a_zombie_is_dead() {
    let house = House::new();
    let file = house.path("pid");
    let script = format!("echo $$ >{file}.new; mv {file}.new {file}");
    let mut child = Background::start(&Command::within(Duration::ZERO, "sh").args(["-c", &script])).unwrap();
    let pid: u32 = until(|| std::fs::read_to_string(&file).ok()).trim().parse().unwrap();
    // The child's exit status is not read, so the child becomes a zombie and stays one.
    let start_time = until(|| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        (fields[0] == "Z").then(|| fields[19].parse().unwrap())
    });
    let zombie = Owner { pid, start_time, ..Owner::current("run-1").unwrap() };
    assert_eq!(zombie.liveness(&house.home), Liveness::Dead);
    assert!(child.has_ended());
}

/// The same owner in another PID namespace: none has the number 1.
fn elsewhere(owner: Owner) -> Owner {
    Owner { pid_namespace: Some(1), ..owner }
}

#[test]
fn an_owner_in_another_pid_namespace_lives_as_long_as_it_holds_its_lock() {
    let house = House::new();
    let owner = elsewhere(Owner::hold(&house.home, "run-1").unwrap());
    assert_eq!(owner.liveness(&house.home), Liveness::Alive);
    let lock = owner.lock.unwrap();
    let let_go = Owner { lock: Some(OwnerLock { byte: lock.byte ^ 1, ..lock }), ..owner.clone() };
    assert_eq!(let_go.liveness(&house.home), Liveness::Dead, "no process holds that byte");
}

#[test]
fn an_owner_in_another_pid_namespace_without_a_lock_to_ask_is_neither_alive_nor_dead() {
    let house = House::new();
    let owner = elsewhere(Owner::hold(&house.home, "run-1").unwrap());
    let unknown = Liveness::Unknown(UnknownLiveness::Namespace);
    assert_eq!(Owner { lock: None, ..owner.clone() }.liveness(&house.home), unknown);
    // Without the lock file the liveness is unknown; a new file does not have the old locks.
    std::fs::rename(house.home.root().join("owners.lock"), house.path("moved")).unwrap();
    assert_eq!(owner.liveness(&house.home), unknown);
    let anew = Owner::hold(&house.home, "run-2").unwrap();
    assert_eq!(anew.liveness(&house.home), Liveness::Alive);
    assert_eq!(owner.liveness(&house.home), unknown);
}

#[test]
fn a_process_has_one_lock_in_a_home_for_all_its_runs() {
    let house = House::new();
    let [one, other] = ["run-1", "run-2"].map(|run| Owner::hold(&house.home, run).unwrap());
    assert_eq!(one.lock, other.lock);
    assert!(one.is_this_process() && other.is_this_process());
    assert_eq!(std::fs::metadata(house.home.root().join("owners.lock")).unwrap().len(), 0);
}
