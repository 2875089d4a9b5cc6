#!/bin/sh
# Unpacks image archives into a containerd store: prepare.sh BIN STORE PINNED ARCHIVE...
#
# BIN is the folder with containerd's programs, STORE the folder to fill, PINNED the name of the pause image. The caller
# runs this script in separate PID and mount namespaces with an empty /run. So no process, mount or socket outlives it,
# however it ends.
set -eu
PATH=$1:$PATH store=$2 pinned=$3
shift 3

# Only the plugins that store images: the others would use the host's sockets, networks and folders.
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
    # If containerd has ended, only its log tells why.
    kill -0 "$daemon" 2> /dev/null || { cat /run/store/log >&2; exit 1; }
    sleep 0.05
done
for archive; do
    in_store images import --local "$archive"
done
# The kubelet never removes a pinned image, even if no pod uses it.
in_store images label "$pinned" io.cri-containerd.pinned=pinned
kill "$daemon"
wait "$daemon"

# Remove temporary files, and the UUID by which a containerd identifies itself: each node's containerd makes its own.
cd "$store"
rm -rf io.containerd.runtime.v2.task io.containerd.grpc.v1.introspection tmpmounts
