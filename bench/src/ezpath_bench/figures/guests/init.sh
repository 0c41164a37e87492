#!/bin/bash
# The guest's process 1: takes orders from the console, a number a line. Order N is the script /orders/N.sh; what it
# says goes to /orders/N.out, its exit status to /orders/N.rc, and then "done N" to the console. The end of input is the end.
export PATH=/usr/sbin:/usr/bin HOME=/root LC_ALL=C
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t bpf bpf /sys/fs/bpf
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mount -t tmpfs var /var/lib
mount -t tmpfs etc /etc/openvswitch
mount -t hostfs -o hostfs=/orders none /orders
mkdir -p /run/netns /run/openvswitch /var/lib/nginx
for f in all default; do echo 1 >/proc/sys/net/ipv6/conf/$f/disable_ipv6; done
ip link set lo up
stty -F /dev/tty0 raw -echo
echo "ready" >/dev/tty0
while read -r number; do
	(
		bash -e "/orders/$number.sh" </dev/null >"/orders/$number.out" 2>&1
		echo $? >"/orders/$number.rc"
		echo "done $number" >/dev/tty0
	) &
done </dev/tty0
echo o >/proc/sysrq-trigger
sleep 5
