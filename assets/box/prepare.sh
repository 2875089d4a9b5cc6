#!/bin/sh
# Makes a Debian tree with the node's programs bootable as a VM. Runs in the tree, by chroot.
set -eu

for unit in containerd kubelet keepalived host-keys ssh systemd-networkd run-cilium-cgroupv2.mount; do
    systemctl enable "$unit"
done
# Units that a node does not need, or that would wait for a route to the outside, which the VM does not have.
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
    fstrim.timer getty@tty1.service nftables.service systemd-networkd-wait-online.service systemd-pstore.service; do
    systemctl mask "$unit"
done

# The user as whom Vagrant logs in, with a well-known key that Vagrant replaces at the first boot. No user has a password.
useradd --create-home --shell /bin/bash vagrant
install -d -m 0700 -o vagrant -g vagrant /home/vagrant/.ssh
install -m 0600 -o vagrant -g vagrant /tmp/vagrant.pub /home/vagrant/.ssh/authorized_keys
chmod 0440 /etc/sudoers.d/vagrant
chmod 0755 /etc/systemd/system-generators/emulated

# Files that must differ between VMs. Each VM makes its own.
rm -f /etc/ssh/ssh_host_* /var/lib/dbus/machine-id /var/lib/systemd/random-seed
: > /etc/machine-id

mkdir -p /var/lib/kubelet

update-initramfs -u
# boot.img loads core.img from the sectors after it (disk.sh). core.img finds the root file system by its label.
printf 'search --no-floppy --label root --set root\nset prefix=($root)/boot/grub\n' > /tmp/early.cfg
grub-mkimage --format i386-pc --output /boot/grub/core.img --config /tmp/early.cfg --prefix /boot/grub \
    biosdisk boot configfile ext2 linux normal part_msdos search search_label
cp /usr/lib/grub/i386-pc/boot.img /boot/grub/boot.img

rm -rf /tmp/* /usr/share/doc /usr/share/locale /usr/share/man /var/cache/apt /var/lib/apt/lists
