# Two network namespaces with a veth pair: the prober is in this one, the witness in the other. The namespaces end with
# their processes, so killing this process group cleans up.
# $1: the probe's binary. $2: a folder with the batch, which also gets the answers and the witness's output.
probe=$1
folder=$2
ip link set lo up
unshare --net "$probe" pause >/dev/null &
there=$!
trap 'kill $there' EXIT
until [ "$(readlink /proc/$there/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; do :; done

there() {
    nsenter "--net=/proc/$there/ns/net" "$@"
}
ip link add west type veth peer name east netns "$there"
sysctl -qw net.ipv6.conf.west.accept_dad=0
there sysctl -qw net.ipv6.conf.east.accept_dad=0
ip address add 192.168.48.1/24 broadcast + dev west
ip address add fd00:48::1/64 dev west nodad
there ip address add 192.168.48.2/24 broadcast + dev east
there ip address add fd00:48::2/64 dev east nodad
there ip link set lo up
ip link set west up
there ip link set east up
until ip -6 address show dev west scope link | grep -q fe80; do :; done
until there ip -6 address show dev east scope link | grep -q fe80; do :; done

nsenter "--net=/proc/$there/ns/net" "$probe" witness --identity acme --tcp 192.168.48.2:7001 \
    --udp 192.168.48.2:7001 --udp '[fd00:48::2]:7001' --join 224.0.0.251 --capture >"$folder/witness" &
witness=$!
trap 'kill $witness $there' EXIT
until grep -q ready "$folder/witness"; do kill -0 $witness; done
"$probe" prober <"$folder/batch" >"$folder/answers"
