#!/bin/sh
# Makes a VM's disk from a tree of files: disk.sh TREE IMAGE SIZE
#
# TREE is the folder with the VM's files, IMAGE the raw disk to write, SIZE its size in MiB. The disk has one partition,
# which begins after the first MiB. The boot loader is in the sectors before it (GNU GRUB manual, "BIOS installation"):
# boot.img in the master boot record, core.img in the sectors after that, where boot.img expects it by default.
set -eu
PATH=$PATH:/usr/sbin:/sbin
tree=$1 image=$2 size=$3

truncate --size "${size}M" "$image"
echo 'start=2048, type=83, bootable' | sfdisk --quiet "$image"
mke2fs -q -t ext4 -L root -m 0 -E offset=1048576 -d "$tree" "$image" $(((size - 1) * 1024))k
dd status=none if="$tree/boot/grub/boot.img" of="$image" bs=440 count=1 conv=notrunc
dd status=none if="$tree/boot/grub/core.img" of="$image" bs=512 seek=1 conv=notrunc
