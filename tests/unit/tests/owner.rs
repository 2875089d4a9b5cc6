//! A process is told from all others that ever had its pid.

use std::time::Duration;

use provisioner::exec::{Background, Command};
use provisioner::registry::Owner;

use crate::given::{House, until};

#[test]
fn this_process_is_alive() {
    let owner = Owner::current("run-1").unwrap();
    assert_eq!((owner.pid, owner.run_id.as_str()), (std::process::id(), "run-1"));
    assert!(owner.is_alive());
    assert_eq!(Owner::current("run-1").unwrap(), owner);
}

#[test]
fn another_process_with_the_same_pid_is_not_the_owner() {
    let owner = Owner::current("run-1").unwrap();
    assert!(!Owner { start_time: owner.start_time + 1, ..owner }.is_alive());
}

#[test]
fn nobody_of_an_earlier_boot_is_alive() {
    let owner = Owner::current("run-1").unwrap();
    assert!(!Owner { boot_id: "00000000-0000-0000-0000-000000000000".to_owned(), ..owner }.is_alive());
}

#[test]
fn a_pid_that_nobody_has_is_dead() {
    let owner = Owner::current("run-1").unwrap();
    // Above the highest pid there can be, 2^22 (proc_sys_kernel(5)).
    assert!(!Owner { pid: 1 << 23, ..owner }.is_alive());
}

#[tokio::test]
async fn a_zombie_is_dead() {
    let house = House::new();
    let file = house.path("pid");
    let script = format!("echo $$ >{file}.new; mv {file}.new {file}");
    let mut child = Background::start(&Command::within(Duration::ZERO, "sh").args(["-c", &script])).unwrap();
    let pid: u32 = until(|| std::fs::read_to_string(&file).ok()).trim().parse().unwrap();
    // Nobody asks for the child's exit status meanwhile: it ends up as a zombie, and stays one.
    let start_time = until(|| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        (fields[0] == "Z").then(|| fields[19].parse().unwrap())
    });
    assert!(!Owner { pid, start_time, ..Owner::current("run-1").unwrap() }.is_alive());
    assert!(child.has_ended());
}
