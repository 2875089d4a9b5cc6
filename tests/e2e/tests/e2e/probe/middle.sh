# Three network namespaces in a row: the prober is in this one, the witness in the last, and between them is a switch or
# a router that passes only some packets. The namespaces end with their processes, so killing this process group cleans
# up.
# $1: the probe's binary. $2: a folder with the batch, which also gets the answers and the witness's output.
# $3: `switch`, `router`, or `mirror`: two links that are not connected, but what arrives from the witness is copied to
# the prober's link. $4: rules of nftables for what the switch passes from one side to the other, or what the
# router forwards. $5: `stop` stops the prober in the middle of its scan, until its deadline has passed.
probe=$1
folder=$2
ip link set lo up
unshare --net "$probe" pause >/dev/null &
middle=$!
unshare --net "$probe" pause >/dev/null &
there=$!
trap 'kill $middle $there' EXIT
for other in $middle $there; do
    until [ "$(readlink /proc/$other/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; do :; done
done

middle() {
    nsenter "--net=/proc/$middle/ns/net" "$@"
}
there() {
    nsenter "--net=/proc/$there/ns/net" "$@"
}
ip link add west address 02:00:00:00:00:01 type veth peer name near address 02:00:00:00:00:fe netns $middle
middle ip link add far address 02:00:00:00:00:fd type veth peer name east address 02:00:00:00:00:02 netns $there
for link in west near far east; do
    case $link in west) at= ;; east) at=there ;; *) at=middle ;; esac
    $at sysctl -qw net.ipv6.conf.$link.accept_dad=0
    $at ip link set $link up
done
ip address add 192.168.48.1/24 broadcast + dev west
ip address add fd00:48::1/64 dev west nodad
there ip link set lo up
case $3 in
switch)
    there ip address add 192.168.48.2/24 broadcast + dev east
    there ip address add fd00:48::2/64 dev east nodad
    middle ip link add switch type bridge mcast_snooping 0
    middle ip link set near master switch
    middle ip link set far master switch
    middle ip link set switch up
    printf 'table bridge only { chain passed {\ntype filter hook forward priority 0; policy drop;\n%s\n}\n}\n' "$4" |
        middle nft -f -
    ;;
mirror)
    there ip address add 192.168.48.2/24 broadcast + dev east
    middle tc qdisc add dev far clsact
    middle tc filter add dev far ingress u32 match u32 0 0 action mirred egress mirror dev near
    ;;
router)
    # The prober has no route to the witness: its kernel knows only its own net.
    there ip address add 192.168.49.2/24 dev east
    there ip route add default via 192.168.49.254
    middle ip address add 192.168.48.254/24 dev near
    middle ip address add 192.168.49.254/24 dev far
    middle sysctl -qw net.ipv4.ip_forward=1
    printf 'table ip only { chain passed {\ntype filter hook forward priority 0; policy drop;\n%s\n}\n}\n' "$4" |
        middle nft -f -
    ;;
esac
address=$(there ip -4 -o address show dev east | sed 's/.*inet \([0-9.]*\).*/\1/')
: >"$folder/witness"
: >"$folder/near"
# Not by the function: its process ID would be that of a shell in between.
nsenter "--net=/proc/$there/ns/net" "$probe" witness --identity acme --tcp "$address:8443" --udp "$address:53" \
    --capture >"$folder/witness" &
witness=$!
"$probe" witness --identity near --capture=west >"$folder/near" &
near=$!
trap 'kill $witness $near $middle $there' EXIT
for one in witness near; do
    until grep -q ready "$folder/$one"; do kill -0 $witness $near; done
done
if [ $3 = mirror ]; then
    there ip neighbour replace 192.168.48.7 lladdr 02:00:00:00:00:07 dev east
    there "$probe" prober >/dev/null <<END
{"version":2,"deadlineMs":5000,"answerTimeoutMs":100,"rate":100,"probes":[
    {"nonce":"hl1-00000000-000000","ask":{"kind":"udp","to":"192.168.48.7:9","size":20}}]}
END
fi
if [ "${5:-}" != stop ]; then
    "$probe" prober <"$folder/batch" >"$folder/answers"
    sleep 0.2 # the witnesses write what has arrived
    exit
fi
sent() {
    sed -n 's/^ *west: *//p' /proc/net/dev | awk '{ print $10 }'
}
before=$(sent)
"$probe" prober <"$folder/batch" >"$folder/answers" &
prober=$!
until [ "$(sent)" -gt $((before + 100)) ]; do kill -0 $prober; done
kill -STOP $prober
sleep 3
kill -CONT $prober
wait $prober
