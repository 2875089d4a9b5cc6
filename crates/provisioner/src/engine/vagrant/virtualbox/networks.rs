//! Makes the host-only network of an instance before its first VM, finds it again by its mark, and removes it.

use ipnet::Ipv4Net;

use crate::plan::{ClusterPlan, InstanceId};

use super::super::networks_conf;
use super::adapters::{self, Adapter, Mark};
use super::vms::{self, Description};
use super::{VirtualBox, VirtualBoxError, conf_at, error};

impl VirtualBox {
    /// Makes an instance's network, or completes it if it exists. Everything that conflicts with it is an error before
    /// anything is made.
    pub(super) async fn make_network(&self, plan: &ClusterPlan) -> Result<(), VirtualBoxError> {
        let address = Ipv4Net::new_assert(plan.gateway, plan.subnet.prefix_len());
        let conf = conf_at(&self.networks_conf)?;
        let refused = |source| {
            let lines = networks_conf::lines_to_add(conf.as_deref(), plan.subnet);
            VirtualBoxError::Range { network: plan.subnet, lines, source }
        };
        if !networks_conf::allows(conf.as_deref(), plan.subnet) {
            return Err(refused(None));
        }
        let _alone = self.wires.alone().await.map_err(guard("all of this host"))?;
        let there = self.mark_of(plan).await?;
        self.refuse_strangers(plan, there.as_ref()).await?;
        let Mark { adapter, address: marked, .. } = match there {
            Some(mark) => mark,
            None => self.create_adapter(&plan.id).await?,
        };
        // No packet comes in through an adapter without an address, and from here on the guard checks every packet.
        self.wires.watch(&adapter).await.map_err(guard(&adapter))?;
        self.remove_dhcp(&adapter).await?;
        let (host, mask) = (address.addr().to_string(), address.netmask().to_string());
        let told = ["hostonlyif", "ipconfig", &adapter, "--ip", &host, "--netmask", &mask];
        match self.tool.tell("set the address of host-only adapter", &adapter, told).await {
            // VirtualBox reads the same file as the check above, and its decision counts.
            Err(VirtualBoxError::Tool { source, .. }) if error::says(&source, &["E_ACCESSDENIED"]) => {
                return Err(refused(Some(source)));
            }
            told => told.map(drop)?,
        }
        if marked != Some(address) {
            self.mark(&Mark { id: plan.id.clone(), adapter, address: Some(address) }).await?;
        }
        Ok(())
    }

    /// The mark of the adapter that a plan's instance has already. Any other adapter with an address in the instance's
    /// network is an error: Vagrant compares networks only, and uses the first adapter that it finds.
    async fn mark_of(&self, plan: &ClusterPlan) -> Result<Option<Mark>, VirtualBoxError> {
        let adapters = adapters::adapters(&self.tool.list("hostonlyifs").await?);
        let marks: Vec<Mark> = self.marks().await?.into_iter().filter(|mark| mark.id == plan.id).collect();
        let in_the_way = |adapter: &Adapter| {
            let address = adapter.address.filter(|address| adapters::overlap(*address, plan.subnet))?;
            let is_own = marks.iter().any(|mark| mark.is_of(adapter));
            (!is_own).then(|| VirtualBoxError::ForeignAdapter {
                adapter: adapter.name.clone(),
                address,
                instance: plan.id.name.clone(),
            })
        };
        match adapters.iter().find_map(in_the_way) {
            Some(foreign) => Err(foreign),
            None => Ok(marks.into_iter().find(|mark| adapters.iter().any(|adapter| mark.is_of(adapter)))),
        }
    }

    /// Refuses VMs of others on the instance's adapter, and VMs with the instance's names on any other network.
    async fn refuse_strangers(&self, plan: &ClusterPlan, mark: Option<&Mark>) -> Result<(), VirtualBoxError> {
        let own = mark.map(|mark| mark.adapter.as_str());
        for machine in vms::names(&self.tool.list("vms").await?) {
            let is_ours = is_of(&machine, &plan.id);
            // Without an adapter of the instance, no VM can be on it.
            if !is_ours && own.is_none() {
                continue;
            }
            let Some(machine) = self.describe(&machine).await? else { continue };
            for network in &machine.networks {
                let is_own = network.kind == "hostonly" && Some(network.name.as_str()) == own;
                match (is_ours, is_own) {
                    (false, true) => {
                        return Err(VirtualBoxError::ForeignPassenger {
                            machine: machine.name,
                            adapter: network.name.clone(),
                            instance: plan.id.name.clone(),
                        });
                    }
                    (true, false) => {
                        return Err(VirtualBoxError::ForeignMachine {
                            machine: machine.name,
                            network: network.to_string(),
                            instance: plan.id.name.clone(),
                        });
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Makes an adapter and marks it at once. Until the adapter gets the instance's address, it has the one that
    /// belongs to its number.
    async fn create_adapter(&self, id: &InstanceId) -> Result<Mark, VirtualBoxError> {
        let object = "a host-only adapter";
        let answer = self.tool.tell("create", object, ["hostonlyif", "create"]).await?;
        let adapter = adapters::created(&answer).ok_or_else(|| VirtualBoxError::Answer {
            what: "the name of the new host-only adapter".to_owned(),
            answer,
        })?;
        let mark = Mark { id: id.clone(), adapter, address: None };
        self.mark(&mark).await?;
        Ok(mark)
    }

    async fn remove_dhcp(&self, adapter: &str) -> Result<(), VirtualBoxError> {
        if !adapters::has_dhcp(&self.tool.list("dhcpservers").await?, adapter) {
            return Ok(());
        }
        let network = format!("--network=HostInterfaceNetworking-{adapter}");
        let told = ["dhcpserver", "remove", &network];
        self.tool.tell("remove the DHCP server of host-only adapter", adapter, told).await.map(drop)
    }

    /// Removes an instance's adapter and its mark, and returns whether there was a mark.
    pub(super) async fn remove_network(&self, id: &InstanceId) -> Result<bool, VirtualBoxError> {
        let _alone = self.wires.alone().await.map_err(guard("all of this host"))?;
        let marks = self.marks().await?.into_iter();
        let marks: Vec<Mark> = marks.filter(|mark| mark.id == *id).collect();
        if marks.is_empty() {
            return Ok(false);
        }
        let adapters = adapters::adapters(&self.tool.list("hostonlyifs").await?);
        for adapter in adapters.iter().filter(|adapter| marks.iter().any(|mark| mark.is_of(adapter))) {
            self.remove_adapter(id, &adapter.name).await?;
        }
        let told = ["setextradata", "global", &Mark::key(id)];
        self.tool.tell("remove the mark of", &id.scope(), told).await?;
        self.wires.forget().await.map_err(guard("all of this host"))?;
        Ok(true)
    }

    /// Removes an instance's adapter, unless a VM of others is on it.
    async fn remove_adapter(&self, id: &InstanceId, adapter: &str) -> Result<(), VirtualBoxError> {
        for machine in vms::names(&self.tool.list("vms").await?) {
            let Some(machine) = self.describe(&machine).await? else { continue };
            let is_on = machine.networks.iter().any(|it| it.kind == "hostonly" && it.name == adapter);
            if is_on && !is_of(&machine.name, id) {
                let (adapter, instance) = (adapter.to_owned(), id.name.clone());
                return Err(VirtualBoxError::ForeignPassenger { machine: machine.name, adapter, instance });
            }
        }
        self.remove_dhcp(adapter).await?;
        let told = ["hostonlyif", "remove", adapter];
        self.tool.tell("remove host-only adapter", adapter, told).await.map(drop)
    }

    /// The description of a VM; `None` if no VM has this name.
    pub(super) async fn describe(&self, machine: &str) -> Result<Option<Description>, VirtualBoxError> {
        let answer = self.tool.show(machine).await?;
        answer.map(|answer| Description::read(machine, &answer)).transpose()
    }

    pub(super) async fn marks(&self) -> Result<Vec<Mark>, VirtualBoxError> {
        let told = ["getextradata", "global", "enumerate"];
        Ok(Mark::all(&self.tool.tell("list", "the marks of adapters", told).await?))
    }

    async fn mark(&self, mark: &Mark) -> Result<(), VirtualBoxError> {
        let told = ["setextradata", "global", &Mark::key(&mark.id), &mark.value()];
        self.tool.tell("mark the adapter of", &mark.id.scope(), told).await.map(drop)
    }
}

/// Whether a name on the host belongs to a VM of this instance: it begins with the instance's scope and a dot. The
/// names of instances have no dots.
pub(super) fn is_of(name: &str, id: &InstanceId) -> bool {
    name.strip_prefix(&id.scope()).is_some_and(|rest| rest.starts_with('.'))
}

pub(super) fn guard(adapter: &str) -> impl FnOnce(crate::fabric::FabricError) -> VirtualBoxError {
    let adapter = adapter.to_owned();
    move |source| VirtualBoxError::Guard { adapter, source: Box::new(source) }
}
