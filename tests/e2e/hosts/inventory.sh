#!/bin/sh
# Lists what a cluster could leave behind on a host, or take away from it: one thing a line, sorted. Runs on the host.
set -eu

# The first command of podman after a boot mounts its storage, and the mount stays.
podman ps --all --format 'container {{.Names}}'
ip -brief link | sed 's/^\([^ @]*\).*/link \1/'
find /run/netns /run/homelab/netns -mindepth 1 2> /dev/null | sed 's/^/namespace /' || :
# Lifetimes of addresses that the router gave count down.
for family in -4 -6; do
    ip $family route show table all | sed "s/ expires [0-9]*sec//; s/^/route $family /"
done
nft --stateless list ruleset | sed 's/^/rule /'
sed 's/^\([^ ]* [^ ]* [^ ]*\).*/mount \1/' /proc/mounts
find /sys/fs/cgroup -name 'libpod*' | sed 's/^/cgroup /'
sysctl --all 2> /dev/null | grep -E '^net\.ipv[46]\.(ip_forward|conf\.(all|default)\.)' | sed 's/^/setting /'
pgrep --list-name 'conmon|homelab' | sed 's/^[0-9]* /process /' || :
# Beside the kubeconfig, kubectl keeps a cache of its own.
find /etc /opt /root/.kube/config /srv /usr/local -xdev -type f -exec sha256sum {} + | sed 's/^/file /'
find /var/lib/homelab -mindepth 1 2> /dev/null | sed 's/^/record /' || :
systemctl list-units --failed --plain --no-legend | sed 's/^/failed unit /'
