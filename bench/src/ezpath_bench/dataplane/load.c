// Load for the data-plane benchmark: raw frames as fast as one core can send them, and a ping-pong of datagrams.
//
//   load blast IFACE SECONDS FRAME_OCTETS VLAN SRC_MAC DST_MAC TARGETS    frames of FRAME_OCTETS (tag not counted),
//                                          TARGETS destination MACs in turn, from DST_MAC upwards; prints frames sent
//   load pong ADDRESS PORT                 answer each datagram
//   load ping ADDRESS PORT OCTETS COUNT    COUNT round trips of OCTETS; prints each one's nanoseconds

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define BATCH 64
#define BIGGEST 9216

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t nanoseconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static void put_mac(uint8_t *to, uint64_t mac)
{
	for (int i = 0; i < 6; i++)
		to[i] = mac >> (40 - 8 * i);
}

static uint16_t checksum(const uint8_t *from, int octets)
{
	uint32_t sum = 0;
	for (int i = 0; i < octets; i += 2)
		sum += from[i] << 8 | from[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

// Ethernet, perhaps a tag, IPv4, UDP, zeros. The length of the frame.
static int build(uint8_t *frame, int octets, int vlan, uint64_t src, uint64_t dst)
{
	int at = 12, ip_octets = octets - 14;
	put_mac(frame, dst);
	put_mac(frame + 6, src);
	if (vlan) {
		uint8_t tag[4] = { 0x81, 0, vlan >> 8, vlan };
		memcpy(frame + at, tag, 4);
		at += 4;
	}
	uint8_t ip[28] = { 8, 0, 0x45, 0, ip_octets >> 8, ip_octets, 0, 0, 0x40, 0, 64, 17 };
	uint8_t addresses[8] = { 10, 0, 0, 1, 10, 0, 0, 2 };
	memcpy(ip + 14, addresses, 8);
	uint16_t sum = checksum(ip + 2, 20);
	ip[12] = sum >> 8;
	ip[13] = sum;
	memcpy(frame + at, ip, 22);
	at += 22;
	uint8_t udp[8] = { 0x27, 0x0f, 0x27, 0x10, (ip_octets - 20) >> 8, ip_octets - 20, 0, 0 };
	memcpy(frame + at, udp, 8);
	return octets + (vlan ? 4 : 0);
}

static int blast(char **arg)
{
	static uint8_t frames[BATCH][BIGGEST];
	struct mmsghdr messages[BATCH] = {};
	struct iovec vectors[BATCH];
	double seconds = atof(arg[1]);
	int octets = atoi(arg[2]), vlan = atoi(arg[3]), bypass = 1;
	uint64_t src = strtoull(arg[4], 0, 16), dst = strtoull(arg[5], 0, 16), targets = strtoull(arg[6], 0, 10);
	if (octets < 42 || octets > BIGGEST - 4 || !targets)
		return fprintf(stderr, "load: frames have 42 to %d bytes, and there is a target\n", BIGGEST - 4), 2;

	int fd = socket(AF_PACKET, SOCK_RAW, 0);
	if (fd < 0)
		die("socket");
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_ifindex = if_nametoindex(arg[0]) };
	if (!at.sll_ifindex || bind(fd, (void *)&at, sizeof(at)))
		die(arg[0]);
	if (setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &bypass, sizeof(bypass)))
		die("PACKET_QDISC_BYPASS");
	for (int i = 0; i < BATCH; i++) {
		vectors[i] = (struct iovec){ frames[i], build(frames[i], octets, vlan, src, dst + i % targets) };
		messages[i].msg_hdr = (struct msghdr){ .msg_iov = &vectors[i], .msg_iovlen = 1 };
	}

	uint64_t sent = 0, end = nanoseconds() + (uint64_t)(seconds * 1e9);
	while (nanoseconds() < end) {
		if (targets > BATCH)
			for (int i = 0; i < BATCH; i++)
				// Steps of a large prime: neighbours in time are no neighbours in a table.
				put_mac(frames[i], dst + (sent + i) * 7919 % targets);
		int done = sendmmsg(fd, messages, BATCH, 0);
		if (done < 0)
			die("sendmmsg");
		sent += done;
	}
	printf("%llu\n", (unsigned long long)sent);
	return 0;
}

static int datagrams(const char *address, const char *port, int listen)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(atoi(port)) };
	struct timeval patience = { .tv_sec = 2 };
	if (fd < 0 || !inet_aton(address, &at.sin_addr))
		die(address);
	if (listen ? bind(fd, (void *)&at, sizeof(at)) : connect(fd, (void *)&at, sizeof(at)))
		die(address);
	if (!listen && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)))
		die("SO_RCVTIMEO");
	return fd;
}

static int pong(char **arg)
{
	uint8_t data[BIGGEST];
	struct sockaddr_in from;
	int fd = datagrams(arg[0], arg[1], 1);
	for (;;) {
		socklen_t size = sizeof(from);
		ssize_t octets = recvfrom(fd, data, sizeof(data), 0, (void *)&from, &size);
		if (octets < 0 || sendto(fd, data, octets, 0, (void *)&from, size) < 0)
			die("pong");
	}
}

static int ping(char **arg)
{
	uint8_t data[BIGGEST] = {};
	int fd = datagrams(arg[0], arg[1], 0), octets = atoi(arg[2]), count = atoi(arg[3]), lost = 0;
	for (int i = 0; i < count; i++) {
		uint64_t start = nanoseconds();
		if (send(fd, data, octets, 0) < 0 || recv(fd, data, sizeof(data), 0) < 0) {
			if (++lost > 3)
				die("ping: no answer");
			continue;
		}
		printf("%llu\n", (unsigned long long)(nanoseconds() - start));
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 9 && !strcmp(argv[1], "blast"))
		return blast(argv + 2);
	if (argc == 4 && !strcmp(argv[1], "pong"))
		return pong(argv + 2);
	if (argc == 6 && !strcmp(argv[1], "ping"))
		return ping(argv + 2);
	return fprintf(stderr, "load: see the top of load.c\n"), 2;
}
