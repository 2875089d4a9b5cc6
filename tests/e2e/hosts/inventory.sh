#!/bin/sh
# Lists everything that a cluster could leave behind on a host, or remove from it, one item per line, its kind first.
# Runs on the host.
set -eu

# First, because podman's first command after a boot mounts its storage. The mount stays and is listed below.
podman ps --all --format 'container {{.Names}}'
ip -brief link | sed 's/^\([^ @]*\).*/link \1/'
find /run/netns /run/homelab/netns -mindepth 1 2> /dev/null | sed 's/^/namespace /' || :
# The remaining lifetimes of routes that the router advertised count down, so they are left out.
for family in -4 -6; do
    ip $family route show table all | sed "s/ expires [0-9]*sec//; s/^/route $family /"
done
nft --stateless list ruleset | sed 's/^/rule /'
sed 's/^\([^ ]* [^ ]* [^ ]*\).*/mount \1/' /proc/mounts
find /sys/fs/cgroup -name 'libpod*' | sed 's/^/cgroup /'
sysctl --all 2> /dev/null | grep -E '^net\.ipv[46]\.(ip_forward|conf\.(all|default)\.)' | sed 's/^/setting /'
pgrep --list-name 'conmon|homelab' | sed 's/^[0-9]* /process /' || :
# Only the kubeconfig, not all of /root/.kube, because kubectl has its cache there.
find /etc /opt /root/.kube/config /srv /usr/local -xdev -type f -exec sha256sum {} + | sed 's/^/file /'
find /var/lib/homelab -mindepth 1 2> /dev/null | sed 's/^/record /' || :
systemctl list-units --failed --plain --no-legend | sed 's/^/failed unit /'
