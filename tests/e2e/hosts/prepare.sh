#!/bin/sh
# Makes a Debian tree bootable as a host. Runs in the tree, by chroot.
set -eu

systemctl enable nftables ssh systemd-networkd systemd-resolved
# These units would change the host during a test, or wait for a connection to the outside, which the host does not have.
systemctl mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
    fstrim.timer systemd-networkd-wait-online.service

echo '/dev/vda / ext4 rw,relatime 0 1' > /etc/fstab
echo host > /etc/hostname
printf '127.0.0.1\tlocalhost\n127.0.1.1\thost\n::1\tlocalhost ip6-localhost ip6-loopback\n' > /etc/hosts
ln -sfn ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf
printf '[Match]\nDriver=virtio_net\n\n[Network]\nDHCP=yes\n' > /etc/systemd/network/10-host.network

# The SSH host keys and the machine ID must differ between hosts, so each host makes them at its first boot.
mkdir -p /etc/systemd/system/ssh.service.d
printf '[Service]\nExecStartPre=\nExecStartPre=ssh-keygen -A\nExecStartPre=/usr/sbin/sshd -t\n' \
    > /etc/systemd/system/ssh.service.d/keys.conf
# Go programs set timers of microseconds all the time, and on an emulated CPU a wake-up costs more than the work that
# follows. So the timers of all processes that the test starts over SSH may expire up to 20 ms late, which lets the kernel
# handle several at once.
printf '[Service]\nTimerSlackNSec=20ms\n' > /etc/systemd/system/ssh.service.d/emulated.conf
rm -f /etc/ssh/ssh_host_* /var/lib/dbus/machine-id
: > /etc/machine-id
rm -rf /tmp/* /var/cache/apt /var/lib/apt/lists
