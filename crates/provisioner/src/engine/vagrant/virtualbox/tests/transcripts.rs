//! The answers of VBoxManage.
//!
//! **Written from the manuals, not recorded**: VirtualBox needs kernel modules that the hosts of the tests cannot load.
//! The forms come from the VirtualBox 7.0 user manual, chapter 8, from the regular expressions by which Vagrant 2.3.4
//! reads the same answers, and from reports by users of both (error texts). They are still to be compared with a real
//! VirtualBox.

use crate::exec::Exchange;

/// The beginning of every command.
const TOOL: &str = "LC_ALL=C VBoxManage";

/// VBoxManage runs with these arguments, succeeds and prints nothing.
pub(super) fn told(args: &str) -> Exchange {
    answers(args, "")
}

/// VBoxManage runs with these arguments, succeeds and prints this.
pub(super) fn answers(args: &str, stdout: impl Into<String>) -> Exchange {
    Exchange::ok(format!("{TOOL} {args}"), stdout)
}

/// VBoxManage runs with these arguments and fails with this standard error.
pub(super) fn refuses(args: &str, stderr: &str) -> Exchange {
    Exchange::fails(format!("{TOOL} {args}"), 1, stderr)
}

/// `VBoxManage list vms`
pub(super) fn vms(names: &[&str]) -> Exchange {
    let line = |(number, name): (usize, &&str)| {
        format!("\"{name}\" {{5d0a2c4e-7f6b-4c1d-9e8f-0000000000{number:02}}}\n")
    };
    answers("list vms", names.iter().enumerate().map(line).collect::<String>())
}

/// `VBoxManage list hostonlyifs`, of adapters with these addresses and the prefix length 24.
pub(super) fn adapters(all: &[(&str, &str)]) -> Exchange {
    let block = |(name, address): &(&str, &str)| {
        let number: u8 = name.trim_start_matches("vboxnet").parse().unwrap_or(0);
        format!(
            "\
Name:            {name}
GUID:            786f6276-656e-4{number}74-8000-0a00270000{number:02}
DHCP:            Disabled
IPAddress:       {address}
NetworkMask:     255.255.255.0
IPV6Address:     
IPV6NetworkMaskPrefixLength: 0
HardwareAddress: 0a:00:27:00:00:{number:02}
MediumType:      Ethernet
Wireless:        No
Status:          Up
VBoxNetworkName: HostInterfaceNetworking-{name}

"
        )
    };
    answers("list hostonlyifs", all.iter().map(block).collect::<String>())
}

/// `VBoxManage getextradata global enumerate`, of these marks and of entries that VirtualBox itself makes.
pub(super) fn marks(all: &[(&str, &str)]) -> Exchange {
    let mark = |(scope, value): &(&str, &str)| format!("Key: homelab/{scope}, Value: {value}\n");
    let own = "Key: GUI/LastItemSelected, Value: m=old machine\n\
               Key: HostOnly/vboxnet0/IPAddress, Value: 192.168.60.1\n";
    answers("getextradata global enumerate", own.to_owned() + &all.iter().map(mark).collect::<String>())
}

/// `VBoxManage list dhcpservers`, of the servers for these adapters.
pub(super) fn dhcp_servers(adapters: &[&str]) -> Exchange {
    let block = |adapter: &&str| {
        format!(
            "\
NetworkName:    HostInterfaceNetworking-{adapter}
Dhcpd IP:       192.168.56.100
LowerIPAddress: 192.168.56.101
UpperIPAddress: 192.168.56.254
NetworkMask:    255.255.255.0
Enabled:        Yes
Global Configuration:
    minLeaseTime:     default
Groups:               None

"
        )
    };
    answers("list dhcpservers", adapters.iter().map(block).collect::<String>())
}

/// `VBoxManage list hdds`, of disks with these UUIDs, parents and locations.
pub(super) fn disks(all: &[(&str, &str, &str)]) -> Exchange {
    let block = |(uuid, parent, location): &(&str, &str, &str)| {
        format!(
            "\
UUID:           {uuid}
Parent UUID:    {parent}
ReportedState:          created
Type:           normal (differencing)
Location:       {location}
Storage format: VMDK
Capacity:       8192 MBytes
Encryption:     disabled

"
        )
    };
    answers("list hdds", all.iter().map(block).collect::<String>())
}

/// The networks of a VM.
#[derive(Debug, Clone, Copy)]
pub(super) enum Plugged {
    /// As Vagrant leaves the VM: NAT is connected, and the second card is on this host-only adapter.
    Open(&'static str),
    /// As the engine leaves the VM: NAT is disconnected, and the second card is on this host-only adapter.
    Sealed(&'static str),
    /// NAT is connected, and the second card is on a bridge to this link.
    Bridged(&'static str),
}

/// `VBoxManage showvminfo <name> --machinereadable`: all lines that matter, and some that do not.
pub(super) fn vm(name: &str, state: &str, plugged: Plugged) -> Exchange {
    let (cable, second) = match plugged {
        Plugged::Open(adapter) => ("on", format!("hostonlyadapter2=\"{adapter}\"\nnic2=\"hostonly\"")),
        Plugged::Sealed(adapter) => ("off", format!("hostonlyadapter2=\"{adapter}\"\nnic2=\"hostonly\"")),
        Plugged::Bridged(link) => ("on", format!("bridgeadapter2=\"{link}\"\nnic2=\"bridged\"")),
    };
    let forward = match plugged {
        Plugged::Open(_) => "Forwarding(0)=\"ssh,tcp,127.0.0.1,2222,,22\"\n",
        _ => "",
    };
    let answer = format!(
        "\
name=\"{name}\"
groups=\"/\"
ostype=\"Debian 12 Bookworm (64-bit)\"
memory=2560
cpus=2
VMState=\"{state}\"
VMStateChangeTime=\"2026-11-21T20:00:00.000000000\"
natnet1=\"nat\"
macaddress1=\"080027AA0001\"
cableconnected1=\"{cable}\"
nic1=\"nat\"
nictype1=\"virtio\"
{forward}{second}
macaddress2=\"080027AA0002\"
cableconnected2=\"on\"
nictype2=\"virtio\"
nic3=\"none\"
vrde=\"off\"
audio=\"none\"
\"SATA Controller-0-0\"=\"/root/VirtualBox VMs/{name}/Snapshots/{{7b}}.vmdk\"
"
    );
    answers(&format!("showvminfo {name} --machinereadable"), answer)
}

/// `VBoxManage showvminfo` for a VM that does not exist.
pub(super) fn no_vm(name: &str) -> Exchange {
    refuses(
        &format!("showvminfo {name} --machinereadable"),
        &format!(
            "VBoxManage: error: Could not find a registered machine named '{name}'\n\
             VBoxManage: error: Details: code VBOX_E_OBJECT_NOT_FOUND (0x80bb0001), component VirtualBoxWrap, interface \
             IVirtualBox, callee nsISupports\n"
        ),
    )
}

/// VirtualBox refuses an address that networks.conf does not allow.
pub(super) const ACCESS_DENIED: &str = "\
VBoxManage: error: Code E_ACCESSDENIED (0x80070005) - Access denied (extended info not available)
VBoxManage: error: Context: \"EnableStaticIPConfig(Bstr(pszIp).raw(), Bstr(pszNetmask).raw())\" at line 242 of file VBoxManageHostonly.cpp
";

/// The module for adapters is not loaded.
pub(super) const NO_ADAPTER_MODULE: &str = "\
0%...
Progress state: NS_ERROR_FAILURE
VBoxManage: error: Failed to create the host-only adapter
VBoxManage: error: VBoxNetAdpCtl: Error while adding new interface: failed to open /dev/vboxnetctl: No such file or directory
VBoxManage: error: Details: code NS_ERROR_FAILURE (0x80004005), component HostNetworkInterfaceWrap, interface IHostNetworkInterface
VBoxManage: error: Context: \"RTEXITCODE handleCreate(HandlerArg *)\" at line 95 of file VBoxManageHostonly.cpp
";

/// The module for VMs is not loaded.
pub(super) const NO_DRIVER: &str = "\
VBoxManage: error: The virtual machine 'homelab-0a1b2c.acme.acme-cp-1' has terminated unexpectedly during startup with exit code 1 (0x1)
VBoxManage: error: Kernel driver not installed (rc=-1908), VERR_VM_DRIVER_NOT_INSTALLED
VBoxManage: error: Details: code NS_ERROR_FAILURE (0x80004005), component MachineWrap, interface IMachine
";

/// Another process has locked the VM.
pub(super) const LOCKED: &str = "\
VBoxManage: error: Cannot unregister the machine 'homelab-0a1b2c.acme.acme-cp-1' while it is locked
VBoxManage: error: Details: code VBOX_E_INVALID_OBJECT_STATE (0x80bb0007), component MachineWrap, interface IMachine, callee nsISupports
VBoxManage: error: Context: \"Unregister(CleanupMode_DetachAllReturnHardDisksOnly, ComSafeArrayAsOutParam(aMedia))\" at line 193 of file VBoxManageMisc.cpp
";
