#!/bin/sh
# Makes the disk of a machine out of its tree: disk.sh TREE IMAGE SIZE
#
# SIZE is in MiB. One partition from the first MiB on; the boot loader is in the sectors before it: its first part in the
# master boot record, its second right behind (GNU GRUB manual, "BIOS installation"), where the first looks by default.
set -eu
PATH=$PATH:/usr/sbin:/sbin
tree=$1 image=$2 size=$3

truncate --size "${size}M" "$image"
echo 'start=2048, type=83, bootable' | sfdisk --quiet "$image"
mke2fs -q -t ext4 -L root -m 0 -E offset=1048576 -d "$tree" "$image" $(((size - 1) * 1024))k
dd status=none if="$tree/boot/grub/boot.img" of="$image" bs=440 count=1 conv=notrunc
dd status=none if="$tree/boot/grub/core.img" of="$image" bs=512 seek=1 conv=notrunc
