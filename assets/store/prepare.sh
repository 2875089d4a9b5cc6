#!/bin/sh
# Unpacks image archives into a containerd store: prepare.sh BIN STORE PINNED ARCHIVE...
#
# Runs in namespaces of its own, so whatever happens, no process, mount or socket outlives it.
set -eu
PATH=$1:$PATH store=$2 pinned=$3
shift 3

# Only what stores images: the rest would reach for the host's sockets, networks and folders.
mkdir /run/store
cat > /run/store/config.toml <<EOF
version = 3
root = '$store'
state = '/run/store/state'
disabled_plugins = [
  'io.containerd.cri.v1.images', 'io.containerd.cri.v1.runtime', 'io.containerd.grpc.v1.cri',
  'io.containerd.internal.v1.opt', 'io.containerd.nri.v1.nri', 'io.containerd.internal.v1.tracing',
]
[grpc]
  address = '/run/store/containerd.sock'
EOF
containerd --config /run/store/config.toml > /run/store/log 2>&1 &
daemon=$!
in_store() { ctr --address /run/store/containerd.sock --namespace k8s.io "$@"; }

until in_store version > /run/store/version 2>&1; do
    # The log is all that tells why it did not come up.
    kill -0 "$daemon" 2> /dev/null || { cat /run/store/log >&2; exit 1; }
    sleep 0.05
done
for archive; do
    in_store images import --local "$archive"
done
# Never collected as garbage, also when no pod runs.
in_store images label "$pinned" io.cri-containerd.pinned=pinned
kill "$daemon"
wait "$daemon"

# What is of the moment, and what would make all nodes' containerds claim to be one: each makes its own.
cd "$store"
rm -rf io.containerd.runtime.v2.task io.containerd.grpc.v1.introspection tmpmounts
