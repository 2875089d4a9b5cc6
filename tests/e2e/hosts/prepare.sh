#!/bin/sh
# Makes a Debian tree with its packages a host that boots: runs in the tree, by chroot.
set -eu

systemctl enable nftables ssh systemd-networkd systemd-resolved
# These units would change the host during a test, or wait for a network that leads nowhere.
systemctl mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
    fstrim.timer systemd-networkd-wait-online.service

echo '/dev/vda / ext4 rw,relatime 0 1' > /etc/fstab
echo host > /etc/hostname
printf '127.0.0.1\tlocalhost\n127.0.1.1\thost\n::1\tlocalhost ip6-localhost ip6-loopback\n' > /etc/hosts
ln -sfn ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf
printf '[Match]\nDriver=virtio_net\n\n[Network]\nDHCP=yes\n' > /etc/systemd/network/10-host.network

# No two hosts are the same: the keys and the id are made at the first boot.
mkdir -p /etc/systemd/system/ssh.service.d
printf '[Service]\nExecStartPre=\nExecStartPre=ssh-keygen -A\nExecStartPre=/usr/sbin/sshd -t\n' \
    > /etc/systemd/system/ssh.service.d/keys.conf
# Go's programs ask to be woken after microseconds, all the time, which costs an emulated processor more than what they then
# do. All that the test starts on the host may be woken a little later, and several together.
printf '[Service]\nTimerSlackNSec=20ms\n' > /etc/systemd/system/ssh.service.d/emulated.conf
rm -f /etc/ssh/ssh_host_* /var/lib/dbus/machine-id
: > /etc/machine-id
rm -rf /tmp/* /var/cache/apt /var/lib/apt/lists
