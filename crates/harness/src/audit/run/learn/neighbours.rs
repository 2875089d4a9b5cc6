//! The systems on the links of nodes, planned or not: each is a next hop that an attacker on the node could use.

use futures::future::join_all;
use probe::Ask;

use crate::audit::{ClassId, Neighbour, Selection};
use crate::cluster::TestCluster;

use super::InstanceProbes;
use super::seen::seen;

/// The neighbours of each node on its link into the instance's network, in the order of the nodes. `None` where they
/// could not be asked, or no selected class needs them.
pub(super) async fn all(
    cluster: &TestCluster,
    deployed: &InstanceProbes,
    selection: &Selection,
) -> Vec<Option<Vec<Neighbour>>> {
    if !selection.has(ClassId::N16) {
        return vec![None; cluster.nodes().len()];
    }
    let plan = &cluster.inner().plan;
    let asked = cluster.nodes().iter().map(async |node| {
        let ask = Ask::NextHops {
            link: plan.platform.link.to_owned(),
            net: plan.subnet.network(),
            prefix: plan.subnet.prefix_len(),
        };
        neighbours(&seen(deployed, node.real_name(), ask).await?)
    });
    join_all(asked).await
}

/// The neighbours in the lines of a search, such as `192.168.60.1 02:00:c0:a8:3c:01`. `None` where a line has another
/// format. Pure.
fn neighbours(lines: &[String]) -> Option<Vec<Neighbour>> {
    let neighbour = |line: &String| {
        let (address, mac) = line.split_once(' ')?;
        Some(Neighbour { address: address.parse().ok()?, mac: mac.parse().ok()? })
    };
    lines.iter().map(neighbour).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_neighbour_is_an_address_and_a_hardware_address() {
        let lines = ["192.168.60.1 02:00:c0:a8:3c:01", "fe80::1 02:00:00:00:00:07"].map(str::to_owned);
        let all = neighbours(&lines).unwrap();
        let texts: Vec<String> = all.iter().map(|it| format!("{} {}", it.address, it.mac)).collect();
        assert_eq!(texts, lines);
        assert_eq!(neighbours(&["a line of another format".to_owned()]), None);
    }
}
