# A subscriber and the Internet, each in a namespace, and this machine as the router between them. Sourced for its functions, or run with one's name.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
far=198.51.100.1 relay=192.0.2.25

links() {
    # Addresses of their own: of a device without one udev changes it, at a time of its choosing, and neighbours go on to write to the old one.
    local it address=02:00:00:00:00:01
    for it in sub net; do
        ip netns add "$it"
        ip link add "${it}0" address $address type veth peer name eth0 netns "$it"
        address=02:00:00:00:00:02
        # Answers leave a veth pair only towards an end with GRO.
        ip netns exec "$it" ethtool -K eth0 gro on
    done
}

up() {
    sysctl -q net.ipv4.ip_forward=1
    for it in sub net; do
        ip -n "$it" link set lo up
        ip -n "$it" link set eth0 up
        ip link set "${it}0" up
    done
    ip -n sub address add 100.64.0.2/24 dev eth0
    ip address add 100.64.0.1/24 dev sub0
    ip -n sub route add default via 100.64.0.1
    for it in 198.51.100 192.0.2; do
        ip address add "$it.254/24" dev net0
    done
    ip route add default via $far
    ip -n net address add $far/24 dev eth0
    ip -n net address add $relay/24 dev eth0
    ip -n net route add default via 198.51.100.254
    ip netns exec net systemd-socket-activate --accept --listen=0.0.0.0:25 /bin/true < /dev/null > /dev/null 2>&1 &
    # The server listens, and the neighbours know each other.
    for _ in $(seq 50); do
        ! open $relay || return 0
        sleep 0.2
    done
    return 1
}

# Whether the subscriber reaches port 25 there.
open() { timeout "${2:-10}" ip netns exec sub bash -c ": < /dev/tcp/$1/25" 2> /dev/null; }

# Closed to all but the relay. The relay is what tells a gate from a network that is down. Nobody wakes the other end of a veth pair for the answer
# to a refused SYN (`gate doctor` says so of an end without XDP): three SYNs are enough to wait for.
closed() { open $relay && ! open $far 4; }

# What the first connection after the start of the network saw.
first() {
    {
        systemctl is-active gate.service
        # The rules of the boot window close it as well, behind XDP.
        if ip link show sub0 | grep -q 'prog/xdp'; then echo attached; else echo detached; fi
        if closed; then echo closed; else echo open; fi
    } > /run/trial-first
}

passed=0 failed=0
check() {
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then
        passed=$((passed + 1))
        echo "test $name ... ok"
    else
        failed=$((failed + 1))
        echo "test $name ... FAILED"
        printf '%s\n' "$output" | sed 's/^/    /'
        journalctl --no-pager --boot --lines=8 --unit='gate*' | sed 's/^/    journal: /'
    fi
}

no() { ! "$@"; }
active() { [ "$(systemctl is-active gate.service)" = active ]; }
main_pid() { systemctl show --property=MainPID --value gate.service; }
restarts() { systemctl show --property=NRestarts --value gate.service; }
# Until a command succeeds, for a time that nothing but a hang uses up.
eventually() {
    for _ in $(seq 200); do
        ! "$@" || return 0
        sleep 1
    done
    "$@"
}

finish() {
    local word=ok
    [ "$failed" = 0 ] || word=FAILED
    echo "test result: $word. $passed passed; $failed failed; 0 ignored"
    [ "$failed" = 0 ]
    echo "gate-vm: exit $?"
}

[ "$0" != /trial/lab ] || "$@"
