#!/bin/sh
# First process of a User-Mode Linux whose root is this machine's, read-only. GUEST_COMMAND is run
# beside a network namespace `far` at the other end of interface d0; then the guest is switched off.
[ $$ = 1 ] || { echo "$0 mounts over the machine it runs on: a guest's first process only" >&2; exit 2; }
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs run /run
mount -t tmpfs lib /var/lib
mkdir -p /run/modules/lib
ln -s /usr/lib/uml/modules /run/modules/lib/modules
export MODPROBE_OPTIONS="--dirname /run/modules"
modprobe veth
ip link set lo up
ip netns add far
ip link add d0 type veth peer name d0 netns far
ip link set d0 up
ip address add 198.18.0.1/24 dev d0
ip -n far link set d0 up
ip -n far address add 198.18.0.2/24 dev d0
$GUEST_COMMAND
echo o >/proc/sysrq-trigger
sleep 60
